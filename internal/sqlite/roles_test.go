package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sidestream/internal/sqlite"
	"sidestream/replicator"
)

// roleVariable makes the test binary another process of a test.
const roleVariable = "SQLITE_TEST_ROLE"

// play is that process: it does what the lines on its standard input say and
// answers each with one line.
func play(role, path string) int {
	p := player{path: path}
	defer p.close()
	if role == "commit for ever" {
		return p.commitForEver()
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		answer := "ok"
		if err := p.do(commands.Text()); err != nil {
			answer = replicator.AsFailure(err).Reason
			if f := replicator.AsFailure(err); f.Unknown {
				answer = err.Error()
			}
		}
		fmt.Println(answer)
	}
	return 0
}

type player struct {
	path   string
	db     *sql.DB
	source *sqlite.Source
	after  replicator.Cursor
}

func (p *player) do(command string) error {
	ctx := context.Background()
	switch command {
	case "start writing":
		db, err := sql.Open("sqlite3", "file:"+p.path+"?_journal_mode=WAL&_busy_timeout=5000")
		if err != nil {
			return err
		}
		db.SetMaxOpenConns(1)
		p.db = db
		_, err = db.ExecContext(ctx, strings.Replace(messagesTable, "TABLE", "TABLE IF NOT EXISTS", 1))
		return err
	case "write":
		_, err := p.db.ExecContext(ctx, `INSERT INTO messages (id, kind, version, account_id, sender_id, recipient_id, direction,
			timestamp, created_at) VALUES (hex(randomblob(8)), 'message', 0, 'a', 's', 'r', 'inbound', 1, 1)`)
		return err
	case "stop writing":
		return p.db.Close()
	case "open unchecked":
		// What any program does that opens the file read-only and nothing else.
		db, err := sql.Open("sqlite3", "file:"+p.path+"?mode=ro")
		if err != nil {
			return err
		}
		var n int
		err = db.QueryRowContext(ctx, "SELECT count(*) FROM messages").Scan(&n)
		return errorsOf(err, db.Close())
	case "read":
		if p.source == nil {
			source, err := sqlite.New(sqlite.Options{Path: p.path})
			if err != nil {
				return err
			}
			p.source = source
		}
		chunk, err := p.source.Read(ctx, p.after, 100)
		if err != nil {
			return err
		}
		if len(chunk.Changes) == 0 {
			return fmt.Errorf("nothing new after %d", p.after.Position)
		}
		p.after = apply(p.after, chunk)
		return nil
	case "stop reading":
		return p.source.Close()
	}
	return fmt.Errorf("no command %q", command)
}

func (p *player) close() {
	if p.db != nil {
		p.db.Close()
	}
	if p.source != nil {
		p.source.Close()
	}
}

// commitForEver acknowledges each commit with a line, until it is killed.
func (p *player) commitForEver() int {
	if err := p.do("start writing"); err != nil {
		fmt.Println(err)
		return 1
	}
	for {
		if err := p.do("write"); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("committed")
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// process is a player seen from the test.
type process struct {
	tb    testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// start runs the test binary at exe as a player; no credential means our own.
func start(tb testing.TB, exe, role, path string, who *syscall.Credential) *process {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), exe, path)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	cmd.Dir = "/"
	stdin, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p := &process{tb: tb, cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
	tb.Cleanup(p.end)
	return p
}

// do sends a command and returns the answer.
func (p *process) do(command string) string {
	p.tb.Helper()
	if _, err := io.WriteString(p.stdin, command+"\n"); err != nil {
		p.tb.Fatal(err)
	}
	if !p.lines.Scan() {
		p.tb.Fatalf("no answer to %q", command)
	}
	return p.lines.Text()
}

// want sends a command and compares the answer.
func (p *process) want(command, answer string) {
	p.tb.Helper()
	if got := p.do(command); got != answer {
		p.tb.Errorf("%q was answered %q, want %q", command, got, answer)
	}
}

func (p *process) end() {
	p.stdin.Close()
	// A player that was killed by its test has an error to report.
	_ = p.cmd.Wait()
}

// sharedDir returns a directory that every user may reach, unlike what
// TempDir makes.
func sharedDir(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// sharedBinary copies the test binary to where every user may run it.
func sharedBinary(tb testing.TB) string {
	tb.Helper()
	own, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	content, err := os.ReadFile(own)
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(sharedDir(tb), "player")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		tb.Fatal(err)
	}
	return path
}
