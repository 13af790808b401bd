package main

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"sidestream/internal/app/console"
)

// flags is the command line.
type flags struct {
	For  time.Duration `default:"20s" help:"How long messages are sent at full pace; 0 means until Ctrl-C. The CRM is in memory and gets slower beyond some 20000 messages."`
	Rate int           `default:"300" help:"Messages a second."`
	Seed uint64        `default:"1" help:"Another seed makes up other people and other messages."`
	Keep bool          `help:"Keep the directory with the SQLite file, the configuration and the logs."`
}

// Validate is called by the parser.
func (f flags) Validate() error {
	switch {
	case f.For < 0:
		return errors.New("--for must not be negative")
	case f.Rate < 1:
		return errors.New("--rate must be at least 1")
	}
	return nil
}

// demo is one showing.
type demo struct {
	flags
	screen *screen
	// beforeCounting, where it is set, is called when everything has come to
	// rest. Tests break something there.
	beforeCounting func(context.Context, *stage, *traffic) error
}

// errSums says that the messages in the CRM are not those that were sent.
var errSums = errors.New("the CRM does not hold what was sent")

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	return new(demo).run(ctx, args, env, stdout, stderr)
}

func (d *demo) run(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	program := console.Program{
		Name:        "demo",
		Description: "Shows Sidestream at work: a simulated Instagram, the real writer and replicator, and an embedded MySQL-compatible CRM. Every message is counted at the end.",
		Grammar:     &d.flags, Stdout: stdout, Stderr: stderr,
	}
	if parsed, code := program.Parse(args); parsed == nil {
		return code
	}
	// The convention of no-color.org, and terminals that know no colour.
	simple := slices.ContainsFunc(env, func(e string) bool {
		name, value, _ := strings.Cut(e, "=")
		return name == "NO_COLOR" && value != "" || e == "TERM=dumb"
	})
	d.screen = newScreen(stdout, simple)
	return program.Finish(d.inDirectory(ctx))
}

// inDirectory shows everything in a directory that is removed if all went well.
func (d *demo) inDirectory(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sidestream-demo-")
	if err != nil {
		return err
	}
	if err := d.show(ctx, dir); err != nil {
		return &console.HintError{Err: err, Hint: "look into the logs in " + dir}
	}
	if d.Keep {
		d.screen.kept(dir)
		return nil
	}
	return os.RemoveAll(dir)
}

// show is the demo from the first to the last line.
func (d *demo) show(ctx context.Context, dir string) (err error) {
	// Ctrl-C ends the sending and nothing else: what follows is the counting.
	whole, abort := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abort(nil)
	sending, stop := context.WithCancel(whole)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	s, err := openStage(whole, dir, abort)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return err
	}
	t, err := newTraffic(s.addresses.webhookURL(), d.Seed)
	if err != nil {
		return err
	}
	defer t.sender.Close()
	d.screen.opening(s)
	// Whatever went wrong, the sums tell what came of it.
	err = d.send(whole, sending, s, t, ctx.Done())
	err = errors.Join(err, s.endPrograms())
	counting := context.WithoutCancel(whole)
	if d.beforeCounting != nil {
		err = errors.Join(err, d.beforeCounting(counting, s, t))
	}
	return errors.Join(err, d.count(counting, s, t))
}

// send shows messages on their way, a few slowly and then many, and returns
// when the replicator has caught up.
func (d *demo) send(whole, sending context.Context, s *stage, t *traffic, interrupted <-chan struct{}) error {
	err := d.introduce(whole, sending, s, t)
	if err == nil {
		err = d.underLoad(whole, sending, s, t, interrupted)
	}
	if cause := context.Cause(whole); cause != nil {
		return cause // The rest are its symptoms.
	}
	return err
}

// underLoad sends for the time that was asked for and shows a line each second
// until the replicator has caught up.
func (d *demo) underLoad(whole, sending context.Context, s *stage, t *traffic, interrupted <-chan struct{}) error {
	if sending.Err() != nil {
		return s.catchUp(whole)
	}
	d.screen.loadBegins(d.flags)
	watching, stop := context.WithCancel(whole)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		d.watch(watching, s, t, interrupted)
	}()
	defer func() { stop(); <-watched }()

	if d.For > 0 {
		var cancel context.CancelFunc
		sending, cancel = context.WithTimeout(sending, d.For)
		defer cancel()
	}
	if err := t.load(whole, sending, d.Rate); err != nil {
		return err
	}
	return s.catchUp(whole)
}

// watch shows a line each second until ctx ends.
func (d *demo) watch(ctx context.Context, s *stage, t *traffic, interrupted <-chan struct{}) {
	start := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-interrupted:
			d.screen.interrupted()
			interrupted = nil
			continue
		case <-ticker.C:
		}
		now, err := look(ctx, s, t)
		if ctx.Err() != nil {
			return
		}
		d.screen.second(time.Since(start), now, err)
	}
}
