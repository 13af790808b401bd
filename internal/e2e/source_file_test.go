package e2e_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sidestream/internal/simulate"
)

// TestSource_writer_killed kills the writer under load, again and again.
func TestSource_writer_killed(t *testing.T) {
	const kills = 12
	p := newRunningPair(t, 5)
	p.generator = simulate.NewGenerator(simulate.GeneratorOptions{Seed: 8, Shapes: simulate.MessageShapes(), RedeliverOnceIn: 10})
	stop := p.load(t)
	for k := range kills {
		p.more(t, 15)
		// Somewhere inside the next few commits.
		if err := wait(t.Context(), time.Duration(k*977%9000)*time.Microsecond); err != nil {
			t.Fatal(err)
		}
		p.writer.Kill(t)
		p.writer.Wait(t, patient)
		p.begin(t)
	}
	stop()
	p.arrived(t)
	t.Logf("%d kills, %d attempts not acknowledged", kills, p.refused.Load())
}

// TestSource_file is about the file under the path: absent, gone, another one.
func TestSource_file(t *testing.T) {
	t.Run("absent_at_the_start", func(t *testing.T) {
		p := newPair(t)
		p.rig.start(t, "replicator")
		p.waits(t, "source_missing")
		p.begin(t)
		p.post(t, 20)
		p.arrived(t)
	})
	t.Run("deleted_while_both_run", func(t *testing.T) {
		p := newRunningPair(t, 20)
		remove(t, p.path, p.path+"-wal", p.path+"-shm")
		p.waits(t, "source_missing")
		// A message that comes now must not be acknowledged into a file that
		// nobody finds again: the writer ends, and what starts it anew makes a file.
		stop := p.load(t)
		if code := p.writer.Wait(t, patient); code == 0 {
			t.Error("the writer took the loss of its file for a good end")
		}
		p.begin(t)
		p.more(t, 20)
		p.blocked(t, "source_replaced", "replicator cursor resume")
		p.operator(t, 0, "cursor", "show")
		p.operator(t, 0, "cursor", "resume")
		p.more(t, 20)
		stop()
		p.goesOn(t, 5)
	})
	t.Run("replaced_by_an_equal_one_while_the_writer_is_stopped", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.end(t)
		put(t, backup(t, p.path), p.path)
		p.begin(t)
		p.goesOn(t, 20)
	})
	t.Run("replaced_by_an_equal_one_while_both_run", func(t *testing.T) {
		p := newRunningPair(t, 20)
		equal := backup(t, p.path)
		remove(t, p.path+"-wal", p.path+"-shm")
		if err := os.Rename(equal, p.path); err != nil {
			t.Fatal(err)
		}
		stop := p.load(t)
		p.writer.Wait(t, patient)
		p.begin(t)
		p.more(t, 20)
		stop()
		p.goesOn(t, 5)
	})
	t.Run("replaced_by_another_database_and_put_back", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.end(t)
		aside := filepath.Join(t.TempDir(), "aside.db")
		onFile(t, p.path, "PRAGMA wal_checkpoint(TRUNCATE)")
		remove(t, p.path+"-wal", p.path+"-shm")
		if err := os.Rename(p.path, aside); err != nil {
			t.Fatal(err)
		}
		other := newFeedAt(t, p.path)
		other.say(t, 50)
		p.blocked(t, "source_replaced", "put the former database back")
		if err := other.store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, aside, p.path)
		p.begin(t)
		p.goesOn(t, 20)
	})
	t.Run("replaced_by_another_database_that_is_meant", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.end(t)
		remove(t, p.path, p.path+"-wal", p.path+"-shm")
		other := newFeedAt(t, p.path)
		other.say(t, 50)
		p.blocked(t, "source_replaced", "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume", "--dry-run")
		p.blocked(t, "source_replaced")
		p.operator(t, 0, "cursor", "resume")
		p.caughtUp(t)
		if sums := simulate.Compare(append(p.expected.Rows(), other.rows...), p.rows(t)); !sums.Clean() {
			t.Errorf("after the decision: %v", sums)
		}
	})
	t.Run("replaced_by_another_database_of_which_only_new_messages_count", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.end(t)
		remove(t, p.path, p.path+"-wal", p.path+"-shm")
		other := newFeedAt(t, p.path)
		other.say(t, 50)
		if err := other.store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.blocked(t, "source_replaced")
		p.operator(t, 0, "cursor", "set", "--at", "end")
		p.blocked(t, "source_replaced")
		p.operator(t, 0, "cursor", "set", "--at", "end", "--yes")
		p.begin(t)
		p.goesOn(t, 20)
	})
}

