package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"sidestream/replicator"
)

// mounts is a machine that has seen much.
const mounts = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /srv/nfs rw,relatime shared:9 master:2 - nfs4 host:/export rw,vers=4.2
31 30 0:41 / /srv/nfs/local rw - xfs /dev/vdb rw
32 22 0:42 / /srv/with\040blank\134and\011tab rw - 9p share rw
33 22 0:43 / /data rw - virtiofs data rw
34 33 0:44 / /data rw - tmpfs tmpfs rw
35 22 0:45 / /cover rw - ext4 /dev/vdc rw
36 35 0:46 / /cover rw - cifs //host/share rw
37 22 0:47 / /home/user/drive rw - fuse.sshfs user@host: rw
38 22 0:48 / /disk rw - fuseblk /dev/sdb1 rw
39 22 254:0 /var/lib/volumes/x/messages.db /app/messages.db rw - ext4 /dev/vda rw
40 22 0:49 / /layer rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
41 22 0:50 / /future rw unknown:1 optional - newfs none rw
a line that is none
42 22 0:51 /
`

func TestMountOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mountinfo")
	if err := os.WriteFile(path, []byte(mounts), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path, point, kind string
		support           support
	}{
		{"/messages.db", "/", "ext4", supportLocal},
		{"/srv/messages.db", "/", "ext4", supportLocal},
		{"/srv/nfs/messages.db", "/srv/nfs", "nfs4", supportShared},
		{"/srv/nfs2/messages.db", "/", "ext4", supportLocal},
		{"/srv/nfs/local/a/messages.db", "/srv/nfs/local", "xfs", supportLocal},
		{"/srv/with blank\\and\ttab/messages.db", "/srv/with blank\\and\ttab", "9p", supportShared},
		{"/data/messages.db", "/data", "tmpfs", supportLocal},
		{"/cover/messages.db", "/cover", "cifs", supportShared},
		{"/home/user/drive/messages.db", "/home/user/drive", "fuse.sshfs", supportShared},
		{"/disk/messages.db", "/disk", "fuseblk", supportUnknown},
		{"/app/messages.db", "/app/messages.db", "ext4", supportLocal},
		{"/app/messages.db-wal", "/", "ext4", supportLocal},
		{"/layer/messages.db", "/layer", "overlay", supportLocal},
		{"/future/messages.db", "/future", "newfs", supportUnknown},
	} {
		t.Run(test.path, func(t *testing.T) {
			m, err := mountOf(path, test.path)
			if err != nil {
				t.Fatal(err)
			}
			if m.point != test.point || m.kind != test.kind || supportOf(m.kind) != test.support {
				t.Errorf("got %+v (%d), want %s at %s (%d)", m, supportOf(m.kind), test.kind, test.point, test.support)
			}
		})
	}
	t.Run("is_an_error_without_the_file", func(t *testing.T) {
		if _, err := mountOf(path+"-absent", "/"); err == nil {
			t.Error("no error")
		}
	})
}

func TestSupportOf_shared_filesystems(t *testing.T) {
	for _, kind := range []string{
		"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "fuse", "fuse.s3fs", "fuse.grpcfuse", "ceph", "glusterfs",
		"afs", "vboxsf", "lustre", "fakeowner",
	} {
		if supportOf(kind) != supportShared {
			t.Errorf("%s is not refused", kind)
		}
	}
}

func TestPreflight_filesystem(t *testing.T) {
	dir := t.TempDir()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "messages.db")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, lines string, allow bool) *replicator.Failure {
		t.Helper()
		mountinfo := filepath.Join(t.TempDir(), "mountinfo")
		if err := os.WriteFile(mountinfo, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(Options{Path: path, Mountinfo: mountinfo, AllowSharedFilesystem: allow})
		if err != nil {
			t.Fatal(err)
		}
		_, failure := s.preflight()
		return failure
	}
	line := func(point, kind string) string { return "1 1 0:1 / " + point + " rw - " + kind + " x rw\n" }

	t.Run("refuses_a_shared_one", func(t *testing.T) {
		f := check(t, line(dir, "nfs4"), false)
		if f == nil || f.Class != replicator.Blocked || f.Reason != "source_filesystem" || f.Hint == "" {
			t.Errorf("got %v", f)
		}
	})
	t.Run("takes_a_shared_one_that_is_allowed", func(t *testing.T) {
		if f := check(t, line(dir, "nfs4"), true); f != nil {
			t.Errorf("got %v", f)
		}
	})
	t.Run("refuses_a_file_mounted_alone_in_any_case", func(t *testing.T) {
		for _, allow := range []bool{false, true} {
			if f := check(t, line("/", "ext4")+line(path, "ext4"), allow); f == nil || f.Reason != "source_filesystem" {
				t.Errorf("got %v", f)
			}
		}
	})
	t.Run("takes_local_and_unknown_ones", func(t *testing.T) {
		for _, kind := range []string{"ext4", "newfs"} {
			if f := check(t, line("/", kind), false); f != nil {
				t.Errorf("%s: got %v", kind, f)
			}
		}
	})
	t.Run("takes_a_machine_that_lists_no_mounts", func(t *testing.T) {
		if f := check(t, "", false); f != nil {
			t.Errorf("got %v", f)
		}
	})
}
