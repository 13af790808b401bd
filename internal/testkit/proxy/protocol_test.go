package proxy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
)

// recorder keeps every event as one line.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (r *recorder) rule(e proxy.Event) proxy.Action {
	line := fmt.Sprintf("%s %s %s", e.Command, e.Moment, firstWords(e.Text))
	if e.ErrorNumber != 0 {
		line += fmt.Sprintf(" error %d", e.ErrorNumber)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, strings.TrimSpace(line))
	return proxy.Pass()
}

func firstWords(text string) string { return text[:min(len(text), 20)] }

// take returns the lines and starts anew.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// watched is a rig with a recorder, on one connection that is open already.
func watched(t *testing.T, r rig) (*recorder, *sql.Conn) {
	t.Helper()
	conn, err := r.through.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	rec := &recorder{}
	r.proxy.Intercept(rec.rule)
	return rec, conn
}

func exec(t *testing.T, conn *sql.Conn, query string, args ...any) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", firstWords(query), err)
	}
}

// drain reads every row of every result and returns the number of both.
func drain(t *testing.T, conn *sql.Conn, query string, args ...any) (results, rows int) {
	t.Helper()
	set, err := conn.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", firstWords(query), err)
	}
	defer set.Close()
	for more := true; more; more = set.NextResultSet() {
		results++
		for set.Next() {
			rows++
		}
	}
	if err := set.Err(); err != nil {
		t.Fatalf("%s: %v", firstWords(query), err)
	}
	return results, rows
}

func wantLines(t *testing.T, rec *recorder, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, rec.take()); d != "" {
		t.Error(d)
	}
}

// round is what one command with a response looks like.
func round(command, text string) []string {
	var lines []string
	for _, moment := range []proxy.Moment{proxy.Received, proxy.Sent, proxy.Answered} {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", command, moment, text)))
	}
	return lines
}

func TestEvents(t *testing.T) {
	t.Parallel()

	multi := func(cfg *mysql.Config) { cfg.MultiStatements = true }

	t.Run("come_once_per_moment_of_every_kind_of_command", func(t *testing.T) {
		t.Parallel()
		rec, conn := watched(t, newRig(t, multi))

		exec(t, conn, "INSERT INTO messages (user_id) VALUES ('a'), ('b')")
		wantLines(t, rec, round("COM_QUERY", "INSERT INTO messages")...)

		if _, rows := drain(t, conn, "SELECT * FROM messages"); rows != 2 {
			t.Errorf("%d rows", rows)
		}
		wantLines(t, rec, round("COM_QUERY", "SELECT * FROM messag")...)

		if _, rows := drain(t, conn, "SELECT id FROM messages WHERE id < 0"); rows != 0 {
			t.Errorf("%d rows", rows)
		}
		wantLines(t, rec, round("COM_QUERY", "SELECT id FROM messa")...)

		if results, rows := drain(t, conn, "SELECT 1; DO 1; SELECT 2 UNION SELECT 3; DO 1"); results < 2 || rows != 3 {
			t.Errorf("%d results with %d rows", results, rows)
		}
		wantLines(t, rec, round("COM_QUERY", "SELECT 1; DO 1; SELE")...)

		if err := conn.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantLines(t, rec, round("COM_PING", "")...)
	})

	t.Run("follow_prepared_statements_and_their_cached_metadata", func(t *testing.T) {
		t.Parallel()
		rec, conn := watched(t, newRig(t))
		exec(t, conn, "INSERT INTO messages (user_id) VALUES ('a'), ('b')")
		rec.take()
		stmt, err := conn.PrepareContext(t.Context(), "SELECT id, user_id, message FROM messages WHERE id > ?")
		if err != nil {
			t.Fatal(err)
		}
		wantLines(t, rec, round("COM_STMT_PREPARE", "SELECT id, user_id,")...)
		for range 3 {
			rows, err := stmt.QueryContext(t.Context(), 0)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				n++
			}
			if err := rows.Err(); err != nil || n != 2 {
				t.Errorf("%d rows: %v", n, err)
			}
			rows.Close()
			wantLines(t, rec, round("COM_STMT_EXECUTE", "")...)
		}
		stmt.Close()
		exec(t, conn, "DO 1")
		wantLines(t, rec, append([]string{"COM_STMT_CLOSE received", "COM_STMT_CLOSE sent"}, round("COM_QUERY", "DO 1")...)...)
	})

	t.Run("tell_the_error_of_a_failed_command", func(t *testing.T) {
		t.Parallel()
		rec, conn := watched(t, newRig(t, multi))
		if _, err := conn.ExecContext(t.Context(), "DO 1; INSERT INTO messages (direction) VALUES ('x')"); err == nil {
			t.Error("no error")
		}
		want := round("COM_QUERY", "DO 1; INSERT INTO me")
		want[2] += " error 1265"
		wantLines(t, rec, want...)
	})

	t.Run("stay_in_step_behind_a_local_file", func(t *testing.T) {
		t.Parallel()
		// More packets than there are sequence numbers, so that one of them looks
		// like the start of a command.
		const lines = 10_000
		mysql.RegisterReaderHandler("proxy-test", func() io.Reader {
			return strings.NewReader(strings.Repeat(strings.Repeat("x", 90)+"\n", lines))
		})
		defer mysql.DeregisterReaderHandler("proxy-test")
		small := func(cfg *mysql.Config) { cfg.MaxAllowedPacket = 2048 }
		rec, conn := watched(t, newRig(t, small))
		exec(t, conn, "LOAD DATA LOCAL INFILE 'Reader::proxy-test' INTO TABLE messages (user_id)")
		wantLines(t, rec, round("COM_QUERY", "LOAD DATA LOCAL INFI")...)
		if _, rows := drain(t, conn, "SELECT id FROM messages"); rows != lines {
			t.Errorf("%d rows, want %d", rows, lines)
		}
		wantLines(t, rec, round("COM_QUERY", "SELECT id FROM messa")...)
	})
}

