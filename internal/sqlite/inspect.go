package sqlite

import (
	"context"
	"fmt"
	"path/filepath"

	"sidestream/replicator"
)

// Status says what a finding means for replication.
type Status string

// The three statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "fail"
)

// Finding is one line of a check.
type Finding struct {
	// Name is one of source_file, source_filesystem, source_owner,
	// source_read_only, source_journal_mode, source_schema, source_sequence.
	Name   string
	Status Status
	// Text says what was found, Hint what to do; Hint is empty where all is well.
	Text string
	Hint string
}

// Inspect checks everything that the source needs, up to the first thing that
// keeps the file from being opened. What waits for the writer is a warning.
func (s *Source) Inspect(ctx context.Context) []Finding {
	found, failure := s.preflight()
	findings := s.inspectFiles(found, failure)
	if failure != nil {
		return findings
	}
	err := s.use(ctx, &s.reader, func(t *session) error {
		seen, err := t.sight(ctx, nil)
		if err != nil {
			return err
		}
		findings = append(findings,
			Finding{Name: "source_read_only", Status: OK, Text: "writing through the connection was tried and refused"},
			Finding{Name: "source_journal_mode", Status: OK, Text: "wal"},
			Finding{Name: "source_schema", Status: OK, Text: fmt.Sprintf("table %s has the columns, the key and the index", t.layout.table)},
			t.inspectSequence(seen))
		return nil
	})
	if err != nil {
		findings = append(findings, findingOf(replicator.AsFailure(err)))
	}
	return findings
}

// inspectFiles reports what looking at the files without opening them found.
func (s *Source) inspectFiles(p place, failure *replicator.Failure) []Finding {
	var findings []Finding
	add := func(name string, status Status, hint, format string, args ...any) {
		findings = append(findings, Finding{Name: name, Status: status, Hint: hint, Text: fmt.Sprintf(format, args...)})
	}
	var failed Finding
	if failure != nil {
		failed = findingOf(failure)
	}
	if p.db.id != (fileID{}) {
		add("source_file", OK, "", "%s", s.opt.Path)
	}
	switch {
	case p.real == "" || failed.Name == "source_filesystem":
	case p.mount.kind == "":
		add("source_filesystem", Warn, "make sure that the database is on a local disk", "the mounts cannot be read from %s", s.opt.Mountinfo)
	case supportOf(p.mount.kind) == supportShared:
		add("source_filesystem", Warn, "make sure that writer and replicator run on one machine and kernel",
			"%s at %s is allowed by the configuration", p.mount.kind, p.mount.point)
	case supportOf(p.mount.kind) == supportUnknown:
		add("source_filesystem", Warn, "make sure that it is a local disk", "%s at %s is not known here", p.mount.kind, p.mount.point)
	default:
		add("source_filesystem", OK, "", "%s at %s", p.mount.kind, p.mount.point)
	}
	if failed.Name != "" {
		if failed.Name == "source_file" {
			findings = nil
		}
		return append(findings, failed)
	}
	if files := p.notForWriter(); len(files) > 0 {
		add("source_owner", Fail, "stop both programs, give the file to the writer's user, and run both as one user",
			"%s belongs to uid %d: the owner of the database (uid %d) cannot write it", filepath.Base(files[0].path), files[0].uid, p.db.uid)
	} else {
		add("source_owner", OK, "", "database of uid %d, mode %04o; this is uid %d", p.db.uid, p.db.mode.Perm(), p.who.UID)
	}
	return findings
}

// inspectSequence looks for numbers that could come a second time.
func (s *session) inspectSequence(seen sighting) Finding {
	f := Finding{Name: "source_sequence", Status: OK, Text: fmt.Sprintf("positions up to %d, the next is above %d", seen.head, seen.floor)}
	if !s.layout.autoincrement {
		f.Status = Warn
		f.Hint = "declare the key AUTOINCREMENT; until then never delete the newest rows"
		f.Text = fmt.Sprintf("positions up to %d; without AUTOINCREMENT the numbers of deleted rows are used again", seen.head)
	}
	return f
}

// findingOf puts a failure under the name of the check that it belongs to.
func findingOf(failure *replicator.Failure) Finding {
	f := Finding{Status: Fail, Text: failure.Error(), Hint: failure.Hint}
	if failure.Class == replicator.Transient {
		f.Status = Warn
	}
	switch failure.Reason {
	case reasonFilesystem:
		f.Name = "source_filesystem"
	case reasonPermission, reasonWouldHarm, reasonIdle:
		f.Name = "source_owner"
	case reasonWritable:
		f.Name = "source_read_only"
	case reasonJournal:
		f.Name = "source_journal_mode"
	case reasonSchema, reasonNotReady:
		f.Name = "source_schema"
	default:
		f.Name = "source_file"
	}
	return f
}
