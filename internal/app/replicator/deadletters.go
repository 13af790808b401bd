package replicator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/mysql"
	"sidestream/mapping"
	"sidestream/replicator"
)

type deadLettersCmd struct {
	List  deadLettersListCmd  `cmd:"" help:"List the changes that the CRM refused, without their content."`
	Retry deadLettersRetryCmd `cmd:"" help:"Try open ones again, beside a running replicator or without."`
}

type deadLettersListCmd struct {
	All  bool `help:"Resolved ones too."`
	JSON bool `help:"Print JSON."`
}

// Run prints a line per letter.
func (cmd deadLettersListCmd) Run(a *app) error {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	letters, err := d.target.ListDeadLetters(a.ctx, cmd.All)
	if err != nil {
		return failure(err)
	}
	if cmd.JSON {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(append([]mysql.DeadLetter{}, letters...))
	}
	if len(letters) == 0 {
		fmt.Fprintln(a.stdout, "no dead letters")
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POSITION\tGENERATION\tREASON\tCODE\tATTEMPTS\tFIRST SEEN\tSTATE\tMESSAGE ID")
	for _, l := range letters {
		state := "open"
		if !l.ResolvedAt.IsZero() {
			state = "resolved " + l.ResolvedAt.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%d\t%s\t%s\t%q\n", l.Position, l.Generation, l.Reason, l.Code, l.Attempts, l.FirstSeen.Format(time.RFC3339), state, l.MessageID)
	}
	return w.Flush()
}

type deadLettersRetryCmd struct {
	Position *int64 `placeholder:"N" help:"Only the one at this position."`
}

// Run tries letters again, one transaction each. It fails where one is still
// refused or cannot be tried.
func (cmd deadLettersRetryCmd) Run(a *app) error {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	letters, err := d.target.ListDeadLetters(a.ctx, false)
	if err != nil {
		return failure(err)
	}
	if cmd.Position != nil {
		letters = slices.DeleteFunc(letters, func(l mysql.DeadLetter) bool { return l.Position != *cmd.Position })
		if len(letters) == 0 {
			return &console.HintError{Err: fmt.Errorf("no open dead letter at position %d", *cmd.Position), Hint: "replicator dead-letters list"}
		}
	}
	return d.retryAll(a.ctx, letters)
}

// retryAll tries letters one by one and says what came of each. Only a failure
// that would meet every letter ends it.
func (d *desk) retryAll(ctx context.Context, letters []mysql.DeadLetter) error {
	mapper, err := newMapper(d.config)
	if err != nil {
		return err
	}
	client, err := newInstagram(d.config)
	if err != nil {
		return err
	}
	defer client.Close()
	book := newNameBook(client.Username)
	refused, stranded := 0, 0
	for _, l := range letters {
		outcome, err := d.retry(ctx, mapper, book, l)
		switch {
		case outcome == mysql.RetriedRefused:
			refused++
			fmt.Fprintf(d.stdout, "position %d: refused again (%s)\n", l.Position, err)
		case err != nil && ofLetter(err):
			stranded++
			fmt.Fprintf(d.stdout, "position %d of generation %d: not tried (%s)\n", l.Position, l.Generation, err)
		case err != nil:
			return failure(fmt.Errorf("position %d: %w", l.Position, err))
		default:
			fmt.Fprintf(d.stdout, "position %d: %s\n", l.Position, inWords(outcome))
		}
	}
	if stranded > 0 {
		return &console.HintError{
			Err:  fmt.Errorf("%d of %d are still refused, and the source has no message any more for %d", refused, len(letters), stranded),
			Hint: `close those in SQL: docs/OPERATIONS.md, "Dead letters"`,
		}
	}
	if refused > 0 {
		return &console.HintError{Err: fmt.Errorf("still refused: %d of %d", refused, len(letters)), Hint: "change the CRM's table, or crm.too_long and crm.unsupported_characters; then: replicator dead-letters retry"}
	}
	if len(letters) == 0 {
		fmt.Fprintln(d.stdout, "no open dead letters")
	}
	return nil
}

// ofLetter tells whether a failure says something of its letter only: the source
// was replaced, or its row deleted, since the letter was written.
func ofLetter(err error) bool {
	reason := replicator.AsFailure(err).Reason
	return reason == "dead_letter_differs" || reason == "source_row_gone"
}

func inWords(outcome mysql.Retried) string {
	switch outcome {
	case mysql.RetriedApplied:
		return "applied"
	case mysql.RetriedNothing:
		return "resolved: there is nothing to do for it any more"
	case mysql.RetriedPruned:
		return "resolved: its text was pruned from the source, so there is nothing to send"
	case mysql.RetriedAlready:
		return "resolved already"
	case mysql.RetriedLater:
		return "not now: the cursor is before it, and the replicator will come to it"
	case mysql.RetriedRefused:
	}
	return string(outcome)
}

// retry tries one letter. The username is asked for before the transaction,
// which holds up a running replicator; the record is computed inside, from what
// the cursor has passed at that moment.
func (d *desk) retry(ctx context.Context, mapper *mapping.Mapper, book *nameBook, l mysql.DeadLetter) (mysql.Retried, error) {
	names, err := d.username(ctx, book, l.Position)
	if err != nil {
		return "", err
	}
	outcome, err := d.target.Retry(ctx, l, func(cursor replicator.Cursor) (replicator.Item, error) {
		change, history, err := d.source.Message(ctx, cursor, l.Position)
		if err != nil {
			return replicator.Item{}, err
		}
		return replicator.Plan(mapper, cursor, change, history, names), nil
	})
	if err == nil {
		d.logger.Info("dead letter tried again", "position", l.Position, "generation", l.Generation, "outcome", string(outcome))
	}
	return outcome, err
}

// username looks up whom the change is about. Without an answer the user id
// stands in, as it does everywhere.
func (d *desk) username(ctx context.Context, book *nameBook, position int64) (map[mapping.User]string, error) {
	// Without anchors: the transaction that follows compares the file.
	change, _, err := d.source.Message(ctx, replicator.Cursor{Position: position}, position)
	if err != nil {
		return nil, err
	}
	name := book.find(ctx, change.User())
	if name == "" {
		return nil, ctx.Err()
	}
	return map[mapping.User]string{change.User(): name}, nil
}
