package config

import "strings"

// entry is one key of the configuration.
type entry struct {
	// path is the key as the file has it, sections and all.
	path string
	// to points to the key's place in a Config. Its type decides which values
	// the key takes.
	to func(*Config) any
	// def is the default in the environment's spelling. Where it is empty, an
	// empty value means that the key is not set.
	def string
	// required keys must be set for the programs that use their section.
	required bool
	// check judges a value that is not empty; nil accepts every value.
	check check
	// legacy is an older environment variable that means the same, or empty.
	legacy string
	// private values are capabilities: only their host is shown.
	private bool
	// doc says in one line what the key is.
	doc string
}

// schema lists every key, in the order in which the reference has them.
func schema() []entry {
	return []entry{
		{
			path: "database.path", to: func(c *Config) any { return &c.Database.Path }, required: true,
			doc: "SQLite file that the writer fills and the replicator reads; relative to the working directory.",
		},

		{
			path: "writer.verify_token", to: func(c *Config) any { return &c.Writer.VerifyToken }, required: true, check: oneLine,
			legacy: "FACEBOOK_VERIFY_TOKEN",
			doc:    "Token that the App Dashboard sends when it verifies the webhook.",
		},
		{
			path: "writer.app_secrets", to: func(c *Config) any { return &c.Writer.AppSecrets }, required: true, check: oneLine,
			legacy: "INSTAGRAM_APP_SECRET",
			doc:    "App secrets that sign deliveries; several while one is being replaced.",
		},
		{
			path: "writer.listen", to: func(c *Config) any { return &c.Writer.Listen }, def: "127.0.0.1:8080", check: listenAddress,
			doc: "Address and port on which webhooks arrive.",
		},
		{
			path: "writer.webhook_path", to: func(c *Config) any { return &c.Writer.WebhookPath }, def: "/webhook", check: urlPath,
			doc: "Path of the webhook's URL.",
		},
		{
			path: "writer.max_body_bytes", to: func(c *Config) any { return &c.Writer.MaxBodyBytes }, def: "8388608", check: between(1024, 256<<20),
			doc: "Largest delivery that is accepted, in bytes; larger ones are answered with 413.",
		},
		{
			path: "writer.max_pending", to: func(c *Config) any { return &c.Writer.MaxPending }, def: "1024", check: between(1, 100_000),
			doc: "Deliveries that may wait for their commit at once; further ones are answered with 503.",
		},
		{
			path: "writer.metrics_listen", to: func(c *Config) any { return &c.Writer.MetricsListen }, def: "127.0.0.1:9464", check: listenAddress,
			doc: "Address and port of the writer's metrics and health.",
		},
		{
			path: "writer.retention", to: func(c *Config) any { return &c.Writer.Retention }, check: lasting("1h", "36500d"),
			doc: "How long messages are kept in the SQLite file; empty keeps them for ever.",
		},
		{
			path: "writer.undecoded_max_bytes", to: func(c *Config) any { return &c.Writer.UndecodedMaxBytes }, def: "268435456", check: between(1<<20, 1<<40),
			doc: "Room for signed deliveries that could not be understood, in bytes.",
		},
		{
			path: "writer.deletion_callback", to: func(c *Config) any { return &c.Writer.DeletionCallback }, def: "false",
			doc: "Answer Meta's data deletion requests.",
		},

		{
			path: "source.name", to: func(c *Config) any { return &c.Source.Name }, def: "main", check: sourceName,
			doc: "Name of this SQLite file in the CRM's state tables; one per file.",
		},
		{
			path: "source.table", to: func(c *Config) any { return &c.Source.Table }, def: "messages", check: identifier,
			doc: "SQLite table that is read.",
		},
		{
			path: "source.poll_interval", to: func(c *Config) any { return &c.Source.PollInterval }, def: "1s", check: lasting("10ms", "1h"),
			doc: "How often the source is read even where no file event came.",
		},
		{
			path: "source.allow_shared_filesystem", to: func(c *Config) any { return &c.Source.AllowSharedFilesystem }, def: "false",
			doc: "Open the file on a network or shared filesystem all the same.",
		},
		sourceColumn("position", "seq", "ascending number of a row; never reused", func(c *SourceColumns) any { return &c.Position }),
		sourceColumn("id", "id", "Instagram's message id", func(c *SourceColumns) any { return &c.ID }),
		sourceColumn("kind", "kind", "kind of change: message, edit, unsend, erase or test", func(c *SourceColumns) any { return &c.Kind }),
		sourceColumn("version", "version", "number of an edit, else 0", func(c *SourceColumns) any { return &c.Version }),
		sourceColumn("account_id", "account_id", "business account", func(c *SourceColumns) any { return &c.AccountID }),
		sourceColumn("sender_id", "sender_id", "sender", func(c *SourceColumns) any { return &c.SenderID }),
		sourceColumn("recipient_id", "recipient_id", "recipient", func(c *SourceColumns) any { return &c.RecipientID }),
		sourceColumn("direction", "direction", "direction: inbound or outbound", func(c *SourceColumns) any { return &c.Direction }),
		sourceColumn("message_text", "message_text", "message's text", func(c *SourceColumns) any { return &c.MessageText }),
		sourceColumn("attachments", "attachments", "attachments, a JSON array", func(c *SourceColumns) any { return &c.Attachments }),
		sourceColumn("timestamp", "timestamp", "time at Instagram, in milliseconds", func(c *SourceColumns) any { return &c.Timestamp }),
		sourceColumn("created_at", "created_at", "time of the commit, in milliseconds", func(c *SourceColumns) any { return &c.CreatedAt }),

		{
			path: "mapping.directions", to: func(c *Config) any { return &c.Mapping.Directions }, def: "both", check: oneOf("both", "inbound", "outbound"),
			doc: "Which messages reach the CRM.",
		},
		{
			path: "mapping.on_unsend", to: func(c *Config) any { return &c.Mapping.OnUnsend }, def: "redact", check: oneOf("redact", "delete"),
			doc: "What becomes of the CRM row of an unsent message.",
		},
		{
			path: "mapping.unsend_text", to: func(c *Config) any { return &c.Mapping.UnsendText }, def: "[message unsent]", check: atMost(1000),
			doc: "Text that replaces an unsent message's.",
		},

		{
			path: "replicator.batch_rows", to: func(c *Config) any { return &c.Replicator.BatchRows }, def: "1000", check: between(1, 10_000),
			doc: "Most changes that are applied in one transaction.",
		},
		{
			path: "replicator.listen", to: func(c *Config) any { return &c.Replicator.Listen }, def: "127.0.0.1:9465", check: listenAddress,
			doc: "Address and port of the replicator's metrics, health and status page.",
		},
		{
			path: "replicator.shutdown_timeout", to: func(c *Config) any { return &c.Replicator.ShutdownTimeout }, def: "10s", check: lasting("100ms", "10m"),
			doc: "How long a batch may take to finish once the replicator is asked to stop.",
		},
		{
			path: "replicator.max_backoff", to: func(c *Config) any { return &c.Replicator.MaxBackoff }, def: "30s", check: lasting("100ms", "1h"),
			doc: "Longest wait between two attempts while the CRM is away.",
		},

		{
			path: "crm.addresses", to: func(c *Config) any { return &c.CRM.Addresses }, required: true, check: serverAddress,
			legacy: legacyHost,
			doc:    "MySQL servers as host:port or the path of a socket, tried in order.",
		},
		{
			path: "crm.user", to: func(c *Config) any { return &c.CRM.User }, required: true, check: atMost(80),
			legacy: "CRM_MYSQL_USER",
			doc:    "MySQL user.",
		},
		{
			path: "crm.password", to: func(c *Config) any { return &c.CRM.Password }, check: printable,
			legacy: "CRM_MYSQL_PASSWORD",
			doc:    "The user's password.",
		},
		{
			path: "crm.database", to: func(c *Config) any { return &c.CRM.Database }, required: true, check: identifier,
			legacy: "CRM_MYSQL_DATABASE",
			doc:    "Database that holds the CRM's table.",
		},
		{
			path: "crm.enabled", to: func(c *Config) any { return &c.CRM.Enabled }, def: "true",
			legacy: "CRM_MYSQL_ENABLED",
			doc:    "Whether changes are applied at all; false leaves the replicator idle.",
		},
		{
			path: "crm.table", to: func(c *Config) any { return &c.CRM.Table }, def: "messages", check: tableName,
			doc: "The CRM's table.",
		},
		{
			path: "crm.state_database", to: func(c *Config) any { return &c.CRM.StateDatabase }, check: identifier,
			doc: "Database of the sidestream_ tables; empty means that of the CRM.",
		},
		{
			path: "crm.tls", to: func(c *Config) any { return &c.CRM.TLS }, def: "preferred", check: oneOf("preferred", "required", "verify-ca", "verify-full", "disabled"),
			doc: "How the connection is encrypted and the server proven.",
		},
		{
			path: "crm.tls_ca_file", to: func(c *Config) any { return &c.CRM.TLSCAFile },
			doc: "PEM file of the authorities that sign the server's certificate; empty means the system's.",
		},
		{
			path: "crm.tls_server_name", to: func(c *Config) any { return &c.CRM.TLSServerName }, check: oneLine,
			doc: "Name that the server's certificate must have; empty means the address's host.",
		},
		{
			path: "crm.connect_timeout", to: func(c *Config) any { return &c.CRM.ConnectTimeout }, def: "5s", check: lasting("100ms", "5m"),
			doc: "Limit for opening a connection, the login included.",
		},
		{
			// The session's lock wait, whole seconds, must fit below it.
			path: "crm.read_timeout", to: func(c *Config) any { return &c.CRM.ReadTimeout }, def: "60s", check: lasting("2s", "1h"),
			doc: "Limit for an answer of the server.",
		},
		{
			path: "crm.write_timeout", to: func(c *Config) any { return &c.CRM.WriteTimeout }, def: "60s", check: lasting("1s", "1h"),
			doc: "Limit for sending a statement.",
		},
		{
			path: "crm.max_connections", to: func(c *Config) any { return &c.CRM.MaxConnections }, def: "5", check: between(1, 100),
			doc: "Most connections to the CRM at once.",
		},
		{
			path: "crm.datetime_zone", to: func(c *Config) any { return &c.CRM.DatetimeZone }, check: zone,
			doc: "Zone of a DATETIME created_at column, UTC or an offset; empty with a TIMESTAMP column. Changed later, edits and unsends miss all older rows.",
		},
		{
			path: "crm.too_long", to: func(c *Config) any { return &c.CRM.TooLong }, def: "park", check: oneOf("park", "cut"),
			doc: "What becomes of a text that is longer than its column.",
		},
		{
			path: "crm.unsupported_characters", to: func(c *Config) any { return &c.CRM.UnsupportedCharacters }, def: "replace", check: oneOf("replace", "park"),
			doc: "What becomes of characters that the column's character set lacks.",
		},
		crmColumn("id", "primary key", func(c *CRMColumns) any { return &c.ID }),
		crmColumn("user_id", "user's id", func(c *CRMColumns) any { return &c.UserID }),
		crmColumn("username", "username", func(c *CRMColumns) any { return &c.Username }),
		crmColumn("direction", "direction: in or out", func(c *CRMColumns) any { return &c.Direction }),
		crmColumn("message", "message's text", func(c *CRMColumns) any { return &c.Message }),
		crmColumn("created_at", "message's time", func(c *CRMColumns) any { return &c.CreatedAt }),
		extraColumn("message_id", "Instagram's message id", func(c *CRMExtraColumns) any { return &c.MessageID }),
		extraColumn("account_id", "business account", func(c *CRMExtraColumns) any { return &c.AccountID }),
		extraColumn("sender_id", "sender", func(c *CRMExtraColumns) any { return &c.SenderID }),
		extraColumn("recipient_id", "recipient", func(c *CRMExtraColumns) any { return &c.RecipientID }),
		extraColumn("status", "status: sent, edited, unsent or erased", func(c *CRMExtraColumns) any { return &c.Status }),

		{
			path: "instagram.access_token", to: func(c *Config) any { return &c.Instagram.AccessToken }, check: oneLine,
			legacy: "INSTAGRAM_PAGE_ACCESS_TOKEN",
			doc:    "Token that looks up usernames; without one the user id stands in.",
		},
		{
			path: "instagram.base_url", to: func(c *Config) any { return &c.Instagram.BaseURL }, def: "https://graph.instagram.com/v26.0", check: webURL,
			doc: "Address of the profile API, with its version.",
		},
		{
			path: "instagram.max_wait", to: func(c *Config) any { return &c.Instagram.MaxWait }, def: "500ms", check: lasting("0s", "1m"),
			doc: "How long a batch waits for usernames before the user id stands in.",
		},
		{
			path: "instagram.timeout", to: func(c *Config) any { return &c.Instagram.Timeout }, def: "5s", check: lasting("100ms", "5m"),
			doc: "Limit for one lookup.",
		},
		{
			path: "instagram.cache_ttl", to: func(c *Config) any { return &c.Instagram.CacheTTL }, def: "24h", check: lasting("1m", "365d"),
			doc: "How long a username is believed before it is looked up again.",
		},
		{
			path: "instagram.cache_size", to: func(c *Config) any { return &c.Instagram.CacheSize }, def: "100000", check: between(1, 10_000_000),
			doc: "Usernames that are kept in memory.",
		},

		{
			path: "log.level", to: func(c *Config) any { return &c.Log.Level }, def: "info", check: oneOf("debug", "info", "warn", "error"),
			doc: "Least important lines that are logged.",
		},
		{
			path: "log.format", to: func(c *Config) any { return &c.Log.Format }, check: oneOf("text", "json"),
			doc: "Form of a log line; empty means text on a terminal, else json.",
		},
		{
			path: "ops.web_config_file", to: func(c *Config) any { return &c.Ops.WebConfigFile },
			doc: "TLS and basic auth of the metrics listeners, in the Prometheus exporter toolkit's format.",
		},
		{
			path: "ops.heartbeat_url", to: func(c *Config) any { return &c.Ops.HeartbeatURL }, check: webURL, private: true,
			doc: "URL that is called while all is well, for a dead man's switch.",
		},
	}
}

