package sqlite

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPreflight_harm is the table of who may open first. Opening creates -wal
// and -shm where they are missing.
func TestPreflight_harm(t *testing.T) {
	owner, group := os.Getuid(), os.Getgid()
	stranger := Identity{UID: owner + 1000, GID: group + 1000}
	member := Identity{UID: owner + 1000, GID: group}
	supplementary := Identity{UID: owner + 1000, GID: group + 1000, Groups: []int{group}}
	for _, test := range []struct {
		name      string
		who       Identity
		file, dir os.FileMode
		beside    string // which of -wal and -shm exist
		want      string
	}{
		{"the_owner_may", Identity{UID: owner, GID: group}, 0o600, 0o755, "", ""},
		{"root_that_may_chown_may", Identity{UID: 0, MayChown: true}, 0o600, 0o755, "", ""},
		{"a_stranger_would_harm", stranger, 0o644, 0o777, "", "source_would_harm"},
		{"a_stranger_would_harm_with_only_a_wal", stranger, 0o644, 0o777, "-wal", "source_would_harm"},
		{"a_stranger_would_harm_with_only_a_shm", stranger, 0o644, 0o777, "-shm", "source_would_harm"},
		{"a_stranger_may_when_both_are_there", stranger, 0o644, 0o777, "-wal-shm", ""},
		{"a_stranger_may_where_all_may_write", stranger, 0o666, 0o777, "", ""},
		{"a_stranger_that_cannot_create_waits", stranger, 0o644, 0o755, "", "source_idle"},
		{"a_stranger_that_cannot_create_reads_what_is_there", stranger, 0o644, 0o755, "-wal-shm", ""},
		{"a_stranger_that_cannot_read_is_told", stranger, 0o600, 0o755, "-wal-shm", "source_permission"},
		{"a_member_with_the_group_as_its_own_may", member, 0o660, 0o775, "", ""},
		{"a_member_would_harm_without_group_write", member, 0o640, 0o775, "", "source_would_harm"},
		{"a_member_whose_files_get_another_group_would_harm", supplementary, 0o660, 0o775, "", "source_would_harm"},
		{"a_member_may_where_the_directory_passes_the_group_on", supplementary, 0o660, 0o775 | os.ModeSetgid, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			path := filepath.Join(dir, "messages.db")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			files := []string{""}
			switch test.beside {
			case "-wal-shm":
				files = append(files, "-wal", "-shm")
			case "":
			default:
				files = append(files, test.beside)
			}
			for _, suffix := range files {
				if err := os.WriteFile(path+suffix, []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path+suffix, test.file); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, test.dir); err != nil {
				t.Fatal(err)
			}
			s, err := New(Options{Path: path, Identity: &test.who})
			if err != nil {
				t.Fatal(err)
			}
			_, failure := s.preflight()
			switch {
			case failure == nil && test.want != "":
				t.Errorf("allowed, want %s", test.want)
			case failure != nil && failure.Reason != test.want:
				t.Errorf("got %v, want %q", failure, test.want)
			case failure != nil && failure.Hint == "":
				t.Errorf("no hint in %v", failure)
			}
		})
	}
	t.Run("root_without_the_right_to_chown_is_a_stranger", func(t *testing.T) {
		p := place{db: owned{uid: 1001, gid: 1001, mode: 0o644}, who: Identity{UID: 0, GID: 0}}
		if p.writerCouldWrite(p.created()) {
			t.Error("a file of root passes as the writer's")
		}
	})
}

func TestPreflight_notices_files_that_the_owner_cannot_write(t *testing.T) {
	p := place{
		db:  owned{id: fileID{1, 1}, uid: 1001, gid: 1001, mode: 0o644},
		wal: owned{id: fileID{1, 2}, uid: 1002, gid: 1002, mode: 0o644},
		shm: owned{id: fileID{1, 3}, uid: 1001, gid: 1001, mode: 0o644},
	}
	if files := p.notForWriter(); len(files) != 1 || files[0].path != "-wal" {
		t.Errorf("got %v", files)
	}
}

func TestMayChown(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		want   bool
	}{
		"all_capabilities":   {"Name:\tx\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\n", true},
		"none":               {"CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n", false},
		"all_but_chown":      {"CapEff:\t000001fffffffffe\n", false},
		"nothing_to_read":    {"Name:\tx\n", true},
		"what_is_no_number":  {"CapEff:\tzz\n", true},
		"a_container's_few":  {"CapEff:\t00000000a80425fb\n", true},
		"another_user's_few": {"CapEff:\t0000000000000400\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "status")
			if err := os.WriteFile(path, []byte(test.status), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := mayChown(path); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
	if !mayChown(filepath.Join(t.TempDir(), "absent")) {
		t.Error("a system without capabilities is taken for one that lacks them")
	}
}
