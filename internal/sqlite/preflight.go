package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sidestream/replicator"
)

// place is what looking at the file without opening it has found.
type place struct {
	// real is the path without symbolic links.
	real  string
	mount mount
	// db, wal, shm and dir are zero where the file is absent.
	db, wal, shm, dir owned
	who               Identity
}

// preflight decides whether the file may be opened at all. It only ever stats:
// an open and close of the database outside SQLite drops SQLite's locks.
func (s *Source) preflight() (place, *replicator.Failure) {
	p := place{who: ownIdentity()}
	if s.opt.Identity != nil {
		p.who = *s.opt.Identity
	}
	for _, check := range []func(*place) *replicator.Failure{s.locate, s.checkFilesystem, s.checkAccess} {
		if failure := check(&p); failure != nil {
			return p, failure
		}
	}
	if info, err := os.Lstat(p.real); err == nil && info.Size() == 0 {
		// Opening it now could make the writer's journal_mode=WAL fail.
		return p, transient(reasonNotReady, "", "%s is empty: the writer has not made its tables yet", s.opt.Path)
	}
	return p, s.checkHarm(p)
}

// locate finds the database and the files beside it.
func (s *Source) locate(p *place) *replicator.Failure {
	real, err := filepath.EvalSymlinks(s.opt.Path)
	if err != nil {
		return s.statFailure(err)
	}
	p.real = real
	info, err := os.Lstat(real)
	if err != nil {
		return s.statFailure(err)
	}
	if !info.Mode().IsRegular() {
		return blocked("source_not_a_file", "set database.path to the writer's SQLite file", "%s is not a file", s.opt.Path)
	}
	p.db = ownership(info)
	if info, err = os.Stat(filepath.Dir(real)); err != nil {
		return s.statFailure(err)
	}
	p.dir = ownership(info)
	for _, beside := range []struct {
		suffix string
		*owned
	}{{"-wal", &p.wal}, {"-shm", &p.shm}} {
		if info, err := os.Lstat(real + beside.suffix); err == nil {
			*beside.owned = ownership(info)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return s.statFailure(err)
		}
	}
	return nil
}

func (s *Source) statFailure(err error) *replicator.Failure {
	var failure *replicator.Failure
	switch {
	case errors.Is(err, fs.ErrNotExist):
		failure = transient(reasonMissing, "start the writer, which makes it, or correct database.path; where it was there before, put it back", "%s does not exist", s.opt.Path)
		if dir := filepath.Dir(s.opt.Path); isMissing(dir) {
			failure = transient(reasonMissing, "make the directory, or correct database.path: the writer does not make one", "the directory %s does not exist", dir)
		}
	case errors.Is(err, fs.ErrPermission):
		failure = blocked(reasonPermission, "let the replicator's user search the directory of the database",
			"no access to the directory of %s", s.opt.Path)
	default:
		failure = transient(reasonIO, "", "cannot look at %s", s.opt.Path)
	}
	failure.Err = err
	return failure
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// checkFilesystem refuses what WAL cannot work on.
func (s *Source) checkFilesystem(p *place) *replicator.Failure {
	// Not every system lists its mounts; Inspect says so.
	m, _ := mountOf(s.opt.Mountinfo, p.real)
	p.mount = m
	if m.point == p.real {
		return blocked(reasonFilesystem, "mount the directory that holds the database, not the file",
			"%s is mounted as a single file: its -wal and -shm are not the writer's", s.opt.Path)
	}
	if supportOf(m.kind) == supportShared && !s.opt.AllowSharedFilesystem {
		return blocked(reasonFilesystem,
			"keep the database on a local disk or volume of the machine on which the writer runs",
			"%s is on %s (mounted at %s), where SQLite's WAL does not work", s.opt.Path, m.kind, m.point)
	}
	return nil
}

// checkAccess finds out whether we may read what is there.
func (s *Source) checkAccess(p *place) *replicator.Failure {
	for _, file := range []ownedFile{{p.real, p.db}, {p.real + "-wal", p.wal}, {p.real + "-shm", p.shm}} {
		if file.id != (fileID{}) && !s.may(file.path, file.owned, unix.R_OK) {
			return blocked(reasonPermission, "run both programs as the same user, or let the replicator's user read the file",
				"uid %d may not read %s (owner %d:%d, mode %04o)", p.who.UID, file.path, file.uid, file.gid, file.mode.Perm())
		}
	}
	return nil
}

// checkHarm refuses to open where SQLite would create -wal or -shm as files that
// the writer could not write: the writer would fail from then on.
func (s *Source) checkHarm(p place) *replicator.Failure {
	if p.wal.id != (fileID{}) && p.shm.id != (fileID{}) {
		return nil
	}
	if !s.may(filepath.Dir(p.real), p.dir, unix.W_OK|unix.X_OK) {
		return transient(reasonIdle, "start the writer: it makes the -wal and -shm files that a read-only reader needs",
			"the writer is stopped and uid %d may not create -wal and -shm beside %s", p.who.UID, s.opt.Path)
	}
	if p.writerCouldWrite(p.created()) {
		return nil
	}
	return transient(reasonWouldHarm,
		"run both containers with the same user (runAsUser), or with one group (fsGroup) and a database of mode 0660; "+
			"until then the replicator waits for the writer to create the files",
		"opening %s now would create -wal and -shm that belong to uid %d, and the writer (uid %d) could not write them",
		s.opt.Path, p.who.UID, p.db.uid)
}

// created is what SQLite makes of a new -wal or -shm: the mode of the database,
// and its owner too where we may give files away. The group is ours, or that of
// a directory with the set-group-id bit.
func (p place) created() owned {
	if p.who.MayChown {
		return p.db
	}
	o := owned{uid: p.who.UID, gid: p.who.GID, mode: p.db.mode}
	if p.dir.mode&os.ModeSetgid != 0 {
		o.gid = p.dir.gid
	}
	return o
}

// writerCouldWrite takes the owner of the database for the writer. Which groups
// it is in cannot be seen, except that it made a database of that group; and a
// container's root may lack the right to pass over modes.
func (p place) writerCouldWrite(o owned) bool {
	return o.uid == p.db.uid || Identity{UID: p.db.uid, GID: p.db.gid}.grants(o, unix.R_OK|unix.W_OK)
}

// afterOpen looks again: the writer may have stopped, and taken its files with
// it, between the check and the opening.
func (s *Source) afterOpen(before place) *replicator.Failure {
	after := place{who: before.who}
	if failure := s.locate(&after); failure != nil {
		return failure
	}
	if after.real != before.real || after.db.id != before.db.id {
		return transient(reasonBusy, "", "%s is being replaced", s.opt.Path)
	}
	for _, file := range after.notForWriter() {
		s.opt.Logger.Error("a file beside the database is not writable for the database's owner: if that is the writer, it cannot store messages",
			"path", file.path, "file_uid", file.uid, "database_uid", after.db.uid)
	}
	return nil
}

// ownedFile is a file beside the database.
type ownedFile struct {
	path string
	owned
}

// notForWriter returns which of -wal and -shm the owner of the database could
// not write. Reading does no further harm then, so that is said, not refused.
func (p place) notForWriter() []ownedFile {
	var files []ownedFile
	for _, file := range []ownedFile{{p.real + "-wal", p.wal}, {p.real + "-shm", p.shm}} {
		if file.id != (fileID{}) && !p.writerCouldWrite(file.owned) {
			files = append(files, file)
		}
	}
	return files
}
