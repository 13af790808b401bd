package replicator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/config"
	"sidestream/internal/instagram"
	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/internal/usernames"
	"sidestream/mapping"
)

// newSource translates the configuration for the source's room.
func newSource(c *config.Config, logger *slog.Logger) (*sqlite.Source, error) {
	n := c.Source.Columns
	return sqlite.New(sqlite.Options{
		Path: c.Database.Path, Table: c.Source.Table,
		Columns: sqlite.Columns{
			Position: n.Position, MessageID: n.ID, Kind: n.Kind, Version: n.Version, AccountID: n.AccountID, SenderID: n.SenderID,
			RecipientID: n.RecipientID, Direction: n.Direction, Text: n.MessageText, Attachments: n.Attachments,
			Timestamp: n.Timestamp, CommittedAt: n.CreatedAt,
		},
		AllowSharedFilesystem: c.Source.AllowSharedFilesystem,
		Logger:                logger.With("component", "source"),
	})
}

// newTarget translates the configuration for the target's room.
func newTarget(c *config.Config, logger *slog.Logger, registerer prometheus.Registerer) (*mysql.Target, error) {
	zone, err := zoneOf(c.CRM.DatetimeZone)
	if err != nil {
		return nil, err
	}
	n, e := c.CRM.Columns, c.CRM.ExtraColumns
	return mysql.New(mysql.Options{
		Addresses: c.CRM.Addresses, User: c.CRM.User, Password: revealer(c.CRM.Password),
		Database: c.CRM.Database, Table: c.CRM.Table, StateDatabase: c.CRM.StateDatabase,
		Columns:        mysql.Columns{ID: n.ID, UserID: n.UserID, Username: n.Username, Direction: n.Direction, Message: n.Message, CreatedAt: n.CreatedAt},
		ExtraColumns:   mysql.ExtraColumns{MessageID: e.MessageID, AccountID: e.AccountID, SenderID: e.SenderID, RecipientID: e.RecipientID, Status: e.Status},
		TLS:            mysql.TLS{Mode: c.CRM.TLS, CAFile: c.CRM.TLSCAFile, ServerName: c.CRM.TLSServerName},
		ConnectTimeout: c.CRM.ConnectTimeout, ReadTimeout: c.CRM.ReadTimeout, WriteTimeout: c.CRM.WriteTimeout,
		CutTooLong: c.CRM.TooLong == "cut", ParkUnsupported: c.CRM.UnsupportedCharacters == "park",
		DatetimeZone: zone, Source: c.Source.Name, Logger: logger.With("component", "target"), Registerer: registerer,
	})
}

// zoneOf reads "UTC", an offset such as "+02:00", or nothing.
func zoneOf(text string) (*time.Location, error) {
	switch {
	case text == "":
		return nil, nil
	case strings.EqualFold(text, "UTC"):
		return time.UTC, nil
	}
	at, err := time.Parse("-07:00", text)
	if err != nil {
		return nil, fmt.Errorf("crm.datetime_zone: %q is neither UTC nor an offset like +02:00", text)
	}
	_, seconds := at.Zone()
	return time.FixedZone(text, seconds), nil
}

// revealer reads a secret anew at each call; one that is not set is empty.
func revealer(s config.Secret) func() (string, error) {
	return func() (string, error) {
		if !s.IsSet() {
			return "", nil
		}
		return s.Reveal()
	}
}

// newMapper translates the configuration for the mapping.
func newMapper(c *config.Config) (*mapping.Mapper, error) {
	return mapping.New(mapping.Options{
		Directions: mapping.Directions(c.Mapping.Directions), OnUnsend: mapping.OnUnsend(c.Mapping.OnUnsend), UnsendText: c.Mapping.UnsendText,
	})
}

// newInstagram returns the profile client.
func newInstagram(c *config.Config) (*instagram.Client, error) {
	return instagram.New(instagram.Options{BaseURL: c.Instagram.BaseURL, Token: revealer(c.Instagram.AccessToken), Timeout: c.Instagram.Timeout})
}

// newUsernames joins the profile client and the cache.
func newUsernames(c *config.Config, client *instagram.Client, logger *slog.Logger, registerer prometheus.Registerer) (*usernames.Cache, error) {
	o := usernames.Options{
		MaxWait: c.Instagram.MaxWait, TTL: c.Instagram.CacheTTL, Size: c.Instagram.CacheSize,
		Logger: logger.With("component", "usernames"), Registerer: registerer,
	}
	if c.Instagram.AccessToken.IsSet() {
		o.Lookup = func(ctx context.Context, user mapping.User) usernames.Answer {
			name, err := client.Username(ctx, user.UserID)
			return answer(name, err)
		}
		o.Credential = func() string {
			token, _ := c.Instagram.AccessToken.Reveal() // an unreadable one differs from every other
			return token
		}
	}
	return usernames.New(o)
}

// answer translates the client's error into what the cache acts upon.
func answer(name string, err error) usernames.Answer {
	if err == nil {
		return usernames.Answer{Outcome: usernames.OK, Username: name}
	}
	if errors.Is(err, instagram.ErrNoToken) {
		return usernames.Answer{Outcome: usernames.Off}
	}
	e, ok := errors.AsType[*instagram.Error](err)
	if !ok {
		return usernames.Answer{Outcome: usernames.Temporary}
	}
	outcomes := map[instagram.Kind]usernames.Outcome{
		instagram.TokenDead: usernames.TokenDead, instagram.Permission: usernames.Permission, instagram.NoConsent: usernames.NoConsent,
		instagram.Gone: usernames.Gone, instagram.NotKnown: usernames.Gone, instagram.Config: usernames.Config, instagram.Throttled: usernames.Throttled,
		instagram.Temporary: usernames.Temporary,
	}
	outcome, known := outcomes[e.Kind]
	if !known {
		outcome = usernames.Temporary
	}
	return usernames.Answer{Outcome: outcome, RetryAfter: e.RetryAfter}
}
