package replicator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strconv"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/replicator"
)

type cursorCmd struct {
	Show   cursorShowCmd   `cmd:"" help:"Print the cursor and what surrounds it."`
	Init   cursorInitCmd   `cmd:"" help:"Decide once where replication begins."`
	Set    cursorSetCmd    `cmd:"" help:"Move the cursor. What lies between is sent again, or never."`
	Resume cursorResumeCmd `cmd:"" help:"Go on after a restore on either side: finds where both still agree."`
}

// desk is what the cursor commands work with.
type desk struct {
	*app
	logger *slog.Logger
	source *sqlite.Source
	target *mysql.Target
	config *config.Config
	now    mysql.Overview
}

// open connects to both ends and reads the cursor.
func (a *app) open() (*desk, error) {
	c, logger, err := a.load()
	if err != nil {
		return nil, err
	}
	d := &desk{app: a, logger: logger, config: c}
	if d.source, err = newSource(c, logger); err != nil {
		return nil, err
	}
	if d.target, err = newTarget(c, logger, nil); err != nil {
		return nil, err
	}
	// Load also creates the state tables and reads the CRM's columns.
	if _, err = d.target.Load(a.ctx); err != nil {
		return nil, errors.Join(failure(err), d.close())
	}
	if d.now, err = d.target.Overview(a.ctx); err != nil {
		return nil, errors.Join(failure(err), d.close())
	}
	return d, nil
}

func (d *desk) close() error { return errors.Join(d.target.Close(), d.source.Close()) }

// decide stores a decision, logs its audit line and says it.
func (d *desk) decide(ctx context.Context, decision mysql.Decision) error {
	next := &decision.Next
	next.Known = true
	next.Decision = replicator.DecisionToken(decision.Action, d.now.Cursor, time.Now(), len(decision.Taken))
	next.Attempt = next.Decision
	decision.Expect = d.now.Cursor
	if err := d.target.Decide(ctx, decision); err != nil {
		return failure(err)
	}
	d.logger.Info("cursor decided by an operator", "action", decision.Action, "source", d.config.Source.Name, "from", d.now.Cursor.Position, "to", next.Position, "generation", next.Generation, "detail", decision.Detail)
	fmt.Fprintf(d.stdout, "%s\nA running replicator goes on from there within %s.\n", decision.Detail, "half a minute")
	return nil
}

type cursorShowCmd struct{}

// Run prints what both sides say.
func (cursorShowCmd) Run(a *app) error {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	printCursor(a.stdout, d.now)
	first, last, sourceID, err := d.source.Bounds(a.ctx)
	if err != nil {
		return failure(err)
	}
	fmt.Fprintf(a.stdout, "source file    %s: positions %d to %d, id %s\n", d.config.Database.Path, first, last, sourceID)
	if d.now.Cursor.Known {
		if _, err := d.source.Read(a.ctx, d.now.Cursor, 0); err != nil {
			f := replicator.AsFailure(err)
			fmt.Fprintf(a.stdout, "not the file   that the cursor belongs to: %s\nnext: %s\n", f.Error(), f.Hint)
			return nil
		}
		fmt.Fprintf(a.stdout, "behind         %d\n", max(0, last-d.now.Cursor.Position))
		return nil
	}
	fmt.Fprintln(a.stdout, "next:", replicator.HowToBegin)
	return nil
}

func printCursor(w io.Writer, o mysql.Overview) {
	c := o.Cursor
	if !c.Known {
		fmt.Fprintf(w, "cursor         none at %s\n", o.Address)
		return
	}
	fmt.Fprintf(w, "cursor         position %d, generation %d, at %s\n", c.Position, c.Generation, o.Address)
	fmt.Fprintf(w, "source id      %s\n", c.SourceID)
	fmt.Fprintf(w, "started after  %d\n", c.StartPosition)
	fmt.Fprintf(w, "applied        %s, last %s\n", changes(c.AppliedTotal), c.UpdatedAt.Format(time.RFC3339))
	fmt.Fprintf(w, "anchors        %d\n", len(c.Anchors))
	fmt.Fprintf(w, "ledger         %s, %d with fallbacks\n", console.Count(o.LedgerRuns, "run", "runs"), o.Fallbacks)
	fmt.Fprintf(w, "dead letters   %d open\n", o.DeadLettersOpen)
}

// place is "beginning", "end" or a position.
type place string

