package replicator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/instagram"
	"sidestream/internal/mysql"
	"sidestream/replicator"
)

type checkCmd struct {
	Offline bool `help:"Look at the configuration only; connect to nothing."`
}

// finding is one line of the check.
type finding struct {
	area, name, status, text, hint string
}

const (
	statusOK   = "ok"
	statusWarn = "warn"
	statusFail = "fail"
)

// Run prints each finding as it is known, and fails where one of them does.
func (cmd checkCmd) Run(a *app) error {
	c, logger, err := a.load()
	if err != nil {
		return err
	}
	r := &findings{ctx: a.ctx, w: a.stdout}
	r.add(finding{"config", "file", statusOK, fmt.Sprintf("%s, hash %s", orNone(c.File), c.Hash()), ""})
	for _, warning := range c.Warnings {
		r.add(finding{"config", "warning", statusWarn, warning, ""})
	}
	if !c.CRM.Enabled {
		r.add(finding{"config", "crm.enabled", statusWarn, "replication is switched off", enableHint(c)})
	}
	if !cmd.Offline {
		if err := checkEnds(a.ctx, c, logger, r); err != nil {
			return err
		}
	}
	return r.verdict()
}

// checkEnds connects to what the configuration names.
func checkEnds(ctx context.Context, c *config.Config, logger *slog.Logger, r *findings) error {
	source, err := newSource(c, logger)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	for _, f := range source.Inspect(ctx) {
		r.add(finding{"source", f.Name, string(f.Status), f.Text, f.Hint})
	}
	target, err := newTarget(c, logger, nil)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	target.Check(ctx, func(f mysql.Finding) { r.add(finding{"crm", f.Name, f.Status, f.Text, f.Hint}) })
	if ctx.Err() == nil && target.Address() != "" {
		for _, f := range checkBoth(ctx, source, target) {
			r.add(f)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	client, err := newInstagram(c)
	if err != nil {
		return err
	}
	defer client.Close()
	r.add(checkToken(ctx, client))
	return nil
}

// checkBoth asks where replication stands, and whether the file is the one that
// the cursor belongs to.
func checkBoth(ctx context.Context, source replicator.Source, target *mysql.Target) []finding {
	overview, err := target.Overview(ctx)
	if err != nil {
		return nil // said above
	}
	cursor := overview.Cursor
	if !cursor.Known {
		_, err := replicator.Begin(ctx, source, target)
		f := replicator.AsFailure(err)
		switch {
		case err == nil:
			return []finding{{"both", "cursor", statusOK, "none yet: replication begins at the beginning", ""}}
		case f.Class == replicator.Blocked:
			return []finding{{"both", "cursor", statusFail, f.Error(), f.Hint}}
		}
		return []finding{{"both", "cursor", statusOK, "none yet", ""}}
	}
	found := []finding{{"both", "cursor", statusOK, fmt.Sprintf("position %d, generation %d", cursor.Position, cursor.Generation), ""}}
	if _, err := source.Read(ctx, cursor, 0); err != nil {
		f := replicator.AsFailure(err)
		return append(found, finding{"both", "same file", statusFail, f.Error(), f.Hint})
	}
	return append(found, finding{"both", "same file", statusOK, "the file is the one that the cursor belongs to", ""})
}

func orNone(file string) string {
	if file == "" {
		return "no file, environment only"
	}
	return file
}

// checkToken asks who the token belongs to.
func checkToken(ctx context.Context, client *instagram.Client) finding {
	f := finding{area: "instagram", name: "token", status: statusOK}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	name, err := client.Me(ctx)
	switch {
	case err == nil:
		f.text = "belongs to " + name
	case errors.Is(err, instagram.ErrNoToken):
		f.status, f.text, f.hint = statusWarn, "not set: usernames are user ids", "set instagram.access_token"
	default:
		f.status, f.text, f.hint = statusWarn, err.Error(), "messages flow with user ids meanwhile; "+tokenHint(err)
	}
	return f
}

// tokenHint is the next step for an answer that brought no name.
func tokenHint(err error) string {
	if e, ok := errors.AsType[*instagram.Error](err); ok {
		switch e.Kind {
		case instagram.TokenDead:
			return "renew instagram.access_token"
		case instagram.Permission:
			return "let the app and the account look up profiles, in the App Dashboard"
		case instagram.Config, instagram.Gone, instagram.NotKnown:
			return "correct instagram.base_url or instagram.access_token"
		case instagram.Throttled:
			return "wait: the API's limit is reached"
		case instagram.Temporary, instagram.NoConsent:
		}
	}
	return "look whether this host reaches instagram.base_url"
}

// findings prints what is found and counts what fails.
type findings struct {
	ctx           context.Context //nolint:containedctx // what is found once it has ended is of no meaning
	w             io.Writer
	count, failed int
}

func (r *findings) add(f finding) {
	if r.ctx.Err() != nil && f.status != statusOK {
		return // the interruption itself, which verdict says
	}
	r.print(f)
}

func (r *findings) print(f finding) {
	line := fmt.Sprintf("%-4s  %-9s  %-18s  %s", f.status, f.area, f.name, f.text)
	if f.hint != "" && f.status != statusOK {
		line += " -> " + f.hint
	}
	fmt.Fprintln(r.w, strings.TrimRight(line, " "))
	r.count++
	if f.status == statusFail {
		r.failed++
	}
}

// verdict is the error of a check that found a failure, or was interrupted.
func (r *findings) verdict() error {
	if r.ctx.Err() != nil {
		r.print(finding{"check", "interrupted", statusFail, "what would follow was not looked at", "run it again, and wait: a server that does not answer takes crm.connect_timeout"})
	}
	if r.failed > 0 {
		return &console.ExitError{Code: console.Failed, Err: fmt.Errorf("%d of %d checks failed", r.failed, r.count)}
	}
	return nil
}
