package sqlite

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Identity is who opens the file.
type Identity struct {
	UID, GID int
	// Groups are the supplementary groups.
	Groups []int
	// MayChown is set for root with the capability to give files away. SQLite
	// then gives -wal and -shm to the owner of the database.
	MayChown bool
}

// ownIdentity is that of this process.
func ownIdentity() Identity {
	id := Identity{UID: os.Geteuid(), GID: os.Getegid()}
	if groups, err := os.Getgroups(); err == nil {
		id.Groups = groups
	}
	id.MayChown = id.UID == 0 && mayChown("/proc/self/status")
	return id
}

// mayChown tells whether the effective capabilities hold CAP_CHOWN: a
// container's root may have lost it, and SQLite does not report a chown that
// failed. Where there are no capabilities to read, root has them all.
func mayChown(status string) bool {
	file, err := os.Open(status)
	if err != nil {
		return true
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return err != nil || set&1 != 0
		}
	}
	return true
}

// in tells whether the group is one of ours.
func (i Identity) in(group int) bool {
	return i.GID == group || slices.Contains(i.Groups, group)
}

// allows tells whether the modes let us do it; want is a set of unix.R_OK, W_OK
// and X_OK. Root passes over modes.
func (i Identity) allows(o owned, want os.FileMode) bool {
	return i.UID == 0 || i.grants(o, want)
}

// grants reads the mode bits as the kernel does for other users than root.
func (i Identity) grants(o owned, want os.FileMode) bool {
	bits := o.mode.Perm()
	switch {
	case i.UID == o.uid:
		bits >>= 6
	case i.in(o.gid):
		bits >>= 3
	}
	return bits&want == want
}

// may asks the kernel, which also knows about access lists and read-only
// mounts; for an identity of a test it reads the mode bits. It opens nothing.
func (s *Source) may(path string, o owned, want os.FileMode) bool {
	if s.opt.Identity != nil {
		return s.opt.Identity.allows(o, want)
	}
	return unix.Faccessat(unix.AT_FDCWD, path, uint32(want), unix.AT_EACCESS) == nil
}