func TestLargePackets(t *testing.T) {
	t.Parallel()
	s := mariadb.Start(t, mariadb.Args("--max-allowed-packet=256M"))
	r := rigOn(t, s, func(cfg *mysql.Config) { cfg.MaxAllowedPacket, cfg.InterpolateParams = 256<<20, true })
	r.db.Exec(t, "CREATE TABLE big (body LONGBLOB) ENGINE=MyISAM")
	rec, conn := watched(t, r)

	// Sizes around the split: the statement adds some bytes to the text.
	for _, size := range []int{1<<24 - 64, 1<<24 - 1, 2<<24 + 100} {
		text := strings.Repeat("sidestream ", size/11+1)[:size]
		exec(t, conn, "INSERT INTO big VALUES ('"+text+"')")
		wantLines(t, rec, round("COM_QUERY", "INSERT INTO big VALU")...)
		var got string
		if err := conn.QueryRowContext(t.Context(), "SELECT body FROM big").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256([]byte(got)) != sha256.Sum256([]byte(text)) {
			t.Errorf("%d bytes came back changed: %d bytes", size, len(got))
		}
		wantLines(t, rec, round("COM_QUERY", "SELECT body FROM big")...)
		exec(t, conn, "DELETE FROM big")
		rec.take()
	}

	// A row whose packets begin like an EOF packet and like an error.
	var got []byte
	if err := conn.QueryRowContext(t.Context(), "SELECT REPEAT(X'FF', 40000000)").Scan(&got); err != nil || len(got) != 40_000_000 {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	wantLines(t, rec, round("COM_QUERY", "SELECT REPEAT(X'FF',")...)

	// A swallowed response of several packets does not reach the client in part.
	r.proxy.Intercept(proxy.At(proxy.Sent, "SELECT", proxy.SwallowResponse()))
	if err := conn.QueryRowContext(t.Context(), "SELECT REPEAT('x', 20000000)").Scan(&got); err == nil {
		t.Error("the response arrived")
	}
	r.wantCount(t, proxy.KindSwallow, 1)

	// Sent means that all packets of the command are.
	_ = conn.Close()
	r.proxy.Intercept(proxy.At(proxy.Sent, "INSERT", proxy.HalfClose()))
	_, _ = r.through.ExecContext(t.Context(), "INSERT INTO big VALUES ('"+strings.Repeat("x", 20_000_000)+"')")
	r.wantCount(t, proxy.KindHalfClose, 1)
	testkit.Eventually(t, patience, func() bool { return r.db.Int(t, "SELECT COUNT(*) FROM big") == 1 }, "row stored")
}

func TestUnreadTraffic(t *testing.T) {
	t.Parallel()

	t.Run("compressed_passes_through", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, func(cfg *mysql.Config) {
			if err := cfg.Apply(mysql.EnableCompression(true)); err != nil {
				t.Error(err)
			}
		})
		wantUnread(t, r)
	})

	t.Run("encrypted_passes_through", func(t *testing.T) {
		t.Parallel()
		cert, key := certificate(t)
		s := mariadb.Start(t, mariadb.Args("--ssl-cert="+cert, "--ssl-key="+key))
		r := rigOn(t, s, func(cfg *mysql.Config) {
			cfg.TLS = &tls.Config{InsecureSkipVerify: true} // the certificate is made up
		})
		wantUnread(t, r)
		var cipher, value string
		if err := r.through.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&cipher, &value); err != nil || value == "" {
			t.Errorf("not encrypted: %q, %v", value, err)
		}
	})
}

func wantUnread(t *testing.T, r rig) {
	t.Helper()
	rec := &recorder{}
	r.proxy.Intercept(rec.rule)
	ctx := context.WithoutCancel(t.Context())
	text := strings.Repeat("a long text that compresses well ", 1000)
	if _, err := r.through.ExecContext(ctx, "INSERT INTO messages (message) VALUES (?)", text); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := r.through.QueryRowContext(ctx, "SELECT message FROM messages").Scan(&got); err != nil || got != text {
		t.Errorf("%d of %d bytes came back: %v", len(got), len(text), err)
	}
	wantLines(t, rec, "connecting")
	r.proxy.All(t, proxy.Drop())
	r.wantCount(t, proxy.KindDrop, 1)
}

// certificate writes a self-signed certificate where the server can read it.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := publicDir(t)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert},
		keyFile:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o644); err != nil { // the server is another user
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// publicDir is a directory that the server's user can reach, which is not the
// case for the test's own.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sidestream-cert-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
