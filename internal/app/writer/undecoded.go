package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/store"
	"sidestream/internal/webhook"
)

type undecodedCmd struct {
	List   undecodedListCmd   `cmd:"" help:"List what is kept, without its content."`
	Replay undecodedReplayCmd `cmd:"" help:"Decode again, after an upgrade that understands more."`
	Drop   undecodedDropCmd   `cmd:"" help:"Delete what is kept, for good."`
}

const page = 500

// each calls fn for every undecoded row that is there when it begins: what fn or
// a running writer adds meanwhile is not of its business.
func each(ctx context.Context, s *store.Store, fn func(store.StoredUndecoded) error) error {
	last, err := s.LastUndecoded(ctx)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		rows, err := s.ListUndecoded(ctx, after, page)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if row.ID > last {
				return nil
			}
			if err := fn(row); err != nil {
				return err
			}
		}
		after = rows[len(rows)-1].ID
	}
}

// withStore opens the database beside a running writer: SQLite lets one write
// at a time and the other wait.
func withStore(a *app, fn func(*store.Store, *config.Config) error) error {
	c, logger, err := a.load()
	if err != nil {
		return err
	}
	s, err := store.Open(a.ctx, storeOptions(c, logger, nil))
	if err != nil {
		return err
	}
	err = fn(s, c)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), drainTimeout)
	defer cancel()
	if e := s.Close(ctx); err == nil {
		err = e
	}
	return err
}

type undecodedListCmd struct{}

// Run prints a line per row.
func (undecodedListCmd) Run(a *app) error {
	return withStore(a, func(s *store.Store, _ *config.Config) error {
		n := 0
		err := each(a.ctx, s, func(row store.StoredUndecoded) error {
			n++
			fmt.Fprintf(a.stdout, "%-8d %s  %8d bytes  %s\n", row.ID, row.ReceivedAt.UTC().Format(time.RFC3339), row.Bytes, row.Reason)
			return nil
		})
		fmt.Fprintf(a.stdout, "%d undecoded\n", n)
		return err
	})
}

type undecodedReplayCmd struct{}

// Run decodes every row again and stores what is understood by now.
func (undecodedReplayCmd) Run(a *app) error {
	return withStore(a, func(s *store.Store, _ *config.Config) error {
		understood, left := 0, 0
		err := each(a.ctx, s, func(row store.StoredUndecoded) error {
			body, err := s.UndecodedBody(a.ctx, row.ID)
			if errors.Is(err, store.ErrNotFound) {
				return nil // gone meanwhile: dropped, or too old
			}
			if err != nil {
				return err
			}
			news, err := replay(a.ctx, s, row, body)
			if news {
				understood++
			} else {
				left++
			}
			return err
		})
		fmt.Fprintf(a.stdout, "%d understood now, %d kept\n", understood, left)
		return err
	})
}

// replay decodes a row again and tells whether that brought anything new. Where
// the row itself is among what is still not understood it stays as it is:
// storing it under another number would go on for ever.
func replay(ctx context.Context, s *store.Store, row store.StoredUndecoded, body []byte) (bool, error) {
	decoded := webhook.Decode(body, row.ReceivedAt)
	stays := slices.ContainsFunc(decoded.Undecoded, func(u webhook.Undecoded) bool { return bytes.Equal(u.Body, body) })
	if stays {
		if len(decoded.Changes) == 0 {
			return false, nil
		}
		result, err := s.Commit(ctx, deliveryOf(webhook.Delivery{Changes: decoded.Changes}))
		return result.Inserted > 0, err
	}
	if len(decoded.Changes) == 0 && len(decoded.Ignored) == 0 {
		return false, nil
	}
	d := deliveryOf(webhook.Delivery{Changes: decoded.Changes, Undecoded: decoded.Undecoded})
	d.Resolves = []int64{row.ID}
	_, err := s.Commit(ctx, d)
	return true, err
}

type undecodedDropCmd struct {
	ID  []int64 `arg:"" optional:"" help:"Rows to delete, by the number that list shows."`
	All bool    `help:"Delete all of them."`
}

// Validate is asked while the command line is read.
func (cmd undecodedDropCmd) Validate() error {
	if (len(cmd.ID) == 0) != cmd.All {
		return errors.New("name the rows to drop, or give --all, and not both")
	}
	return nil
}

// Run deletes rows.
func (cmd undecodedDropCmd) Run(a *app) error {
	return withStore(a, func(s *store.Store, _ *config.Config) error {
		ids, absent, err := present(a.ctx, s, cmd.ID)
		if err != nil {
			return err
		}
		if cmd.All {
			if err := each(a.ctx, s, func(row store.StoredUndecoded) error { ids = append(ids, row.ID); return nil }); err != nil {
				return err
			}
		}
		dropped := 0
		for len(ids) > 0 {
			n := min(len(ids), page)
			result, err := s.Commit(a.ctx, store.Delivery{Resolves: ids[:n]})
			if err != nil {
				return err
			}
			dropped += result.Resolved
			ids = ids[n:]
		}
		fmt.Fprintf(a.stdout, "%d dropped\n", dropped)
		if len(absent) > 0 {
			return &console.HintError{Err: fmt.Errorf("no undecoded delivery has the number %s", strings.Join(absent, ", ")), Hint: "writer undecoded list"}
		}
		return nil
	})
}

// present sorts numbers into those that a row has and those that none has.
func present(ctx context.Context, s *store.Store, numbers []int64) (ids []int64, absent []string, err error) {
	for _, id := range numbers {
		switch _, err := s.UndecodedBody(ctx, id); {
		case errors.Is(err, store.ErrNotFound):
			absent = append(absent, strconv.FormatInt(id, 10))
		case err != nil:
			return nil, nil, err
		default:
			ids = append(ids, id)
		}
	}
	return ids, absent, nil
}
