package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"
)

// Options says which table of which file is read. Only Path is required.
type Options struct {
	// Path is the database file. A relative path is resolved once, by New.
	Path string
	// Table holds the log. Defaults to messages.
	Table string
	// Columns names the columns of Table.
	Columns Columns
	// MaxChunkBytes ends a Read after the change with which the texts and
	// attachments reach it; the histories of a chunk have the same limit once
	// more. One change is returned however large it is. Defaults to 4 MiB.
	MaxChunkBytes int
	// BusyTimeout is how long SQLite waits for a lock before a call fails as
	// source_busy. Defaults to 5 s.
	BusyTimeout time.Duration
	// AllowSharedFilesystem opens the file on network and shared host
	// filesystems too. WAL breaks there unless every program that uses the file
	// runs on one machine with one kernel. Defaults to false.
	AllowSharedFilesystem bool
	// Identity replaces the process's own user for the checks before opening;
	// permissions are then read from the mode bits. For tests.
	Identity *Identity
	// Mountinfo is where the mounts are listed. Defaults to
	// /proc/self/mountinfo. For tests.
	Mountinfo string
	// Logger takes a line when the file is opened or replaced. Defaults to none.
	Logger *slog.Logger
}

// Columns names the columns of the log. An empty name is the default.
type Columns struct {
	// Position must be an INTEGER PRIMARY KEY. Defaults to seq.
	Position string
	// MessageID defaults to id.
	MessageID string
	// Kind defaults to kind.
	Kind string
	// Version defaults to version.
	Version string
	// AccountID defaults to account_id.
	AccountID string
	// SenderID defaults to sender_id.
	SenderID string
	// RecipientID defaults to recipient_id.
	RecipientID string
	// Direction defaults to direction.
	Direction string
	// Text defaults to message_text.
	Text string
	// Attachments defaults to attachments.
	Attachments string
	// Timestamp defaults to timestamp.
	Timestamp string
	// CommittedAt defaults to created_at.
	CommittedAt string
}

// withDefaults returns the names with the defaults filled in.
func (c Columns) withDefaults() Columns {
	for _, name := range []struct {
		field *string
		value string
	}{
		{&c.Position, "seq"},
		{&c.MessageID, "id"},
		{&c.Kind, "kind"},
		{&c.Version, "version"},
		{&c.AccountID, "account_id"},
		{&c.SenderID, "sender_id"},
		{&c.RecipientID, "recipient_id"},
		{&c.Direction, "direction"},
		{&c.Text, "message_text"},
		{&c.Attachments, "attachments"},
		{&c.Timestamp, "timestamp"},
		{&c.CommittedAt, "created_at"},
	} {
		if *name.field == "" {
			*name.field = name.value
		}
	}
	return c
}

// list returns the names in the order in which decode expects their values.
func (c Columns) list() []string {
	return []string{
		c.Position, c.MessageID, c.Kind, c.Version, c.AccountID, c.SenderID, c.RecipientID,
		c.Direction, c.Text, c.Attachments, c.Timestamp, c.CommittedAt,
	}
}

// withDefaults validates the options and fills in what is missing.
func (o Options) withDefaults() (Options, error) {
	if o.Path == "" {
		return o, errors.New("sqlite: Path is required")
	}
	if strings.ContainsRune(o.Path, 0) {
		return o, errors.New("sqlite: Path holds a NUL byte")
	}
	if o.MaxChunkBytes < 0 || o.BusyTimeout < 0 {
		return o, errors.New("sqlite: MaxChunkBytes and BusyTimeout must not be negative")
	}
	// Absolute, because a later chdir must not lead to another file, and
	// because SQLite reads a URI that starts with two slashes as a host name.
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return o, fmt.Errorf("sqlite: resolve Path: %w", err)
	}
	o.Path = path
	if o.Table == "" {
		o.Table = "messages"
	}
	o.Columns = o.Columns.withDefaults()
	if o.MaxChunkBytes == 0 {
		o.MaxChunkBytes = 4 << 20
	}
	if o.BusyTimeout == 0 {
		o.BusyTimeout = 5 * time.Second
	}
	if o.Mountinfo == "" {
		o.Mountinfo = "/proc/self/mountinfo"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
