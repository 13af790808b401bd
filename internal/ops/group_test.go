package ops

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

// waits is a part that ends with its context and says that it did.
func waits(ended *int) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		*ended++
		return ctx.Err()
	}
}

func TestGroup_Run(t *testing.T) {
	broken := errors.New("listener broke")
	for name, tc := range map[string]struct {
		first func(context.Context) error
		want  string
	}{
		"the_first_error_ends_the_others_and_is_the_result": {
			func(context.Context) error { return broken }, "metrics: listener broke",
		},
		"a_part_that_is_done_ends_the_others_without_an_error": {
			func(context.Context) error { return nil }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ended int
				var g Group
				g.Add("loop", waits(&ended))
				g.Add("metrics", tc.first)
				err := g.Run(t.Context())
				if got := text(err); got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
				if tc.want != "" && !errors.Is(err, broken) {
					t.Error("the cause is not wrapped")
				}
				if ended != 1 {
					t.Error("Run returned before the other part did")
				}
			})
		})
	}
}

func TestGroup_Run_waits_for_parts_that_are_slow_to_end(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		result := make(chan error, 1)
		var g Group
		g.Add("slow", func(ctx context.Context) error {
			<-ctx.Done()
			<-release
			return fmt.Errorf("rolled back: %w", ctx.Err())
		})
		go func() { result <- g.Run(ctx) }()
		cancel()
		synctest.Wait()
		select {
		case <-result:
			t.Fatal("did not wait")
		default:
		}
		close(release)
		if err := <-result; err != nil {
			t.Errorf("a cancelled context is no error, got %v", err)
		}
	})
}

func TestGroup_Run_tells_of_an_error_while_stopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var g Group
		g.Add("store", func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("close: disk full")
		})
		if got := text(g.Run(ctx)); got != "store: close: disk full" {
			t.Errorf("got %q", got)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
