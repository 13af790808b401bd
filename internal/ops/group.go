package ops

import (
	"context"
	"errors"
	"fmt"
)

// Group runs the long-lived parts of a program together. It differs from an
// errgroup in that a part that returns ends the others even where it has no
// error: a program whose listener is gone must not go on half alive.
//
// The zero value is ready to use. It is filled and run by one goroutine.
type Group struct {
	actors []actor
}

type actor struct {
	name string
	run  func(context.Context) error
}

// Add adds a part. run must return soon after its context ends.
func (g *Group) Add(name string, run func(context.Context) error) {
	g.actors = append(g.actors, actor{name: name, run: run})
}

// Run starts all parts and waits for all of them. The first to return, or the
// end of ctx, ends the contexts of the others. The result is the first error
// with its part's name; a context that was cancelled is none.
func (g *Group) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(g.actors))
	for _, a := range g.actors {
		go func() {
			err := a.run(ctx)
			if err != nil && !errors.Is(err, context.Canceled) {
				err = fmt.Errorf("%s: %w", a.name, err)
			}
			results <- err
		}()
	}
	var first error
	for range g.actors {
		err := <-results
		cancel()
		if first == nil && err != nil && !errors.Is(err, context.Canceled) {
			first = err
		}
	}
	return first
}
