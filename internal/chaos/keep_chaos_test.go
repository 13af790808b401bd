//go:build chaos

package chaos_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keep leaves what a failed storm has left to look at under the directory that
// SIDESTREAM_CHAOS_KEEP names, if it does: files, logs, and the order of events.
func (s *storm) keep() {
	under := os.Getenv("SIDESTREAM_CHAOS_KEEP")
	if under == "" {
		return
	}
	dir := filepath.Join(under, fmt.Sprintf("seed-%d-%d", s.seed, s.began.Unix()))
	err := os.MkdirAll(dir, 0o700)
	for _, site := range s.sites {
		to := filepath.Join(dir, fmt.Sprintf("source-%d", site.source))
		err = errors.Join(err, os.CopyFS(to, os.DirFS(site.dir)))
		for i, p := range site.everyone {
			err = errors.Join(err, os.WriteFile(fmt.Sprintf("%s-program-%03d.log", to, i), []byte(p.Stderr()+p.Stdout()), 0o600))
		}
	}
	for _, table := range []string{"messages", "sidestream_cursor", "sidestream_ledger", "sidestream_dead_letters", "sidestream_audit"} {
		rows, failed := s.rows("SELECT * FROM " + table)
		err = errors.Join(err, failed, os.WriteFile(filepath.Join(dir, table+".tsv"), []byte(rows), 0o600))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(dir, "faults"), []byte(strings.Join(s.history, "\n")+"\n"), 0o600))
	fmt.Fprintf(s.Output(), "what is left of it: %s (%v)\n", dir, err)
}

// rows reads a table without failing the test, which has failed already.
func (s *storm) rows(query string) (string, error) {
	rows, err := s.direct.QueryContext(s.Context(), query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for rows.Next() {
		values, into := make([]*string, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return b.String(), err
		}
		for _, v := range values {
			if v == nil {
				v = new("NULL")
			}
			fmt.Fprintf(&b, "%q\t", *v)
		}
		b.WriteByte('\n')
	}
	return b.String(), rows.Err()
}
