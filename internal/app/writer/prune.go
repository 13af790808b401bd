package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/ops"
	"sidestream/internal/statuspage"
	"sidestream/internal/store"
)

type pruneCmd struct {
	OlderThan          console.Duration `required:"" placeholder:"400d" help:"Age from which on texts are not kept."`
	DryRun             bool             `help:"Count only."`
	IncludeDeadLetters bool             `help:"Prune although dead letters are open: what they hold can then not be retried."`
	Wait               time.Duration    `default:"30s" help:"How long to wait for readers that keep the texts in the -wal file."`
}

// Run blanks what is old and in the CRM.
func (cmd pruneCmd) Run(a *app) error {
	return withStore(a, func(s *store.Store, c *config.Config) error {
		upTo, err := appliedPosition(a.ctx, s, c, cmd.IncludeDeadLetters)
		if err != nil {
			return err
		}
		done, err := s.Prune(a.ctx, time.Now().Add(-time.Duration(cmd.OlderThan)), upTo, cmd.DryRun)
		if err != nil {
			return err
		}
		if cmd.DryRun {
			fmt.Fprintf(a.stdout, "would blank %s up to position %d, and delete %s\n", rows(done.Rows), upTo, deliveries(done.Undecoded))
			return nil
		}
		fmt.Fprintf(a.stdout, "blanked %s up to position %d, deleted %s\n", rows(done.Rows), upTo, deliveries(done.Undecoded))
		return scrubbed(a.ctx, s, cmd.Wait)
	})
}

// appliedPosition asks the replicator how far it has come. Where it cannot say
// for certain, nothing may be pruned: a text that is not in the CRM yet would be
// lost.
func appliedPosition(ctx context.Context, s *store.Store, c *config.Config, includeDeadLetters bool) (int64, error) {
	refuse := func(hint, format string, args ...any) error {
		return &console.HintError{Err: fmt.Errorf("nothing is pruned: "+format, args...), Hint: hint}
	}
	const ask = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, ask)
	defer cancel()
	before, err := s.Head(ctx)
	if err != nil {
		return 0, err
	}
	status, err := statuspage.Fetch(ctx, ops.Get, c.Replicator.Listen)
	if err != nil {
		return 0, refuse("start the replicator, or set replicator.listen to where it answers", "how far the replicator has come is not known: %w", err)
	}
	after, err := s.Head(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case !status.CursorKnown:
		return 0, refuse("replicator status", "the replicator does not know its cursor yet (%s %s)", status.State, status.Reason)
	case status.State == statuspage.Blocked:
		return 0, refuse("replicator status", "the replicator is blocked (%s), so its cursor may belong to another file", status.Reason)
	case status.Head == nil:
		return 0, refuse("replicator status", "the replicator cannot read its source")
	case *status.Head < before || *status.Head > after:
		return 0, refuse("set replicator.listen to the replicator of this file", "the replicator at %s reads another file (%s)", c.Replicator.Listen, status.Database)
	case status.DeadLettersOpen > 0 && !includeDeadLetters:
		return 0, refuse("replicator dead-letters retry, or prune with --include-dead-letters",
			"%s is in this file alone", heldBy(status.DeadLettersOpen))
	}
	return min(status.Position, after), nil
}

func rows(n int) string { return console.Count(n, "message or edit", "messages and edits") }

// heldBy names what open dead letters hold.
func heldBy(letters int64) string {
	if letters == 1 {
		return "1 dead letter is open, and what it holds"
	}
	return fmt.Sprintf("%d dead letters are open, and what they hold", letters)
}

// hintOf returns the hint of an error, for a log line.
func hintOf(err error) string {
	if h, ok := errors.AsType[*console.HintError](err); ok {
		return h.Hint
	}
	return ""
}
