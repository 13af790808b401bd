package store

import "sync"

// request is one delivery on its way. The caller owns it until it is added to
// the queue and again after done is closed; in between it is the writer's.
type request struct {
	delivery Delivery
	size     int64
	result   Result
	err      error
	done     chan struct{}
}

// queue holds the deliveries that wait, up to a number and a size.
type queue struct {
	maxCount int
	maxBytes int64
	// wake has room for one token, so adding never blocks and no addition is
	// missed by a writer that is busy.
	wake chan struct{}

	mu      sync.Mutex
	waiting []*request
	bytes   int64
	closed  bool
}

func newQueue(maxCount int, maxBytes int64) *queue {
	return &queue{maxCount: maxCount, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// add returns false where there is no room or the queue is closed.
func (q *queue) add(r *request) bool {
	r.size = r.delivery.bytes()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting) >= q.maxCount || (len(q.waiting) > 0 && q.bytes+r.size > q.maxBytes) {
		return false
	}
	q.waiting = append(q.waiting, r)
	q.bytes += r.size
	q.signal()
	return true
}

// take removes the oldest requests: as many as come to no more than maxRows
// rows together, and at least one where there is one.
func (q *queue) take(maxRows int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, rows := 0, 0
	for n < len(q.waiting) {
		rows += q.waiting[n].delivery.rows()
		if n > 0 && rows > maxRows {
			break
		}
		n++
	}
	if n == 0 {
		return nil
	}
	group := append([]*request(nil), q.waiting[:n]...)
	for _, r := range group {
		q.bytes -= r.size
	}
	left := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[left:])
	q.waiting = q.waiting[:left]
	return group
}

// close lets nothing in any more. What waits stays.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// idle tells whether nothing waits, and whether nothing will come any more.
func (q *queue) idle() (empty, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) == 0, q.closed
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
