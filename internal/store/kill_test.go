package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// victim commits from many goroutines and prints what was acknowledged, one id
// to a line, until it is killed.
func victim(path string) {
	s, err := Open(context.Background(), Options{Path: path, MaxBatch: 8})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), g, i)
				changes := []Delivery{
					delivery(message(id, secret(os.Getpid())+strings.Repeat("x", 500))),
					undecoded("a", `{"mid":"`+id+`"}`),
					delivery(unsend(id)),
				}
				for kind, d := range changes {
					if _, err := s.Commit(context.Background(), d); err != nil {
						continue
					}
					mu.Lock()
					fmt.Printf("%d %s\n", kind, id)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
}

func TestStore_that_is_killed_keeps_what_it_acknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.db")
	acknowledged := map[string]bool{}
	for round := range 10 {
		kill(t, path, 50+37*round, acknowledged)

		s := openAt(t, path, nil)
		for line := range acknowledged {
			kind, id, _ := strings.Cut(line, " ")
			query := map[string]string{
				"0": "SELECT count(*) FROM messages WHERE kind = 'message' AND id = '" + id + "'",
				"1": "SELECT 1",
				"2": "SELECT count(*) FROM messages WHERE kind = 'unsend' AND id = '" + id + "'",
			}[kind]
			if n := count(t, s, query); n != 1 {
				t.Fatalf("round %d: %q was acknowledged and is not stored", round, line)
			}
		}
		if n := count(t, s, `SELECT count(*) FROM messages AS m JOIN messages AS u USING (account_id, id)
			WHERE m.message_text IS NOT NULL AND u.kind = 'unsend'`); n != 0 {
			t.Errorf("round %d: %d unsent texts", round, n)
		}
		var check string
		if scan(t, s, "PRAGMA integrity_check", &check); check != "ok" {
			t.Errorf("round %d: %s", round, check)
		}
		closeStore(t, s)
	}
}

// kill lets a writer acknowledge at least so many deliveries before it dies.
func kill(t *testing.T, path string, after int, acknowledged map[string]bool) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), victimEnv+"="+path)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		acknowledged[lines.Text()] = true
		if n == after {
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := command.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	if len(acknowledged) < after {
		t.Fatal("the writer did not start")
	}
}
