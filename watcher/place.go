package watcher

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// role is what a file is to us.
type role int

const (
	database role = iota
	wal
	doorbell
)

// directory is one that exists, and which one it was when we looked.
type directory struct {
	path string
	info fs.FileInfo
}

// place is where the database's files are.
type place struct {
	// dirs are the existing directories to listen to: one, or two where the
	// database is a symbolic link.
	dirs []directory
	// roles are the files that count, by path.
	roles map[string]role
}

// locate finds the place of a database. SQLite keeps -wal beside the file that
// a symbolic link points to; the doorbell is beside the name that its writer
// was given, which may be either.
func locate(path string) place {
	p := place{roles: make(map[string]role, 6)}
	p.add(path)
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			p.add(target)
		}
	}
	return p
}

// add takes in the files of a database at path.
func (p *place) add(path string) {
	p.roles[path] = database
	p.roles[path+"-wal"] = wal
	p.roles[path+"-doorbell"] = doorbell
	dir := filepath.Dir(path)
	if p.isDir(dir) {
		return
	}
	if info, err := os.Stat(dir); err == nil {
		p.dirs = append(p.dirs, directory{path: dir, info: info})
	}
}

// isDir tells whether path is one of the directories.
func (p *place) isDir(path string) bool {
	return slices.ContainsFunc(p.dirs, func(dir directory) bool { return dir.path == path })
}

// same tells whether both places are the same files in the same directories,
// by name and on the disk.
func (p *place) same(other place) bool {
	return maps.Equal(p.roles, other.roles) &&
		slices.EqualFunc(p.dirs, other.dirs, func(a, b directory) bool {
			return a.path == b.path && os.SameFile(a.info, b.info)
		})
}

// paths returns the directories' paths.
func (p *place) paths() []string {
	paths := make([]string, len(p.dirs))
	for i, dir := range p.dirs {
		paths[i] = dir.path
	}
	return paths
}
