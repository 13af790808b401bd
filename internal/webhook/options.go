package webhook

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/mapping"
)

// ErrOverloaded is what Commit returns, possibly wrapped, where it takes nothing
// more at the moment: its queue is full or it is shutting down. The sender is
// asked to come again.
var ErrOverloaded = errors.New("overloaded")

const defaultMaxBodyBytes = 8 << 20

// Options configure a Handler.
type Options struct {
	// VerifyToken returns the token of the handshake. It is asked at each
	// handshake, so that a rotated token is used without a restart.
	VerifyToken func() (string, error)
	// AppSecrets returns the secrets of which one must have signed a delivery.
	// It is asked at each delivery. Empty secrets are passed over: anyone could
	// sign with them.
	AppSecrets func() ([]string, error)
	// MaxBodyBytes limits a delivery. Defaults to 8 MiB.
	MaxBodyBytes int64
	// MaxHeldBytes limits what has arrived of all deliveries that are in progress;
	// what goes beyond is refused for now. It is at least MaxBodyBytes. Defaults
	// to 128 MiB.
	MaxHeldBytes int64
	// Commit stores a delivery durably before it returns nil. It is called from
	// many goroutines with the request's context; the delivery is its to keep.
	// Its errors are logged, so they must not quote what was delivered.
	Commit func(context.Context, Delivery) (Committed, error)
	// Now defaults to time.Now.
	Now func() time.Time
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Registerer receives the handler's metrics; nil means none.
	Registerer prometheus.Registerer
}

// Delivery is what one signed request asks to be stored, in the order of its
// events. At least one of the two is not empty.
type Delivery struct {
	// Changes have no Position and no CommittedAt yet.
	Changes []mapping.Change
	// Undecoded are the parts that could not be understood.
	Undecoded []Undecoded
}

// Undecoded is a signed delivery, or one event of it, that was not understood.
type Undecoded struct {
	// Reason is one of the Reason constants.
	Reason string
	// Body is the raw JSON: the whole body, or one event in an envelope with the
	// id and time of its entry. Decode reads it again and, while it knows no
	// better, returns the same Undecoded for it.
	Body []byte
}

// Committed tells what became of the changes of a delivery.
type Committed struct {
	// Inserted counts changes that are new; Duplicates those that were there.
	Inserted, Duplicates int
}

func (o *Options) validate() error {
	switch {
	case o.VerifyToken == nil:
		return errors.New("webhook: Options.VerifyToken is nil")
	case o.AppSecrets == nil:
		return errors.New("webhook: Options.AppSecrets is nil")
	case o.Commit == nil:
		return errors.New("webhook: Options.Commit is nil")
	case o.MaxBodyBytes < 0:
		return errors.New("webhook: Options.MaxBodyBytes is negative")
	case o.MaxHeldBytes < 0:
		return errors.New("webhook: Options.MaxHeldBytes is negative")
	}
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = defaultMaxBodyBytes
	}
	if o.MaxHeldBytes == 0 {
		o.MaxHeldBytes = defaultMaxHeldBytes
	}
	o.MaxHeldBytes = max(o.MaxHeldBytes, o.MaxBodyBytes)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}
