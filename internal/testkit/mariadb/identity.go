package mariadb

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that a server runs as. The zero value is the test's own.
type identity struct {
	// set is true where the test is root and the server is not: mariadbd refuses
	// to be root, and Galera's rsync transfer fails as root.
	set      bool
	uid, gid int
	// root is true where the server has to run as root, because the directory
	// cannot be reached by anybody else.
	root bool
}

// identityFor picks the user for a server that has to get into dirs.
func identityFor(dirs ...string) identity {
	if os.Geteuid() != 0 {
		return identity{}
	}
	for _, dir := range dirs {
		if !reachable(dir) {
			return identity{root: true}
		}
	}
	for _, name := range []string{"mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil {
			return identity{set: true, uid: uid, gid: gid}
		}
	}
	return identity{root: true}
}

// reachable tells whether everybody may walk down to dir.
func reachable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		up := filepath.Dir(dir)
		if up == dir {
			return true
		}
		dir = up
	}
}

// args are the server's options for this identity.
func (id identity) args() []string {
	if id.root {
		return []string{"--user=root"}
	}
	return nil
}

// attributes put a process into a group of its own and under this identity.
func (id identity) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if id.set {
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attr
}

// own gives everything under dir to this identity.
func (id identity) own(dir string) error {
	if !id.set {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id.uid, id.gid)
	})
	if err != nil {
		return fmt.Errorf("change owner: %w", err)
	}
	return nil
}