func sourceColumn(key, def, what string, to func(*SourceColumns) any) entry {
	return entry{
		path: "source.columns." + key, to: func(c *Config) any { return to(&c.Source.Columns) }, def: def, check: identifier,
		doc: "Source column of the " + what + ".",
	}
}

func crmColumn(key, what string, to func(*CRMColumns) any) entry {
	return entry{
		path: "crm.columns." + key, to: func(c *Config) any { return to(&c.CRM.Columns) }, def: key, check: identifier,
		doc: "CRM column of the " + what + ".",
	}
}

func extraColumn(key, what string, to func(*CRMExtraColumns) any) entry {
	return entry{
		path: "crm.extra_columns." + key, to: func(c *Config) any { return to(&c.CRM.ExtraColumns) }, check: identifier,
		doc: "CRM column of the " + what + "; empty is not written.",
	}
}

// section returns the first word of the path.
func (e entry) section() string {
	section, _, _ := strings.Cut(e.path, ".")
	return section
}

// usedBy tells whether the program reads the key. Keys of the other program
// are checked for their form, but nothing is required of them.
func (e entry) usedBy(p Program) bool {
	switch e.section() {
	case "writer":
		return p == Writer
	case "source", "mapping", "replicator", "crm", "instagram":
		return p == Replicator
	}
	return true
}

// secret tells whether the key holds one; it then has a twin that ends in _file.
func (e entry) secret() bool {
	switch e.to(new(Config)).(type) {
	case *Secret, *Secrets:
		return true
	}
	return false
}

// env is the key's environment variable.
func (e entry) env() string { return envName(e.path) }

// fileVariables are the variables that name a file for a secret: the twin's own,
// and the older name with the same ending.
func (e entry) fileVariables() []string {
	names := []string{envName(e.twin())}
	if e.legacy != "" {
		names = append(names, e.legacy+"_FILE")
	}
	return names
}

// twin is the path of the key that names a file for a secret.
func (e entry) twin() string { return e.path + "_file" }
