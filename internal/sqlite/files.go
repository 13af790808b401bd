package sqlite

import (
	"os"
	"path/filepath"
	"syscall"
)

// fileID says which file a path leads to: zero where it leads to none.
type fileID struct {
	device, inode uint64
}

// fileSet is the identity of a database: SQLite keeps using the three files
// that it opened, whatever is put in their places later.
type fileSet struct {
	db, wal, shm fileID
}

// statFiles looks at the files under path. The database itself may be a
// symbolic link; SQLite keeps -wal and -shm beside what it leads to.
func statFiles(path string) fileSet {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fileSet{}
	}
	return fileSet{db: idOf(real), wal: idOf(real + "-wal"), shm: idOf(real + "-shm")}
}

func idOf(path string) fileID {
	info, err := os.Lstat(path)
	if err != nil {
		return fileID{}
	}
	return ownership(info).id
}

// owned is what permissions are decided by.
type owned struct {
	id       fileID
	uid, gid int
	mode     os.FileMode
}

func ownership(info os.FileInfo) owned {
	o := owned{mode: info.Mode()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		o.id = fileID{device: uint64(st.Dev), inode: st.Ino} //nolint:unconvert // Dev is signed on some systems.
		o.uid, o.gid = int(st.Uid), int(st.Gid)
	}
	return o
}
