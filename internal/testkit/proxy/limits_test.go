package proxy_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"sidestream/internal/testkit/proxy"
)

// hello is what the client says first, so that it has seen its connection
// before that is cut. It is one packet.
const hello = "\x01\x00\x00\x00!"

// greeter is a server that waits for hello and sends a fixed number of bytes.
func greeter(t *testing.T, size int) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.CopyN(io.Discard, c, int64(len(hello)))
			// One packet whose payload fills the rest.
			n := size - 4
			_, _ = c.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0}, bytes.Repeat([]byte("x"), n)...))
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return l.Addr().String()
}

// received connects and returns how many bytes come until the connection ends
// or the expected number is there.
func received(t *testing.T, addr string, expect int64) int64 {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, hello); err != nil {
		t.Fatal(err)
	}
	n, _ := io.CopyN(io.Discard, c, expect)
	return n
}

func TestCutAfter(t *testing.T) {
	t.Parallel()

	t.Run("delivers_exactly_so_many_bytes", func(t *testing.T) {
		t.Parallel()
		const size = 5000
		p := proxy.New(t, greeter(t, size))
		wants := []int64{0, 1, 4, size - 1, size}
		p.CutAfter(func(conn int) int64 {
			if conn == len(wants) {
				return -1
			}
			return int64(len(hello)) + wants[conn-1]
		})
		for i, want := range wants {
			if n := received(t, p.Addr(), size); n != want {
				t.Errorf("connection %d: %d bytes arrived, want %d", i+1, n, want)
			}
		}
		if n := p.Count(proxy.KindCut); n != len(wants)-1 {
			t.Errorf("%d connections cut, want %d", n, len(wants)-1)
		}
	})

	t.Run("at_random_places_never_leaves_half_a_transaction", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // has to repeat
		var limits []int64
		for range 40 {
			limits = append(limits, random.Int64N(900))
		}
		r.proxy.CutAfter(func(conn int) int64 {
			if conn > len(limits) {
				return -1
			}
			return limits[conn-1]
		})
		believed := int64(0)
		for r.proxy.Accepted() <= len(limits) {
			if r.twoRows(t.Context()) == nil {
				believed++
			}
		}
		rows := r.db.Int(t, "SELECT COUNT(*) FROM messages")
		if rows%2 != 0 {
			t.Errorf("%d rows: half a transaction", rows)
		}
		if rows < 2*believed {
			t.Errorf("%d rows of %d transactions: an acknowledged one is gone", rows, believed)
		}
		r.wantCount(t, proxy.KindCut, len(limits))
	})
}

func (r rig) twoRows(ctx context.Context) error {
	tx, err := r.through.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after Commit
	for range 2 {
		if _, err := tx.ExecContext(ctx, "INSERT INTO messages (user_id) VALUES ('a')"); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	const size, rate = 50_000, 1_000_000
	p := proxy.New(t, greeter(t, size))
	p.Throttle(rate)
	began := time.Now()
	if n := received(t, p.Addr(), size); n != size {
		t.Errorf("%d bytes arrived, want %d", n, size)
	}
	// Slower is the machine's business; quicker cannot be. The pause behind the
	// last piece is not the receiver's.
	if least := time.Duration(size-rate/50) * time.Second / rate; time.Since(began) < least {
		t.Errorf("took %v, at this rate it is at least %v", time.Since(began), least)
	}
}
