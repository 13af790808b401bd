package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// migrations are applied in the order of their names and never changed once
// released. The schema version is how many have been applied.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate applies what is missing in one transaction. Two programs that start
// at once take turns; the second finds nothing left to do.
func migrate(ctx context.Context, conn *sql.Conn) (err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if version, err := schemaOf(ctx, conn); err != nil || version == len(names) {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return translate("begin the migration", err)
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	version, err := schemaOf(ctx, conn)
	if err != nil {
		return err
	}
	for _, name := range names[version:] {
		statements, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, string(statements)); err != nil {
			return translate(name, err)
		}
	}
	const setVersion = "INSERT INTO meta (key, value) VALUES ('schema_version', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1"
	if _, err := conn.ExecContext(ctx, setVersion, strconv.Itoa(len(names))); err != nil {
		return translate("set the schema version", err)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return translate("commit the migration", err)
	}
	return nil
}

// schemaOf returns the file's schema version, 0 for an empty file. A file with
// other tables than ours, or with a newer schema, is an error.
func schemaOf(ctx context.Context, conn *sql.Conn) (int, error) {
	const tables = `SELECT count(*), count(*) FILTER (WHERE name = 'meta') FROM sqlite_schema
		WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`
	var all, meta int
	if err := conn.QueryRowContext(ctx, tables).Scan(&all, &meta); err != nil {
		return 0, translate("read the schema", err)
	}
	if all == 0 {
		return 0, nil
	}
	foreign := errors.New("store: the file is another program's database; give the writer a file of its own")
	if meta == 0 {
		return 0, foreign
	}
	var value string
	err := conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'schema_version'").Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, foreign
	}
	if err != nil {
		return 0, translate("read the schema version", err)
	}
	version, err := strconv.Atoi(value)
	if err != nil || version < 1 {
		return 0, foreign
	}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	if version > len(names) {
		return 0, fmt.Errorf("store: the file has schema version %d and this program knows %d; run the newer program that wrote it", version, len(names))
	}
	return version, nil
}
