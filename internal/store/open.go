package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers the driver
)

// busyTimeout is how long a commit waits for another process that writes, such
// as a subcommand of ours or a person's shell.
const busyTimeout = 5 * time.Second

// openWriting opens the connection that writes, and the file with it where it
// is missing. Nothing is changed in a file that is not ours.
func openWriting(ctx context.Context, opts Options, bell *doorbell) (*sql.DB, *sql.Conn, error) {
	params := map[string]string{"mode": "rwc", "_txlock": "immediate", "_synchronous": "FULL", "_secure_delete": "on"}
	if _, err := os.Stat(opts.Path); errors.Is(err, os.ErrNotExist) {
		// SQLite creates files as 0644, which leaves the group out whatever the
		// umask says; the doorbell has the mode that the umask lets through.
		if bell.hang(); bell.file != nil {
			params["modeof"] = bell.path
		}
	}
	db, err := sql.Open("sqlite3", dsn(opts.Path, params))
	if err != nil {
		return nil, nil, translate("open", err)
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err == nil {
		if err = prepareFile(ctx, conn); err == nil {
			return db, conn, nil
		}
		conn.Close()
	}
	db.Close()
	return nil, nil, fmt.Errorf("%w (file %s)", translate("open", err), opts.Path)
}

// openReading opens the connections for what is read beside the writing: lists
// and metrics.
func openReading(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", dsn(path, map[string]string{"mode": "rw", "_query_only": "on"}))
	if err != nil {
		return nil, translate("open", err)
	}
	db.SetMaxOpenConns(2)
	db.SetMaxIdleConns(1)
	return db, nil
}

func dsn(path string, params map[string]string) string {
	query := []string{fmt.Sprintf("_busy_timeout=%d", busyTimeout.Milliseconds())}
	for key, value := range params {
		// SQLite reads a plus sign as itself.
		query = append(query, key+"="+strings.ReplaceAll(url.QueryEscape(value), "+", "%20"))
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: strings.Join(query, "&")}).String()
}

// prepareFile refuses a file that is not ours, switches it to WAL, proves that
// the settings on which every promise rests have taken, and brings the schema
// up to date.
func prepareFile(ctx context.Context, conn *sql.Conn) error {
	if _, err := schemaOf(ctx, conn); err != nil {
		return err
	}
	// fullfsync matters on macOS only, where fsync alone does not reach the disk.
	// Temporary files could keep a text that was unsent.
	for _, pragma := range []string{"PRAGMA journal_mode = WAL", "PRAGMA fullfsync = ON", "PRAGMA temp_store = MEMORY"} {
		if _, err := conn.ExecContext(ctx, pragma); err != nil {
			return translate(pragma, err)
		}
	}
	for _, want := range []struct{ pragma, value, why string }{
		{"journal_mode", "wal", "WAL does not work on this file system, or another program has the file open"},
		{"synchronous", "2", "acknowledged would not mean durable"},
		{"secure_delete", "1", "unsent texts would stay in the file"},
		{"temp_store", "2", "unsent texts could stay in temporary files"},
	} {
		var got string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+want.pragma).Scan(&got); err != nil {
			return translate("read "+want.pragma, err)
		}
		if got != want.value {
			return fmt.Errorf("store: %s is %q instead of %q: %s", want.pragma, got, want.value, want.why)
		}
	}
	return migrate(ctx, conn)
}
