package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// mount is where a path lives.
type mount struct {
	point string
	// kind is the filesystem's name, empty where the mounts cannot be read.
	kind string
}

// mountOf finds the mount of an absolute path without symbolic links in a file
// of the form of /proc/self/mountinfo (proc_pid_mountinfo(5)).
func mountOf(mountinfo, path string) (mount, error) {
	file, err := os.Open(mountinfo)
	if err != nil {
		return mount{}, fmt.Errorf("read the mounts: %w", err)
	}
	defer file.Close()
	var best mount
	lines := bufio.NewScanner(file)
	// An overlay's options name all its layers and make long lines.
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m, ok := parseMount(lines.Text())
		// The last of several mounts on one point covers the others.
		if ok && under(path, m.point) && len(m.point) >= len(best.point) {
			best = m
		}
	}
	if err := lines.Err(); err != nil {
		return mount{}, fmt.Errorf("read the mounts: %w", err)
	}
	return best, nil
}

// parseMount reads a line such as
// "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw".
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	if !ok {
		return mount{}, false
	}
	fields, rest := strings.Fields(before), strings.Fields(after)
	if len(fields) < 6 || len(rest) < 1 {
		return mount{}, false
	}
	return mount{point: unescape(fields[4]), kind: unescape(rest[0])}, true
}

// unescape decodes the octal escapes of blanks, line ends and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out = append(out, byte(code))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// under tells whether path is point or below it.
func under(path, point string) bool {
	if point == "/" || path == point {
		return true
	}
	return strings.HasPrefix(path, filepath.Clean(point)+"/")
}

// support is what a filesystem means for WAL, which needs file locks and memory
// that every process sees alike (https://www.sqlite.org/wal.html).
type support int

const (
	supportUnknown support = iota
	supportLocal
	supportShared
)

// supportOf sorts a filesystem by its name in mountinfo.
func supportOf(kind string) support {
	if kind == "fuse" || strings.HasPrefix(kind, "fuse.") {
		return supportShared
	}
	switch kind {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "overlayfs", "aufs", "f2fs",
		"bcachefs", "jfs", "nilfs2", "reiserfs", "ramfs", "rootfs", "shiftfs", "erofs", "squashfs":
		return supportLocal
	case "nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "9p", "virtiofs", "ceph", "glusterfs",
		"afs", "kafs", "coda", "lustre", "gpfs", "beegfs", "fhgfs", "orangefs", "pvfs2", "ocfs2", "gfs", "gfs2",
		"vboxsf", "vmhgfs", "prl_fs", "prl_fs_freeze", "drvfs", "osxfs", "grpcfuse", "fakeowner", "davfs", "sshfs":
		return supportShared
	}
	return supportUnknown
}
