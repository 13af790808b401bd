package watcher

import (
	"errors"
	"io/fs"
	"os"
)

// identity knows which file, by device and inode, a path named last.
type identity struct {
	info fs.FileInfo
	gone bool
}

// replaced takes the result of a stat and tells whether the path names another
// file than before. A file that had gone and is back counts as another one,
// because file systems give the inode of a deleted file to the next.
func (id *identity) replaced(info fs.FileInfo, err error) bool {
	if err != nil {
		id.gone = id.gone || (id.info != nil && errors.Is(err, fs.ErrNotExist))
		return false
	}
	replaced := id.info != nil && (id.gone || !os.SameFile(id.info, info))
	id.info, id.gone = info, false
	return replaced
}
