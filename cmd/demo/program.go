package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// program is the writer or the replicator, running as it does on its own: with
// a configuration file, its own log and its own exit code.
type program struct {
	name string
	stop context.CancelFunc
	// ended is closed when the program has returned; code is valid from then on.
	ended chan struct{}
	code  int
}

// entry is what the two programs look like from outside.
type entry func(ctx context.Context, args, environ []string, stdout, stderr io.Writer, linkedVersion string) int

// startProgram starts a program with the configuration in dir, where its log
// goes as well. Should it end by itself, abort is told.
func startProgram(ctx context.Context, name string, run entry, dir string, abort context.CancelCauseFunc) (*program, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	// The end of the demo's context must not end the program: it is stopped in
	// its turn.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &program{name: name, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		defer func() { _ = log.Close() }()
		args := []string{"run", "--config", filepath.Join(dir, configName), "--log-format", "text"}
		// No environment: what is exported in this shell may be meant for a real CRM.
		p.code = run(running, args, nil, log, log, "")
		if running.Err() == nil {
			abort(fmt.Errorf("the %s ended by itself with code %d", name, p.code))
		}
	}()
	return p, nil
}

// end stops the program as SIGTERM does and waits for it.
func (p *program) end() error {
	p.stop()
	<-p.ended
	if p.code != 0 {
		return fmt.Errorf("the %s ended with code %d", p.name, p.code)
	}
	return nil
}