// UnmarshalText refuses what is no place while the command line is read, before
// anything is connected to.
func (p *place) UnmarshalText(text []byte) error {
	*p = place(text)
	_, err := p.position(math.MaxInt64)
	return err
}

// position resolves the place in a source that holds positions up to last.
func (p place) position(last int64) (int64, error) {
	switch p {
	case "beginning":
		return 0, nil
	case "end":
		return last, nil
	}
	n, err := strconv.ParseInt(string(p), 10, 64)
	if err != nil || n < 0 {
		return 0, &console.ExitError{Code: console.Usage, Err: fmt.Errorf("a place is beginning, end or a position, not %q", string(p))}
	}
	if n > last {
		return 0, &console.ExitError{Code: console.Usage, Err: fmt.Errorf("--at %d lies beyond the source, which ends at %d", n, last)}
	}
	return n, nil
}

// at builds the cursor for a position, with anchors from the file as it is now.
func (d *desk) at(ctx context.Context, p place) (replicator.Cursor, error) {
	_, last, _, err := d.source.Bounds(ctx)
	if err != nil {
		return replicator.Cursor{}, failure(err)
	}
	position, err := p.position(last)
	if err != nil {
		return replicator.Cursor{}, err
	}
	anchors, sourceID, err := d.source.Anchors(ctx, position)
	if err != nil {
		return replicator.Cursor{}, failure(err)
	}
	return replicator.Cursor{Position: position, Anchors: anchors, SourceID: sourceID}, nil
}

func changes(n int64) string { return console.Count(n, "change", "changes") }

type cursorInitCmd struct {
	At place `required:"" placeholder:"PLACE" help:"beginning (send all), end (send only what comes), or the position behind which to start."`
}

// Run stores the first cursor.
func (cmd cursorInitCmd) Run(a *app) error {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	if d.now.Cursor.Known {
		return &console.HintError{Err: fmt.Errorf("a cursor exists already, at position %d", d.now.Cursor.Position), Hint: "replicator cursor show; to move it: replicator cursor set --at POSITION"}
	}
	next, err := d.at(a.ctx, cmd.At)
	if err != nil {
		return err
	}
	pending, err := d.source.Pending(a.ctx, next.Position)
	if err != nil {
		return failure(err)
	}
	// Where only the cursor's row was lost, the ledger goes on to name the rows.
	next.Generation, next.StartPosition = max(1, d.now.Generation), next.Position
	detail := fmt.Sprintf("replication begins behind position %d: up to %s of the file are sent, and what stands before them never", next.Position, changes(pending.Changes))
	if next.Position == 0 {
		detail = fmt.Sprintf("replication begins at the beginning: up to %s of the file are sent", changes(pending.Changes))
	}
	if err := d.decide(a.ctx, mysql.Decision{Action: replicator.ActionInit, Next: next, Detail: detail}); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, "If that was wrong: replicator cursor set --at PLACE moves the cursor, but what has been sent by then stays in the CRM.")
	return nil
}

type cursorSetCmd struct {
	At  place `required:"" placeholder:"PLACE" help:"beginning, end, or the position that counts as applied."`
	Yes bool  `help:"Do it. Without, only say what would happen."`
}

// Run moves the cursor.
func (cmd cursorSetCmd) Run(a *app) error {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	now := d.now.Cursor
	if !now.Known {
		return &console.HintError{Err: errors.New("there is no cursor yet"), Hint: replicator.HowToBegin}
	}
	next, err := d.at(a.ctx, cmd.At)
	if err != nil {
		return err
	}
	next.Generation, next.StartPosition, next.AppliedTotal = now.Generation, min(now.StartPosition, next.Position), now.AppliedTotal
	detail := fmt.Sprintf("the cursor moves from position %d to %d: %s between are never sent", now.Position, next.Position, changes(next.Position-now.Position))
	if next.Position <= now.Position {
		detail = fmt.Sprintf("the cursor moves from position %d back to %d: up to %s are sent again, and stand twice in the CRM where it still holds them", now.Position, next.Position, changes(now.Position-next.Position))
	}
	if next.Position == now.Position {
		detail = fmt.Sprintf("the cursor stays at position %d: nothing is sent again or left out, and what both sides hold counts as right", now.Position)
	}
	if !cmd.Yes {
		fmt.Fprintf(a.stdout, "would do: %s\nNothing was changed. To do it, give the same command with --yes.\n", detail)
		return nil
	}
	return d.decide(a.ctx, mysql.Decision{Action: replicator.ActionSet, Next: next, Detail: detail})
}
