package config

import "time"

// Config is the effective configuration: every key has its value, whatever it
// came from. It is not changed after Load and is safe for concurrent use.
type Config struct {
	Database   DatabaseSection
	Writer     WriterSection
	Source     SourceSection
	Mapping    MappingSection
	Replicator ReplicatorSection
	CRM        CRMSection
	Instagram  InstagramSection
	Log        LogSection
	Ops        OpsSection

	// File is the path of the file that was read; empty where there was none.
	File string
	// Warnings are things that work but should be changed, one line each.
	Warnings []string

	origins []Origin
	hash    string
}

// DatabaseSection is the SQLite file that the writer fills and the replicator reads.
type DatabaseSection struct {
	// Path is relative to the working directory where it is not absolute.
	Path string
}

// WriterSection is the webhook's side.
type WriterSection struct {
	Listen        string
	WebhookPath   string
	VerifyToken   Secret
	AppSecrets    Secrets
	MaxBodyBytes  int64
	MetricsListen string
	// MaxPending is how many deliveries may wait for their commit at once;
	// further ones are answered with 503.
	MaxPending int
	// Retention is how long messages are kept; 0 keeps them for ever.
	Retention         time.Duration
	UndecodedMaxBytes int64
	// DeletionCallback answers Meta's data deletion requests.
	DeletionCallback bool
}

// SourceSection is the SQLite table that the replicator reads.
type SourceSection struct {
	// Name names the source in the CRM's state tables.
	Name         string
	Table        string
	PollInterval time.Duration
	// AllowSharedFilesystem skips the refusal of filesystems on which WAL
	// cannot work between hosts.
	AllowSharedFilesystem bool
	Columns               SourceColumns
}

// SourceColumns are the names that the source's table gives its columns.
type SourceColumns struct {
	Position    string
	ID          string
	Kind        string
	Version     string
	AccountID   string
	SenderID    string
	RecipientID string
	Direction   string
	MessageText string
	Attachments string
	Timestamp   string
	CreatedAt   string
}

// MappingSection is the way from a change to a CRM row.
type MappingSection struct {
	// Directions is "both", "inbound" or "outbound".
	Directions string
	// OnUnsend is "redact" or "delete".
	OnUnsend   string
	UnsendText string
}

// ReplicatorSection is the loop that applies changes.
type ReplicatorSection struct {
	BatchRows       int
	Listen          string
	ShutdownTimeout time.Duration
	MaxBackoff      time.Duration
}

// CRMSection is the MySQL server and the table that changes are applied to.
type CRMSection struct {
	Enabled bool
	// Addresses are host:port pairs or absolute socket paths, tried in order.
	Addresses []string
	User      string
	Password  Secret
	Database  string
	Table     string
	// StateDatabase holds the sidestream_ tables; it is Database where the
	// configuration does not say otherwise.
	StateDatabase string
	// TLS is "preferred", "required", "verify-ca", "verify-full" or "disabled".
	TLS            string
	TLSCAFile      string
	TLSServerName  string
	ConnectTimeout time.Duration
	ReadTimeout    time.Duration
	WriteTimeout   time.Duration
	MaxConnections int
	// DatetimeZone is the zone that a DATETIME created_at column holds: "UTC",
	// an offset such as "+02:00", or empty where nobody has said.
	DatetimeZone string
	// TooLong is "park" or "cut".
	TooLong string
	// UnsupportedCharacters is "replace" or "park".
	UnsupportedCharacters string
	Columns               CRMColumns
	ExtraColumns          CRMExtraColumns
}

// CRMColumns are the names that the CRM's table gives its columns.
type CRMColumns struct {
	ID        string
	UserID    string
	Username  string
	Direction string
	Message   string
	CreatedAt string
}

// CRMExtraColumns are columns that only some CRMs have; an empty name is a
// column that is not written.
type CRMExtraColumns struct {
	MessageID   string
	AccountID   string
	SenderID    string
	RecipientID string
	Status      string
}

// InstagramSection is the profile API that turns user ids into usernames.
type InstagramSection struct {
	BaseURL string
	// AccessToken may be unset: then every username is the user id.
	AccessToken Secret
	MaxWait     time.Duration
	Timeout     time.Duration
	CacheTTL    time.Duration
	CacheSize   int
}

// LogSection is what is logged, and how.
type LogSection struct {
	// Level is "debug", "info", "warn" or "error".
	Level string
	// Format is "text", "json", or empty: text on a terminal, else json.
	Format string
}

// OpsSection is what both programs offer to, or ask of, the monitoring.
type OpsSection struct {
	WebConfigFile string
	// HeartbeatURL often is a capability by itself; Origins shows its host only.
	HeartbeatURL string
}

// Hash identifies the effective configuration without its secrets and without
// where its values came from: twelve hexadecimal digits, equal on two hosts that
// are configured alike.
func (c *Config) Hash() string { return c.hash }

// Origins lists every key in the order of the reference, with its effective
// value and where that came from. Secrets are redacted.
func (c *Config) Origins() []Origin { return append([]Origin(nil), c.origins...) }
