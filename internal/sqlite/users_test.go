package sqlite_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sidestream/internal/sqlite"
	"sidestream/replicator"
)

// TestSource_of_another_user plays the writer and the source as two processes.
// Whatever the source is allowed to see, the writer must never fail. Other
// users than one's own take root.
func TestSource_of_another_user(t *testing.T) {
	const shared = 20000
	writer := &syscall.Credential{Uid: 10001, Gid: 10001, Groups: []uint32{shared}}
	stranger := &syscall.Credential{Uid: 10002, Gid: 10002}
	exe := sharedBinary(t)

	type setup struct {
		name           string
		writer, source *syscall.Credential
		dir, file      os.FileMode
		group          int
		// first is what a source finds that comes while the writer is stopped,
		// later what it finds while the writer runs.
		first, later string
	}
	cases := []setup{{name: "the_same_user", dir: 0o755, file: 0o600, first: "ok", later: "ok"}}
	if os.Geteuid() == 0 {
		cases = []setup{
			{"the_same_user", writer, writer, 0o755, 0o600, 10001, "ok", "ok"},
			{"root", writer, nil, 0o755, 0o600, 10001, "ok", "ok"},
			{"a_stranger_that_could_create", writer, stranger, 0o777, 0o644, 10001, "source_would_harm", "ok"},
			{"a_stranger_that_could_not", writer, stranger, 0o755, 0o644, 10001, "source_idle", "ok"},
			{"a_stranger_where_all_may_write", writer, stranger, 0o777, 0o666, 10001, "ok", "ok"},
			{"a_stranger_who_may_not_read", writer, stranger, 0o777, 0o600, 10001, "source_permission", "source_permission"},
			{
				"a_member_of_the_volume's_group", writer, &syscall.Credential{Uid: 10002, Gid: 10002, Groups: []uint32{shared}},
				0o2770, 0o660, shared, "ok", "ok",
			},
			{
				"a_member_whose_files_would_not_be_of_the_group", writer, &syscall.Credential{Uid: 10002, Gid: 10002, Groups: []uint32{shared}},
				0o770, 0o660, shared, "source_would_harm", "source_permission",
			},
		}
	}
	begin := func(t *testing.T, c setup) (path string, w *process) {
		t.Helper()
		dir := filepath.Join(sharedDir(t), "data")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(dir, "messages.db")
		if c.writer != nil {
			own(t, dir, int(c.writer.Uid), c.group)
		}
		chmod(t, dir, c.dir)
		w = start(t, exe, "writer", path, c.writer)
		for _, command := range []string{"start writing", "write", "stop writing"} {
			w.want(command, "ok")
		}
		if c.writer != nil {
			own(t, path, int(c.writer.Uid), c.group)
		}
		chmod(t, path, c.file)
		return path, w
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path, w := begin(t, c)
			s := start(t, exe, "source", path, c.source)
			s.want("read", c.first)
			for range 2 {
				for _, command := range []string{"start writing", "write"} {
					w.want(command, "ok")
				}
				s.want("read", c.later)
				w.want("write", "ok")
				s.want("read", c.later)
				w.want("stop writing", "ok")
			}
			s.want("stop reading", "ok")
			for _, command := range []string{"start writing", "write", "stop writing"} {
				w.want(command, "ok")
			}
		})
	}
	if os.Geteuid() != 0 {
		return
	}
	t.Run("harms_the_writer_without_the_checks", func(t *testing.T) {
		// Or else the cases above prove nothing.
		path, w := begin(t, setup{writer: writer, dir: 0o777, file: 0o644, group: 10001})
		start(t, exe, "source", path, stranger).want("open unchecked", "ok")
		if w.do("start writing") == "ok" && w.do("write") == "ok" {
			t.Error("the writer goes on beside files that it cannot write")
		}
	})
}

func own(tb testing.TB, path string, uid, gid int) {
	tb.Helper()
	if err := os.Chown(path, uid, gid); err != nil {
		tb.Fatal(err)
	}
}

func chmod(tb testing.TB, path string, mode os.FileMode) {
	tb.Helper()
	// The set-group-id bit has another place in os.FileMode.
	if mode&0o2000 != 0 {
		mode = mode.Perm() | os.ModeSetgid
	}
	if err := os.Chmod(path, mode); err != nil {
		tb.Fatal(err)
	}
}

// TestSource_survives_a_killed_writer kills the writer at any instruction and
// wants every acknowledged commit, in order, once.
func TestSource_survives_a_killed_writer(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "messages.db")
	s := newSource(t, path, func(o *sqlite.Options) { o.BusyTimeout = 5 * time.Second })
	var after replicator.Cursor
	var acknowledged, delivered int64
	for round := range 12 {
		w := start(t, exe, "commit for ever", path, nil)
		for range 5 + round*7 {
			if !w.lines.Scan() || w.lines.Text() != "committed" {
				t.Fatalf("the writer said %q", w.lines.Text())
			}
			acknowledged++
			if round%2 == 1 {
				chunk := read(t, s, after, 1000)
				delivered += int64(len(chunk.Changes))
				after = apply(after, chunk)
			}
		}
		if err := w.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		// Lines that were written before the end count as acknowledged too.
		for w.lines.Scan() {
			acknowledged++
		}
		w.end()
		var changes []int64
		for {
			chunk := read(t, s, after, 1000)
			changes = append(changes, positions(chunk.Changes)...)
			if after = apply(after, chunk); chunk.Until >= chunk.Head {
				break
			}
		}
		delivered += int64(len(changes))
		// One commit may have been made without its line being written.
		if delivered < acknowledged || delivered > acknowledged+int64(round)+1 || after.Position != delivered {
			t.Fatalf("round %d: %d acknowledged, %d delivered, up to %d", round, acknowledged, delivered, after.Position)
		}
	}
}
