//go:build chaos

package chaos_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"sidestream/internal/simulate"
)

// lanes is how many deliveries of a source are under way at once.
const lanes = 3

// soon waits between two attempts to deliver, for less long than Instagram.
func soon(ctx context.Context, _ time.Duration) error { return wait(ctx, 20*time.Millisecond) }

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// deliver posts until ctx ends. Whatever it has begun it sees through, until the
// delivery is acknowledged or the storm gives up.
func (s *site) deliver(ctx, storm context.Context, seed uint64, n *counts) error {
	random := rand.New(rand.NewPCG(seed, 0x1a7e5))
	for ctx.Err() == nil {
		if err := s.deliverOne(storm, random, n); err != nil {
			return err
		}
		_ = wait(ctx, time.Duration(2+random.IntN(20))*time.Millisecond)
	}
	return nil
}

func (s *site) deliverOne(ctx context.Context, random *rand.Rand, n *counts) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	switch random.IntN(40) {
	case 0:
		return s.forge(ctx, random, n)
	case 1, 2, 3:
		if d, ok := s.again(random); ok {
			n.add(redelivered, 1)
			_, err := s.sender.Post(ctx, d)
			return err
		}
	}
	return s.post(ctx, s.talk.next(), n)
}

// post delivers until it is acknowledged.
func (s *site) post(ctx context.Context, d simulate.Delivery, n *counts) error {
	receipt, err := s.sender.Post(ctx, d)
	if err != nil {
		return fmt.Errorf("source %d: %w", s.source, err)
	}
	n.add(triedAgain, receipt.Attempts-1)
	for _, sent := range d.Sent {
		switch sent.Kind {
		case simulate.KindEdit:
			n.add(editsSent, 1)
		case simulate.KindUnsend:
			n.add(unsendsSent, 1)
		default:
			n.add(messagesSent, 1)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const kept = 200
	if len(s.past) < kept {
		s.past = append(s.past, d)
		return nil
	}
	// Some stay for long, whichever.
	s.past[len(d.Body)%kept] = d
	return nil
}

// again returns a delivery that was acknowledged.
func (s *site) again(random *rand.Rand) (simulate.Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.past) == 0 {
		return simulate.Delivery{}, false
	}
	return s.past[random.IntN(len(s.past))], true
}

// forge delivers what nobody has signed: new messages, and edits and unsends of
// real ones.
func (s *site) forge(ctx context.Context, random *rand.Rand, n *counts) error {
	sent := simulate.Sent{
		Kind: simulate.KindMessage, AccountID: s.talk.account, MessageID: fmt.Sprintf("mid.forged.%d", random.Uint64()), UserID: "9666",
		Text: fmt.Sprintf("%s-%d x", forged, random.Uint64()), Timestamp: 1_790_000_000_000,
	}
	if d, ok := s.again(random); ok {
		about := d.Sent[0]
		switch random.IntN(3) {
		case 0:
			sent.Kind, sent.MessageID, sent.UserID, sent.Outbound, sent.Version = simulate.KindEdit, about.MessageID, about.UserID, about.Outbound, 99
		case 1:
			sent.Kind, sent.MessageID, sent.UserID, sent.Outbound = simulate.KindUnsend, about.MessageID, about.UserID, about.Outbound
		}
	}
	receipt, err := s.forger.Post(ctx, simulate.Compose(sent.Timestamp, sent))
	switch {
	case err == nil:
		n.add(forgeryAccepted, 1)
	case receipt.Status == http.StatusForbidden:
		n.add(forgeryRefused, 1)
	}
	return nil // whatever came of it: the reconciliation looks for what it said
}

// strangers insert rows of their own into the CRM's table until ctx ends. They
// look like ours, but for the text.
type strangers struct {
	db *sql.DB

	mu  sync.Mutex
	all []stranger
}

func (s *strangers) run(ctx context.Context, seed uint64, talks []*conversation, n *counts) {
	random := rand.New(rand.NewPCG(seed, 0x57a4))
	for i := 0; ctx.Err() == nil; i++ {
		row := simulate.Row{Direction: "in", Message: fmt.Sprintf("stranger-%d says something", i)}
		row.UserID, row.CreatedAt = talks[i%len(talks)].somebody()
		err := s.insert(ctx, row)
		s.mu.Lock()
		s.all = append(s.all, stranger{row: row, sure: err == nil})
		s.mu.Unlock()
		if err == nil {
			n.add(strangerRows, 1)
		}
		_ = wait(ctx, time.Duration(5+random.IntN(60))*time.Millisecond)
	}
}

func (s *strangers) insert(ctx context.Context, row simulate.Row) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	result, err := s.db.ExecContext(ctx, "INSERT INTO messages (user_id, username, direction, message, created_at) VALUES (?, 'stranger', ?, ?, FROM_UNIXTIME(?))",
		row.UserID, row.Direction, row.Message, row.CreatedAt)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("%d rows", n))
	}
	return nil
}
