package sqlite

import (
	"context"
	"time"

	"sidestream/replicator"
)

// Pending implements replicator.Source. It has a connection of its own, so a
// scrape does not wait for a read.
func (s *Source) Pending(ctx context.Context, position int64) (replicator.Pending, error) {
	var pending replicator.Pending
	err := s.use(ctx, &s.scraper, func(t *session) error {
		pending = replicator.Pending{}
		_, head, err := t.bounds(ctx)
		if err != nil {
			return err
		}
		pending.Head = head
		if head <= position {
			return nil
		}
		pending.Changes = head - position
		value, err := t.oldest.one(ctx, position)
		if at := toMillis(value); at > 0 {
			pending.Oldest = time.UnixMilli(at)
		}
		return err
	})
	if err != nil {
		return replicator.Pending{}, err
	}
	return pending, nil
}
