package e2e_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sidestream/internal/testkit"
)

// TestSource_other_user runs the programs as two users. Whatever the replicator
// may do to the file, the writer must never fail. Other users take root.
func TestSource_other_user(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("one user only: others take root")
		p := newRunningPair(t, 20)
		p.goesOn(t, 20)
		return
	}
	owner := &syscall.Credential{Uid: 10001, Gid: 10001}
	stranger := &syscall.Credential{Uid: 10002, Gid: 10002}

	// arrange gives the writer's user a directory, and both what they run.
	arrange := func(t *testing.T, mode os.FileMode) *couple {
		t.Helper()
		c := &couple{pair: newPair(t), bin: t.TempDir()}
		data := filepath.Join(c.dir, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{filepath.Dir(c.dir), c.dir, filepath.Dir(c.bin), c.bin} {
			mustChmod(t, dir, 0o755)
		}
		mustChmod(t, c.config, 0o644)
		if err := os.Chown(data, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
		mustChmod(t, data, mode)
		c.path = filepath.Join(data, "messages.db")
		return c
	}
	// write starts the writer and wants n messages stored at the first attempt.
	write := func(t *testing.T, c *couple, n int) {
		t.Helper()
		c.writer = c.startAs(t, owner, "writer")
		c.writer.WaitOutput(t, patient, `"msg":"started"`)
		c.post(t, n)
	}
	end := func(t *testing.T, c *couple) {
		t.Helper()
		c.end(t)
		if n := c.refused.Load(); n > 0 {
			t.Errorf("the writer failed %d times", n)
		}
	}
	// open lets everybody read what the writer has made for itself and its group.
	open := func(t *testing.T, c *couple) {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Chmod(c.path+suffix, 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	t.Run("that_could_make_the_wal_and_comes_first", func(t *testing.T) {
		c := arrange(t, 0o777)
		c.startAs(t, stranger, "replicator")
		c.waits(t, "source_missing")
		write(t, c, 20)
		c.blocked(t, "source_permission", "as the same user")
		c.post(t, 20)
		open(t, c)
		c.arrived(t)
		end(t, c)
	})
	for name, tc := range map[string]struct {
		mode   os.FileMode
		reason string
	}{
		"that_could_make_the_wal_while_the_writer_is_stopped": {0o777, "source_would_harm"},
		"that_could_not_make_the_wal":                         {0o755, "source_idle"},
	} {
		t.Run(name, func(t *testing.T) {
			c := arrange(t, tc.mode)
			write(t, c, 20)
			end(t, c)
			open(t, c)
			c.startAs(t, stranger, "replicator")
			c.waits(t, tc.reason)
			for range 3 {
				write(t, c, 20)
				c.arrived(t)
				end(t, c)
			}
		})
	}
	t.Run("that_may_not_read", func(t *testing.T) {
		c := arrange(t, 0o755)
		write(t, c, 20)
		c.startAs(t, stranger, "replicator")
		c.blocked(t, "source_permission", "let the replicator's user read the file")
		c.post(t, 20)
		open(t, c)
		c.goesOn(t, 20)
		end(t, c)
	})
	t.Run("whose_commands_come_while_the_writer_is_stopped", func(t *testing.T) {
		c := arrange(t, 0o777)
		write(t, c, 20)
		end(t, c)
		open(t, c)
		for _, args := range [][]string{{"check"}, {"cursor", "show"}, {"cursor", "init", "--at", "beginning"}} {
			command := c.startAs(t, stranger, "replicator", args...)
			command.Wait(t, patient)
			wantText(t, command.Stdout()+command.Stderr(), "and the writer (uid 10001) could not write them", "runAsUser")
			for _, suffix := range []string{"-wal", "-shm"} {
				if _, err := os.Stat(c.path + suffix); err == nil {
					t.Errorf("replicator %v has made a %s", args, suffix)
				}
			}
		}
		write(t, c, 20)
		c.startAs(t, stranger, "replicator")
		c.arrived(t)
		end(t, c)
	})
}

// couple is a pair whose programs run as different users.
type couple struct {
	*pair
	bin string
}

// startAs starts a copy of a program that every user may run.
func (c *couple) startAs(t *testing.T, who *syscall.Credential, program string, args ...string) *testkit.Process {
	t.Helper()
	path := filepath.Join(c.bin, program)
	if _, err := os.Stat(path); err != nil {
		content, err := os.ReadFile(testkit.BuildBinary(t, "sidestream/cmd/"+program))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return testkit.StartProcess(t, testkit.ProcessOptions{
		Path: path, Args: append(args, "-c", c.config), Dir: c.dir, Credential: who, Env: []string{"SIDESTREAM_DATABASE_PATH=" + c.path},
	})
}

func mustChmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
