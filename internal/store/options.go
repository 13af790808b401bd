package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The defaults of Options.
const (
	defaultMaxPending      = 1024
	defaultMaxPendingBytes = 64 << 20
	defaultMaxBatch        = 256
	defaultUndecodedBytes  = 64 << 20
)

// Options configure a Store. Only Path is required.
type Options struct {
	// Path is the database file. Its directory must exist; the file is created
	// where it is missing, readable and writable for owner and group as far as
	// the umask lets it. SQLite gives -wal and -shm the same mode. Where it is a
	// symbolic link, -wal, -shm and -doorbell lie beside the file itself.
	Path string
	// MaxPending is how many deliveries may wait for their commit. Defaults to 1024.
	MaxPending int
	// MaxPendingBytes is how much text the waiting deliveries may hold, about; a
	// larger delivery is taken where it waits alone. Defaults to 64 MiB.
	MaxPendingBytes int64
	// MaxBatch is how many changes share one transaction; a larger delivery has
	// one of its own. Defaults to 256.
	MaxBatch int
	// UndecodedMaxBytes bounds the bodies kept in undecoded: where a new one does
	// not fit, the oldest go. The newest is kept even if it is larger by itself.
	// Defaults to 64 MiB.
	UndecodedMaxBytes int64
	// Now defaults to time.Now. It is called from more than one goroutine.
	Now func() time.Time
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer
}

// withDefaults fills in what was left empty, makes the path absolute and names
// the first problem.
func (o Options) withDefaults() (Options, error) {
	if o.Path == "" {
		return o, errors.New("store: Options.Path is empty")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return o, fmt.Errorf("store: path of the database: %w", err)
	}
	o.Path = path
	for _, limit := range []struct {
		value    *int
		fallback int
	}{{&o.MaxPending, defaultMaxPending}, {&o.MaxBatch, defaultMaxBatch}} {
		if *limit.value <= 0 {
			*limit.value = limit.fallback
		}
	}
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = defaultMaxPendingBytes
	}
	if o.UndecodedMaxBytes <= 0 {
		o.UndecodedMaxBytes = defaultUndecodedBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// place looks at the directory and the file before SQLite does, because SQLite
// says "unable to open database file" to everything. It returns the path
// without symbolic links: SQLite puts -wal and -shm beside the file itself.
func place(path string) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("store: the directory %s does not exist; create it, owned by the user that runs the writer", filepath.Dir(path))
	case err != nil:
		return "", fmt.Errorf("store: directory of the database: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("store: %s is not a directory", dir)
	}
	path = filepath.Join(dir, filepath.Base(path))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return path, nil
	case err != nil:
		return "", fmt.Errorf("store: database file: %w", err)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("store: %s is not a regular file", path)
	}
	return filepath.EvalSymlinks(path)
}
