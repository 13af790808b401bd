package mysql

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Target.
type Options struct {
	// Addresses are host:port pairs (or absolute socket paths), tried in order.
	Addresses []string
	User      string
	// Password is asked at each new connection, so that a rotated secret is used
	// without a restart. Nil means no password.
	Password func() (string, error)
	Database string
	Table    string
	// StateDatabase holds the sidestream_* tables. Defaults to Database.
	StateDatabase string
	Columns       Columns
	// ExtraColumns are written where they are named; empty ones are not.
	ExtraColumns ExtraColumns
	TLS          TLS
	// ConnectTimeout defaults to 5s, ReadTimeout and WriteTimeout to 60s.
	ConnectTimeout time.Duration
	ReadTimeout    time.Duration
	WriteTimeout   time.Duration
	// CutTooLong cuts a value at its column's length; otherwise the server
	// refuses it and the change becomes a dead letter.
	CutTooLong bool
	// ParkUnsupported leaves characters that a column's charset lacks to the
	// server, which refuses them; otherwise they are replaced and counted.
	ParkUnsupported bool
	// DatetimeZone is the zone of the times in a created_at column of type
	// DATETIME. Without one such a column is blocked: guessing would shift every
	// message. A TIMESTAMP column does not need it.
	DatetimeZone *time.Location
	// Source names the source in the state tables.
	Source string
	Logger *slog.Logger
	// Registerer receives the target's metrics; nil means none.
	Registerer prometheus.Registerer
}

// Columns are the CRM's names of the columns that Sidestream fills.
type Columns struct {
	ID, UserID, Username, Direction, Message, CreatedAt string
}

// ExtraColumns are the CRM's names of optional columns; empty means absent.
type ExtraColumns struct {
	MessageID, AccountID, SenderID, RecipientID, Status string
}

// DefaultColumns returns the names of the seed's table.
func DefaultColumns() Columns {
	return Columns{ID: "id", UserID: "user_id", Username: "username", Direction: "direction", Message: "message", CreatedAt: "created_at"}
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func (o *Options) validate() error {
	if len(o.Addresses) == 0 {
		return errors.New("mysql: Options.Addresses is empty")
	}
	for name, value := range map[string]string{"User": o.User, "Database": o.Database, "Table": o.Table} {
		if value == "" {
			return fmt.Errorf("mysql: Options.%s is empty", name)
		}
	}
	if !sourceName.MatchString(o.Source) {
		return errors.New("mysql: Options.Source must be 1 to 64 letters, digits, '_', '.' or '-'")
	}
	if o.StateDatabase == "" {
		o.StateDatabase = o.Database
	}
	if o.Columns == (Columns{}) {
		o.Columns = DefaultColumns()
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.ConnectTimeout, 5 * time.Second}, {&o.ReadTimeout, time.Minute}, {&o.WriteTimeout, time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o.TLS.validate()
}
