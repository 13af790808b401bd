package webhook

import (
	"fmt"
	"io"
	"sync/atomic"
)

// defaultMaxHeldBytes is room for sixteen of the largest deliveries at once.
const defaultMaxHeldBytes = 128 << 20

// errNoRoom is a body that does not fit beside those that are held already.
var errNoRoom = fmt.Errorf("%w: the bodies of other requests take up all the memory that is set aside for them", ErrOverloaded)

// budget bounds the bodies that are held at once. A body is held before its
// signature can be checked, so without a limit anybody could fill the memory
// with unsigned ones. What counts is what has arrived, not what was announced:
// else a few strangers who announce much and send nothing would take it all.
type budget struct {
	limit int64
	held  atomic.Int64
}

// read reads a body to its end, or to errNoRoom. What it returns counts as held
// until release is called, which has to be done in any case.
func (b *budget) read(from io.Reader) (body []byte, release func(), err error) {
	r := &bookedReader{from: from, budget: b}
	body, err = io.ReadAll(r)
	return body, func() { b.held.Add(-r.booked) }, err
}

// bookedReader books each byte that it hands out.
type bookedReader struct {
	from   io.Reader
	budget *budget
	booked int64
}

func (r *bookedReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if !r.budget.take(int64(n)) {
		return n, errNoRoom
	}
	r.booked += int64(n)
	return n, err
}

// take books n bytes, or none: a body that does not fit takes no room from one
// that does, not even for a moment.
func (b *budget) take(n int64) bool {
	for {
		held := b.held.Load()
		if n > b.limit-held {
			return false
		}
		if b.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}
