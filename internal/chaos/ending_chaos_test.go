//go:build chaos

package chaos_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sidestream/internal/simulate"
	"sidestream/mapping"
)

// end has everything drain, ends the programs and looks for every message.
func (s *storm) end() {
	s.calm()
	s.crmUp()
	for _, site := range s.sites {
		site.startWriter(s.T)
		for i := range site.slots {
			site.slots[i].thaw(s.T)
		}
		site.startReplicator(s.T, 0)
	}
	s.stop()
	s.traffic.Wait()
	s.watch()
	for _, site := range s.sites {
		if d, more := site.talk.last(); more {
			if err := site.post(s.Context(), d, &s.counts); err != nil {
				s.findings.add(programFailed, "%v", err)
			}
		}
	}
	s.say("the faults have stopped, everything is acknowledged")
	if !s.drain("drained") {
		return // what is missing then is no news
	}
	s.letters()
	if !s.drain("drained again") {
		return
	}
	// The writer truncates the WAL as soon as no reader is in the way.
	for _, site := range s.sites {
		err := s.eventually(10*time.Second, func() error { return gone(site.dir, site.forbidden()) })
		if err != nil {
			s.findings.add(unsentAlive, "source %d, while the programs run: %v", site.source, err)
		}
	}
	s.watch()
	s.finish()
	for _, site := range s.sites {
		if err := gone(site.dir, site.forbidden()); err != nil {
			s.findings.add(unsentAlive, "source %d, after the programs ended: %v", site.source, err)
		}
	}
	s.searchTables()
	s.searchLogs()
	w := s.found()
	messages := 0
	for _, c := range w.talks {
		messages += len(c.messages)
	}
	s.say("acknowledged messages %d, rows in the CRM %d, of strangers %d (in doubt %d)", messages, len(w.rows), s.counts.of(strangerRows), len(w.strangers)-s.counts.of(strangerRows))
	reconcile(w, &s.findings)
	s.names()
}

// drain waits until everything is applied.
func (s *storm) drain(what string) bool {
	for _, site := range s.sites {
		for i := range site.slots {
			p := site.slots[i].process
			if p == nil {
				continue
			}
			if err := s.eventually(30*time.Second, func() error { return site.drained(s.T, i) }); err != nil {
				s.findings.add(missing, "not drained: replicator %d: %v; %s", i, err, lastLine(p.Stderr()))
				return false
			}
		}
	}
	s.say("%s", what)
	return true
}

// letters takes away what the CRM had refused messages for, and has them tried
// again.
func (s *storm) letters() {
	for kind, reason := range map[kind]string{refusedTrigger: "refused_by_trigger", refusedTooLong: "too_long"} {
		s.counts.add(kind, int(s.db.Int(s.T, "SELECT COUNT(*) FROM sidestream_dead_letters WHERE reason = ?", reason)))
	}
	for _, event := range []string{"INSERT", "UPDATE"} {
		s.db.Exec(s.T, "DROP TRIGGER refuse_"+event)
	}
	s.db.Exec(s.T, "ALTER TABLE messages MODIFY message MEDIUMTEXT")
	for _, site := range s.sites {
		out, err := site.command(s.T, "replicator", "dead-letters", "retry")
		if err != nil {
			s.findings.add(lettersOpen, "%v", err)
		}
		s.counts.add(retriedLetters, strings.Count(out, "\nposition ")+strings.Count(out[:min(len(out), 9)], "position "))
	}
	if n := s.db.Int(s.T, "SELECT COUNT(*) FROM sidestream_dead_letters WHERE resolved_at IS NULL"); n > 0 {
		s.findings.add(lettersOpen, "%d", n)
	}
}

// finish ends all programs in good order.
func (s *storm) finish() {
	for _, site := range s.sites {
		for i := range site.slots {
			if p := site.slots[i].process; p != nil {
				s.ask(&site.slots[i])
				p.WaitOutput(s.T, patience, `"msg"`)
				p.Term(s.T)
				p.WantExit(s.T, patience, 0)
				site.slots[i].process = nil
			}
		}
		site.stopWriter(s.T)
	}
}

// forbidden lists what must be nowhere any more: texts that were unsent or whose
// person was erased, the ids of those people, and what nobody has signed.
func (s *site) forbidden() []string {
	s.talk.mu.Lock()
	defer s.talk.mu.Unlock()
	patterns := []string{forged}
	for user := range s.talk.retired {
		patterns = append(patterns, user)
	}
	for _, m := range s.talk.messages {
		if m.unsent || m.erased {
			for _, text := range m.texts {
				patterns = append(patterns, needle(text))
			}
		}
	}
	return patterns
}

