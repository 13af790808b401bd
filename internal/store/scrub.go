package store

import (
	"context"
	"fmt"
	"time"
)

// scrubPoll is how often Scrubbed looks.
const scrubPoll = 10 * time.Millisecond

// Scrubbed waits until no text that this store unsent, erased or pruned is left
// in the WAL. Where ctx ends first, the error says what is in the way: most
// likely a reader that keeps a transaction open.
func (s *Store) Scrubbed(ctx context.Context) error {
	tick := time.NewTicker(scrubPoll)
	defer tick.Stop()
	for s.writer.wal.since.Load() != 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("store: the texts are still in the -wal file: %w (%w)", errReaders, ctx.Err())
		}
	}
	return nil
}
