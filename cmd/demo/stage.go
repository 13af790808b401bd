package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sidestream/internal/app/replicator"
	"sidestream/internal/app/writer"
	"sidestream/internal/simulate"
)

// patience is how long anything may take that normally takes an instant. The
// machine may be busy.
const patience = 30 * time.Second

// stage is everything that the demo runs, in its own temporary directory.
type stage struct {
	dir       string
	addresses addresses
	crmLog    *os.File
	crm       *crm
	graph     *graph
	source    *source
	programs  []*program
	client    *http.Client
}

// openStage starts everything. Should a program end by itself later, abort is
// told. The stage is to be closed even where there is an error.
func openStage(ctx context.Context, dir string, abort context.CancelCauseFunc) (s *stage, err error) {
	s = &stage{dir: dir, client: &http.Client{Transport: &http.Transport{}}}
	if s.crmLog, err = os.Create(filepath.Join(dir, "crm.log")); err != nil {
		return s, err
	}
	if s.crm, err = startCRM(ctx, s.crmLog); err != nil {
		return s, err
	}
	if s.graph, err = startGraph(ctx); err != nil {
		return s, err
	}
	if s.addresses, err = chooseAddresses(ctx); err != nil {
		return s, err
	}
	if err := writeConfig(dir, s.addresses, s.crm.address, s.graph.url()); err != nil {
		return s, err
	}
	for _, p := range []struct {
		name, ready string
		run         entry
	}{
		{"writer", s.addresses.writerPage("readyz"), writer.Run},
		{"replicator", s.addresses.replicatorPage("readyz"), replicator.Run},
	} {
		started, err := startProgram(ctx, p.name, p.run, dir, abort)
		if err != nil {
			return s, err
		}
		s.programs = append(s.programs, started)
		err = await(ctx, patience, 5*time.Millisecond, func(ctx context.Context) (bool, error) { return s.answers(ctx, p.ready), nil })
		if err != nil {
			return s, fmt.Errorf("start the %s: %w", p.name, err)
		}
	}
	s.source, err = openSource(filepath.Join(dir, databaseName))
	return s, err
}

// catchUp waits until the replicator has applied everything. It gives up when
// the cursor has not moved for a long time.
func (s *stage) catchUp(ctx context.Context) error {
	var now status
	for done := false; !done; {
		before := now.Position
		err := await(ctx, patience, 20*time.Millisecond, func(ctx context.Context) (_ bool, err error) {
			now, err = s.status(ctx)
			done = now.LagChanges != nil && *now.LagChanges == 0
			return done || now.Position > before, err
		})
		if err != nil {
			return fmt.Errorf("wait for the replicator, which is %s at position %d: %s: %w", now.State, now.Position, now.Detail, err)
		}
	}
	return nil
}

// endPrograms stops the writer, then the replicator.
func (s *stage) endPrograms() error {
	// A server that stops would wait for connections that lie idle.
	s.client.CloseIdleConnections()
	var failed error
	for _, p := range s.programs {
		failed = errors.Join(failed, p.end())
	}
	s.programs = nil
	return failed
}

// close ends what still runs. What the CRM and the source held is gone then,
// except for the files.
func (s *stage) close() error {
	failed := s.endPrograms()
	if s.source != nil {
		failed = errors.Join(failed, s.source.close())
	}
	if s.graph != nil {
		failed = errors.Join(failed, s.graph.close())
	}
	if s.crm != nil {
		failed = errors.Join(failed, s.crm.close())
	}
	if s.crmLog != nil {
		failed = errors.Join(failed, s.crmLog.Close())
	}
	return failed
}

// graph serves the profile API's stub.
type graph struct {
	listener net.Listener
	server   *http.Server
	served   chan error
}

func startGraph(ctx context.Context) (*graph, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &graph{
		listener: listener, served: make(chan error, 1),
		server: &http.Server{Handler: simulate.NewGraph(accessToken), ReadHeaderTimeout: patience},
	}
	go func() { g.served <- g.server.Serve(listener) }()
	return g, nil
}

func (g *graph) url() string { return "http://" + g.listener.Addr().String() + "/v26.0" }

func (g *graph) close() error {
	err := g.server.Close()
	if served := <-g.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// await asks check again and again until it says true. The cause of ctx's
// end, an error of check and too much time end it as well.
func await(ctx context.Context, timeout, every time.Duration, check func(context.Context) (bool, error)) error {
	waiting, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than %v", timeout))
	defer cancel()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		done, err := check(waiting)
		switch {
		case err == nil && done:
			return nil
		case waiting.Err() != nil:
			return context.Cause(waiting)
		case err != nil:
			return err
		}
		select {
		case <-waiting.Done():
		case <-ticker.C:
		}
	}
}
