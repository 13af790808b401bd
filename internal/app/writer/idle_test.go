package writer

import (
	"fmt"
	"net"
	"net/http"
	"testing"
)

// TestRun_idle_connections: strangers who announce large bodies and send next to
// nothing must not keep out what is signed.
func TestRun_idle_connections(t *testing.T) {
	r := install(t).start(t)
	const largest = 8 << 20
	for range 64 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprintf(conn, "POST /webhook HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", largest); err != nil {
			t.Fatal(err)
		}
		// The writer asks for the body: the request is inside.
		line := make([]byte, len("HTTP/1.1 100"))
		if _, err := conn.Read(line); err != nil {
			t.Fatal(err)
		}
		if got := string(line); got != "HTTP/1.1 100" {
			break // refused: the delivery below tells
		}
		if _, err := conn.Write([]byte("{")); err != nil {
			t.Fatal(err)
		}
	}
	if code := r.post(t, `{"object":"instagram","entry":[]}`); code != http.StatusOK {
		t.Errorf("a signed delivery beside idle connections was answered %d", code)
	}
}
