package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sidestream/internal/sqlite"
)

func TestInspect(t *testing.T) {
	// lines are "name status", and every line that is not ok has a hint.
	lines := func(t *testing.T, s *sqlite.Source) []string {
		t.Helper()
		var list []string
		for _, f := range s.Inspect(t.Context()) {
			list = append(list, fmt.Sprint(f.Name, " ", f.Status))
			if f.Text == "" || (f.Hint == "") != (f.Status == sqlite.OK) {
				t.Errorf("%+v", f)
			}
		}
		return list
	}
	want := func(t *testing.T, s *sqlite.Source, want ...string) {
		t.Helper()
		if got := lines(t, s); strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
	mounts := func(t *testing.T, kind string, allow bool) func(*sqlite.Options) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "mountinfo")
		if err := os.WriteFile(path, []byte("1 1 0:1 / / rw - "+kind+" x rw\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return func(o *sqlite.Options) { o.Mountinfo, o.AllowSharedFilesystem = path, allow }
	}
	opened := []string{"source_owner ok", "source_read_only ok", "source_journal_mode ok", "source_schema ok", "source_sequence ok"}

	t.Run("finds_nothing_wrong_with_our_writer's_file", func(t *testing.T) {
		w := newWriter(t)
		w.messages(3)
		s := newSource(t, w.path, mounts(t, "ext4", false))
		want(t, s, append([]string{"source_file ok", "source_filesystem ok"}, opened...)...)
	})
	t.Run("warns_of_a_shared_filesystem_that_is_allowed", func(t *testing.T) {
		s := newSource(t, newWriter(t).path, mounts(t, "nfs", true))
		want(t, s, append([]string{"source_file ok", "source_filesystem warn"}, opened...)...)
	})
	t.Run("warns_of_a_filesystem_that_it_does_not_know", func(t *testing.T) {
		s := newSource(t, newWriter(t).path, mounts(t, "newfs", false))
		want(t, s, append([]string{"source_file ok", "source_filesystem warn"}, opened...)...)
	})
	t.Run("warns_where_the_mounts_cannot_be_read", func(t *testing.T) {
		s := newSource(t, newWriter(t).path, func(o *sqlite.Options) { o.Mountinfo = filepath.Join(t.TempDir(), "absent") })
		want(t, s, append([]string{"source_file ok", "source_filesystem warn"}, opened...)...)
	})
	t.Run("stops_at_a_shared_filesystem", func(t *testing.T) {
		path := newWriter(t).path
		want(t, newSource(t, path, mounts(t, "nfs", false)), "source_file ok", "source_filesystem fail")
	})
	t.Run("warns_of_a_file_that_is_not_there_yet", func(t *testing.T) {
		want(t, newSource(t, filepath.Join(t.TempDir(), "absent.db")), "source_file warn")
	})
	t.Run("fails_on_what_is_no_database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("x", 5000)), 0o644); err != nil {
			t.Fatal(err)
		}
		got := lines(t, newSource(t, path, mounts(t, "ext4", false)))
		if len(got) == 0 || got[len(got)-1] != "source_file fail" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("names_a_user_who_would_harm", func(t *testing.T) {
		w := newWriter(t)
		w.close()
		if err := os.Chmod(filepath.Dir(w.path), 0o777); err != nil {
			t.Fatal(err)
		}
		who := sqlite.Identity{UID: os.Getuid() + 1000, GID: os.Getgid() + 1000}
		s := newSource(t, w.path, mounts(t, "ext4", false), func(o *sqlite.Options) { o.Identity = &who })
		want(t, s, "source_file ok", "source_filesystem ok", "source_owner warn")
		text := s.Inspect(t.Context())[2].Text
		for _, uid := range []int{who.UID, os.Getuid()} {
			if !strings.Contains(text, fmt.Sprint("uid ", uid)) {
				t.Errorf("%q does not name uid %d", text, uid)
			}
		}
		if files, _ := filepath.Glob(w.path + "*"); len(files) != 1 {
			t.Errorf("the check left %v", files)
		}
	})
	t.Run("fails_on_files_that_the_writer_cannot_write", func(t *testing.T) {
		w := newWriter(t)
		w.close()
		if os.Geteuid() != 0 {
			return // Only root can give files away; the rule itself is tested apart.
		}
		s := newSource(t, w.path, mounts(t, "ext4", false))
		if _, _, _, err := s.Bounds(t.Context()); err != nil {
			t.Fatal(err)
		}
		own(t, w.path, 10001, 10001)
		own(t, w.path+"-shm", 10002, 10002)
		got := s.Inspect(t.Context())
		if f := got[2]; f.Name != "source_owner" || f.Status != sqlite.Fail || !strings.Contains(f.Text, "-wal") {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("fails_on_the_schema", func(t *testing.T) {
		w := newWriter(t)
		w.exec("ALTER TABLE messages DROP COLUMN attachments")
		s := newSource(t, w.path, mounts(t, "ext4", false))
		want(t, s, "source_file ok", "source_filesystem ok", "source_owner ok", "source_schema fail")
	})
	t.Run("warns_of_numbers_that_are_used_again", func(t *testing.T) {
		w := newWriterAt(t, filepath.Join(t.TempDir(), "messages.db"), reusingTable)
		w.messages(1)
		got := newSource(t, w.path).Inspect(t.Context())
		if f := got[len(got)-1]; f.Name != "source_sequence" || f.Status != sqlite.Warn {
			t.Errorf("got %+v", f)
		}
	})
}
