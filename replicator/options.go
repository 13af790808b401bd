package replicator

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/mapping"
)

// Options configure a Replicator.
type Options struct {
	Source Source
	Target Target
	Mapper *mapping.Mapper
	// Usernames bounds its own time. Nil means that every username is the user id.
	Usernames mapping.Usernames
	// Wakeups carries hints that the source may have changed. Whoever sends them
	// also polls: without a wake-up nothing is read.
	Wakeups <-chan struct{}
	// Retry ends a wait for the next attempt early, for example when a secret's
	// file has changed. Nil means never.
	Retry <-chan struct{}
	// BatchRows is how many changes one transaction holds at most. Defaults to 1000.
	BatchRows int
	// MaxBackoff is the longest wait between attempts, except after refused
	// logins, which wait 1 to 15 minutes. Defaults to 30s.
	MaxBackoff time.Duration
	// ShutdownTimeout is how long Run goes on applying what is pending after its
	// context has ended. Defaults to 10s.
	ShutdownTimeout time.Duration
	// IdleReload is how often an idle replicator reads its cursor again, to
	// notice an operator's decision and to keep the connection. Defaults to 10s.
	IdleReload time.Duration
	// Now defaults to time.Now; Random, in [0,1), to math/rand/v2; Token to 16
	// random bytes in hexadecimal digits.
	Now    func() time.Time
	Random func() float64
	Token  func() string
	Logger *slog.Logger
	// Registerer receives the metrics; nil means none.
	Registerer prometheus.Registerer
}

func (o *Options) setDefaults() error {
	switch {
	case o.Source == nil:
		return errors.New("replicator: Options.Source is nil")
	case o.Target == nil:
		return errors.New("replicator: Options.Target is nil")
	case o.Mapper == nil:
		return errors.New("replicator: Options.Mapper is nil")
	case o.BatchRows < 0:
		return errors.New("replicator: Options.BatchRows is negative")
	}
	if o.BatchRows == 0 {
		o.BatchRows = 1000
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.MaxBackoff, 30 * time.Second}, {&o.ShutdownTimeout, 10 * time.Second}, {&o.IdleReload, 10 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.fallback
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = mathrand.Float64
	}
	if o.Token == nil {
		o.Token = randomToken
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func randomToken() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
