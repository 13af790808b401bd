// Package proxy is a TCP proxy for tests that speaks enough of the MySQL
// protocol to break a connection at an exact moment: before a COMMIT reaches
// the server, after it did but before it is answered, or when the answer is on
// its way.
//
//	p := proxy.New(t, server.Addr())
//	p.Intercept(proxy.Once(proxy.At(proxy.Answered, "COMMIT", proxy.SwallowResponse())))
//
// It reads commands and the ends of their responses: text and prepared
// statements, multi-statements, packets beyond 16 MiB, with and without
// CLIENT_DEPRECATE_EOF and MariaDB's cached metadata. Where a client asks for
// TLS or compression the bytes pass through unread: then only the moment
// Connecting, and what holds for all traffic, remain.
package proxy
