package mariadb

import "time"

// logFileSize keeps a new data directory small to copy. It is also given where
// the template is made, so that no server has to resize the file.
const logFileSize = "--innodb-log-file-size=16M"

type options struct {
	args      []string
	firstArgs []string
	dir       string
	ready     time.Duration
}

// Option changes how Start sets up a server.
type Option func(*options)

// Args adds options of mariadbd, for every run of the server. The last one of
// a name wins, so they override the kit's own.
func Args(args ...string) Option {
	return func(o *options) { o.args = append(o.args, args...) }
}

// FirstArgs adds options of mariadbd for the first run only.
func FirstArgs(args ...string) Option {
	return func(o *options) { o.firstArgs = append(o.firstArgs, args...) }
}

// Dir puts the data directory under dir, which stays the caller's: a tmpfs that
// can run full, for example. The log, the socket and temporary tables stay
// outside of it.
func Dir(dir string) Option {
	return func(o *options) { o.dir = dir }
}

// ReadyWithin is how long the server may take until it answers a query.
// Defaults to a minute.
func ReadyWithin(d time.Duration) Option {
	return func(o *options) { o.ready = d }
}

// baseArgs are small and quick, but innodb_flush_log_at_trx_commit stays 1:
// what survives a kill in a test must survive it for the same reason as in life.
func baseArgs() []string {
	return []string{
		"--bind-address=127.0.0.1",
		"--skip-name-resolve",
		"--skip-log-bin",
		"--performance-schema=OFF",
		"--max-connections=500",
		"--innodb-buffer-pool-size=64M",
		logFileSize,
		"--innodb-buffer-pool-load-at-startup=OFF",
		"--innodb-buffer-pool-dump-at-shutdown=OFF",
		"--key-buffer-size=1M",
		"--aria-pagecache-buffer-size=8M",
	}
}
