package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/store"
)

type eraseCmd struct {
	UserID  string        `required:"" placeholder:"ID" help:"The person's Instagram-scoped id, as in the CRM's user_id."`
	Account string        `placeholder:"ID" help:"Only the conversation with this business account. Default: with every one."`
	DryRun  bool          `help:"Count only."`
	Wait    time.Duration `default:"30s" help:"How long to wait for readers that keep the texts in the -wal file."`
}

// Run erases a person from the SQLite file, beside a running writer or without
// one. The rows that it adds take the person out of the CRM.
func (cmd eraseCmd) Run(a *app) error {
	return withStore(a, func(s *store.Store, _ *config.Config) error {
		done, err := s.Erase(a.ctx, store.Person{UserID: cmd.UserID, AccountID: cmd.Account}, cmd.DryRun)
		if errors.Is(err, store.ErrAccount) {
			return &console.HintError{Err: err, Hint: "name the person on the other side of the conversation"}
		}
		if errors.Is(err, store.ErrShortID) {
			return &console.ExitError{Code: console.Usage, Err: err}
		}
		if err != nil {
			return err
		}
		if cmd.DryRun {
			fmt.Fprintf(a.stdout, "would erase %s and %s that name the person\n", messages(done.Messages), deliveries(done.Undecoded))
			return nil
		}
		fmt.Fprintf(a.stdout, "erased %s and %s; the CRM follows when the replicator has come to the end of the file\n",
			messages(done.Messages), deliveries(done.Undecoded))
		return scrubbed(a.ctx, s, cmd.Wait)
	})
}

func messages(n int) string { return console.Count(n, "message", "messages") }

func deliveries(n int) string {
	return console.Count(n, "undecoded delivery", "undecoded deliveries")
}

// scrubbed waits until the texts have left the -wal file too.
func scrubbed(ctx context.Context, s *store.Store, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.Scrubbed(ctx); err != nil {
		return &console.HintError{Err: err, Hint: "end the program that reads the database (a shell, a backup), then run the command again"}
	}
	return nil
}
