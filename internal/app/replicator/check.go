package replicator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sidestream/internal/app/console"
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

// Run prints one line per finding and fails where one of them does.
func (cmd checkCmd) Run(a *app) error {
	c, logger, err := a.load()
	if err != nil {
		return err
	}
	findings := []finding{{"config", "file", statusOK, fmt.Sprintf("%s, hash %s", orNone(c.File), c.Hash()), ""}}
	for _, warning := range c.Warnings {
		findings = append(findings, finding{"config", "warning", statusWarn, warning, ""})
	}
	if !c.CRM.Enabled {
		findings = append(findings, finding{"config", "crm.enabled", statusWarn, "replication is switched off", "set crm.enabled = true"})
	}
	if !cmd.Offline {
		source, err := newSource(c, logger)
		if err != nil {
			return err
		}
		defer func() { _ = source.Close() }()
		for _, f := range source.Inspect(a.ctx) {
			findings = append(findings, finding{"source", f.Name, string(f.Status), f.Text, f.Hint})
		}
		target, err := newTarget(c, logger, nil)
		if err != nil {
			return err
		}
		defer func() { _ = target.Close() }()
		for _, f := range target.Check(a.ctx) {
			findings = append(findings, finding{"crm", f.Name, f.Status, f.Text, f.Hint})
		}
		findings = append(findings, checkBoth(a.ctx, source, target)...)
		client, err := newInstagram(c)
		if err != nil {
			return err
		}
		defer client.Close()
		findings = append(findings, checkToken(a.ctx, client))
	}
	return printFindings(a, findings)
}

// checkBoth asks whether the file is the one that the cursor belongs to.
func checkBoth(ctx context.Context, source replicator.Source, target *mysql.Target) []finding {
	overview, err := target.Overview(ctx)
	if err != nil || !overview.Cursor.Known {
		return nil // said above, or nothing to compare yet
	}
	if _, err := source.Read(ctx, overview.Cursor, 0); err != nil {
		f := replicator.AsFailure(err)
		return []finding{{"both", "same file", statusFail, f.Error(), f.Hint}}
	}
	return []finding{{"both", "same file", statusOK, "the file is the one that the cursor belongs to", ""}}
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
		f.status, f.text, f.hint = statusWarn, err.Error(), "messages flow with user ids meanwhile; renew instagram.access_token where it is refused"
	}
	return f
}

func printFindings(a *app, findings []finding) error {
	failed := 0
	for _, f := range findings {
		line := fmt.Sprintf("%-4s  %-9s  %-18s  %s", f.status, f.area, f.name, f.text)
		if f.hint != "" && f.status != statusOK {
			line += " -> " + f.hint
		}
		fmt.Fprintln(a.stdout, strings.TrimRight(line, " "))
		if f.status == statusFail {
			failed++
		}
	}
	if failed > 0 {
		return &console.ExitError{Code: console.Failed, Err: fmt.Errorf("%d of %d checks failed", failed, len(findings))}
	}
	return nil
}
