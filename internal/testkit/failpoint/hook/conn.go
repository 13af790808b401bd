package hook

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
)

// The points that lie behind the last byte of a statement and before its
// answer: the server does execute it.
const (
	CompareAndSetSent = "compare-and-set sent"
	RecordsSent       = "records sent"
	LedgerSent        = "ledger sent"
	EditsSent         = "edits sent"
	CommitSent        = "COMMIT sent"
)

// Answered is the point at which the kernel has the whole answer to a request.
const Answered = "answered"

// Dial connects as the driver would, and passes the points of what is written.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

type conn struct {
	net.Conn
	// applying is true between the compare-and-set and the transaction's end.
	// The driver uses a connection from one goroutine at a time.
	applying bool
}

func (c *conn) Write(packet []byte) (int, error) {
	n, err := c.Conn.Write(packet)
	if err == nil {
		if point := c.sent(packet); point != "" {
			Pass(point)
		}
	}
	return n, err
}

// statementAt is where the statement begins: behind three bytes of length, one
// of sequence and one that says COM_QUERY.
const statementAt = 5

// sent returns the point that a written packet stands for, or nothing.
func (c *conn) sent(packet []byte) string {
	if len(packet) <= statementAt || packet[3] != 0 || packet[4] != 3 {
		return ""
	}
	// What matters stands at the beginning; texts of people come later.
	statement := packet[statementAt:min(len(packet), statementAt+200)]
	begins := func(text string) bool { return bytes.HasPrefix(statement, []byte(text)) }
	of := func(table string) bool { return bytes.Contains(statement, []byte("`"+table+"`")) }
	switch {
	case begins("UPDATE ") && of("sidestream_cursor"):
		c.applying = true
		noteCursor(statement)
		return CompareAndSetSent
	case !c.applying:
		return ""
	case string(statement) == "COMMIT":
		c.applying = false
		return CommitSent
	case begins("ROLLBACK"):
		c.applying = false
		return ""
	case (begins("INSERT ") || begins("UPDATE ")) && of("sidestream_ledger"):
		return LedgerSent
	case bytes.Contains(statement, []byte("`sidestream_")):
		return ""
	case begins("INSERT "):
		return RecordsSent
	case begins("UPDATE "), begins("DELETE "):
		return EditsSent
	}
	return ""
}

// noteCursor keeps where a compare-and-set moves the cursor to.
func noteCursor(statement []byte) {
	_, rest, _ := bytes.Cut(statement, []byte(" SET position = "))
	digits, _, _ := bytes.Cut(rest, []byte(","))
	if n, err := strconv.ParseInt(string(digits), 10, 64); err == nil {
		fate().position.Store(n)
	}
}

// State is an http.Server's ConnState. A connection is idle when the last byte
// of an answer has been written.
func State(_ net.Conn, state http.ConnState) {
	if state == http.StateIdle {
		Pass(Answered)
	}
}