// gone tells what of the patterns the files in a directory still hold. It looks
// from a child process: closing the files in this one would drop SQLite's locks.
func gone(dir string, patterns []string) error {
	list := filepath.Join(filepath.Dir(dir), "patterns")
	if err := os.WriteFile(list, []byte(strings.Join(patterns, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	out, err := exec.Command("grep", "-raoF", "-f", list, dir).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("grep: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return fmt.Errorf("%d traces, the first one in %s", len(lines), filepath.Base(lines[0]))
}

// searchTables looks for the forbidden in every cell of every table of the CRM.
func (s *storm) searchTables() {
	dir := s.TempDir()
	cells, err := os.Create(filepath.Join(dir, "cells"))
	if err != nil {
		s.Fatal(err)
	}
	defer cells.Close()
	for _, table := range s.db.Rows(s.T, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()") {
		for _, row := range s.db.Rows(s.T, "SELECT * FROM `"+table[0]+"`") {
			if _, err := fmt.Fprintln(cells, table[0]+": "+strings.Join(row, "\t")); err != nil {
				s.Fatal(err)
			}
		}
	}
	for _, site := range s.sites {
		if err := gone(dir, site.forbidden()); err != nil {
			s.findings.add(unsentAlive, "source %d, in the tables of the CRM: %v", site.source, err)
		}
	}
}

// searchLogs looks for texts and secrets in everything that was logged.
func (s *storm) searchLogs() {
	for _, site := range s.sites {
		for _, p := range site.everyone {
			for _, bad := range []string{mark + "-0", mark + "-1", forged, secret, token} {
				if strings.Contains(p.Stderr()+p.Stdout(), bad) {
					s.findings.add(textInLog, "source %d: %q", site.source, bad)
				}
			}
		}
	}
}

// found reads everything that there is.
func (s *storm) found() world {
	w := world{strangers: s.others.all}
	for _, row := range s.db.Rows(s.T, "SELECT id, user_id, direction, message, UNIX_TIMESTAMP(created_at) FROM messages ORDER BY id") {
		w.rows = append(w.rows, crmRow{
			id:  number(row[0]),
			Row: simulate.Row{UserID: row[1], Direction: row[2], Message: row[3], CreatedAt: number(row[4])},
		})
	}
	for _, site := range s.sites {
		w.talks, w.sides = append(w.talks, site.talk), append(w.sides, s.side(site))
	}
	return w
}

func (s *storm) side(site *site) side {
	found := side{ids: map[int64]int64{}, parked: map[string]bool{}, lostBehind: site.lostBehind}
	db := open(s.T, site.path)
	defer db.Close()
	rows, err := db.QueryContext(s.Context(), "SELECT seq, id, kind, version FROM messages ORDER BY seq")
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row logRow
		if err := rows.Scan(&row.seq, &row.mid, &row.kind, &row.version); err != nil {
			s.Fatal(err)
		}
		found.log = append(found.log, row)
	}
	if err := rows.Err(); err != nil {
		s.Fatal(err)
	}
	name := fmt.Sprintf("source-%d", site.source)
	if at, end := s.db.Int(s.T, "SELECT position FROM sidestream_cursor WHERE source = ?", name), head(s.T, site.path); at != end {
		s.findings.add(cursorWrong, "source %d: the cursor is at position %d, the file ends at %d", site.source, at, end)
	}
	for _, row := range s.db.Rows(s.T, "SELECT first_position, length, first_crm_id, step FROM sidestream_ledger WHERE source = ? AND generation = "+
		"(SELECT generation FROM sidestream_cursor WHERE source = ?)", name, name) {
		for i := range number(row[1]) {
			found.ids[number(row[0])+i] = number(row[2]) + i*number(row[3])
		}
	}
	for _, row := range s.db.Rows(s.T, "SELECT message_id FROM sidestream_dead_letters WHERE source = ?", name) {
		found.parked[row[0]] = true
	}
	return found
}

// names checks that every username is the user's or stands in for it.
func (s *storm) names() {
	for _, row := range s.db.Rows(s.T, "SELECT user_id, username, COUNT(*) FROM messages WHERE username <> 'stranger' GROUP BY user_id, username") {
		if user, name := row[0], row[1]; name != user && name != simulate.Username(user) || user == mapping.ErasedText && name != user {
			s.findings.add(nameWrong, "user %s is called %q in %s rows", user, name, row[2])
		}
	}
}

func number(text string) (n int64) {
	_, _ = fmt.Sscan(text, &n) // 0 where it is no number, which is no id
	return n
}