// TestSource_restored puts an older copy back.
func TestSource_restored(t *testing.T) {
	// restored has 40 messages applied and the copy of the first 20 put back.
	restored := func(t *testing.T) *pair {
		t.Helper()
		p := newRunningPair(t, 20)
		older := backup(t, p.path)
		p.post(t, 20)
		p.arrived(t)
		p.end(t)
		put(t, older, p.path)
		return p
	}
	t.Run("and_nothing_written_afterwards", func(t *testing.T) {
		p := restored(t)
		p.blocked(t, "source_journal_mode", "start the writer")
		p.begin(t)
		p.blocked(t, "source_rewound", "replicator cursor resume")
		p.operator(t, 0, "cursor", "show")
		p.operator(t, 0, "cursor", "resume", "--dry-run")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 30)
	})
	t.Run("and_fewer_messages_written_afterwards", func(t *testing.T) {
		p := restored(t)
		p.begin(t)
		p.post(t, 5)
		p.blockedOlder(t, "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 30)
	})
	t.Run("and_more_messages_written_afterwards", func(t *testing.T) {
		p := restored(t)
		p.begin(t)
		p.post(t, 60)
		p.blocked(t, "source_diverged", "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 30)
	})
	t.Run("while_the_replicator_is_stopped", func(t *testing.T) {
		p := newPair(t)
		p.begin(t)
		first := p.rig.start(t, "replicator")
		p.post(t, 20)
		p.arrived(t)
		older := backup(t, p.path)
		p.post(t, 20)
		p.arrived(t)
		first.Term(t)
		first.WantExit(t, patient, 0)
		p.end(t)
		put(t, older, p.path)
		p.begin(t)
		p.post(t, 60)
		p.rig.start(t, "replicator")
		p.blocked(t, "source_diverged", "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 30)
	})
	t.Run("and_twice", func(t *testing.T) {
		p := newRunningPair(t, 20)
		oldest := backup(t, p.path)
		for range 2 {
			p.post(t, 15)
			p.arrived(t)
			p.end(t)
			again := filepath.Join(t.TempDir(), "again.db")
			onFile(t, oldest, "VACUUM INTO '"+again+"'")
			put(t, again, p.path)
			p.begin(t)
			p.post(t, 10)
			p.blockedOlder(t)
			p.operator(t, 0, "cursor", "resume")
			p.goesOn(t, 10)
		}
	})
}

// TestSource_wal is about the files beside the database.
func TestSource_wal(t *testing.T) {
	t.Run("removed_while_the_writer_is_stopped", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.end(t)
		remove(t, p.path+"-wal", p.path+"-shm")
		p.begin(t)
		p.goesOn(t, 20)
	})
	t.Run("removed_while_both_run", func(t *testing.T) {
		p := newRunningPair(t, 20)
		remove(t, p.path+"-wal", p.path+"-shm")
		stop := p.load(t)
		// The writer ends before it acknowledges into a -wal that nobody finds
		// again, and moves into the database what it still has open.
		if code := p.writer.Wait(t, patient); code == 0 {
			t.Error("the writer took the loss of its -wal for a good end")
		}
		p.begin(t)
		p.more(t, 20)
		stop()
		p.goesOn(t, 20)
	})
	t.Run("removed_after_the_writer_was_killed", func(t *testing.T) {
		// What was not checkpointed is gone from the file, and stays in the CRM.
		p := newRunningPair(t, 20)
		p.sqlite(t, "PRAGMA wal_checkpoint(TRUNCATE)")
		p.post(t, 20)
		p.arrived(t)
		p.writer.Kill(t)
		p.writer.Wait(t, patient)
		remove(t, p.path+"-wal", p.path+"-shm")
		p.begin(t)
		p.post(t, 5)
		p.blockedOlder(t, "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 20)
	})
	t.Run("of_the_newer_file_beside_an_older_copy", func(t *testing.T) {
		r := newRunningPair(t, 0)
		r.end(t)
		f := newFeedAt(t, r.path)
		f.say(t, 400)
		older := backup(t, r.path)
		f.say(t, 3000)
		onFile(t, r.path, "PRAGMA wal_checkpoint(TRUNCATE)")
		f.say(t, 50)
		r.caughtUp(t)
		f.wantAll(t, r.db)
		// The writer is killed, and its -wal stays beside what is put there.
		wal := filepath.Join(t.TempDir(), "wal")
		if out, err := os.ReadFile(r.path + "-wal"); err != nil || os.WriteFile(wal, out, 0o600) != nil {
			t.Fatal(err)
		}
		if err := f.store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		again := filepath.Join(t.TempDir(), "again.db")
		onFile(t, older, "VACUUM INTO '"+again+"'")
		put(t, older, r.path)
		if err := os.Rename(wal, r.path+"-wal"); err != nil {
			t.Fatal(err)
		}
		r.blocked(t, "source_corrupt", "without the old -wal and -shm")
		put(t, again, r.path)
		f.open(t)
		r.blocked(t, "source_rewound", "replicator cursor resume")
		r.operator(t, 0, "cursor", "resume")
		r.caughtUp(t)
		f.wantAll(t, r.db)
		f.say(t, 50)
		r.caughtUp(t)
		f.wantAll(t, r.db)
	})
}
