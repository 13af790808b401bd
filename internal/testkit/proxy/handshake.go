package proxy

import "encoding/binary"

// Capability flags of the handshake response, and MariaDB's extended ones.
// See https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection.
const (
	clientMySQL        = 1 << 0
	clientCompress     = 1 << 5
	clientSSL          = 1 << 11
	clientDeprecateEOF = 1 << 24
	clientZstd         = 1 << 26

	mariadbProgress      = 1 << 0
	mariadbCacheMetadata = 1 << 4

	// sslRequestSize is the payload of a handshake response that ends where TLS
	// begins.
	sslRequestSize = 32
)

// capabilities are what client and server agreed on: a client asks for nothing
// that the server's greeting does not offer.
type capabilities struct {
	tls           bool
	compressed    bool
	deprecateEOF  bool
	progress      bool
	cacheMetadata bool
}

// parseCapabilities reads the client's first packet.
func parseCapabilities(payload []byte) capabilities {
	if len(payload) < sslRequestSize {
		return capabilities{}
	}
	flags := binary.LittleEndian.Uint32(payload)
	caps := capabilities{
		tls:          flags&clientSSL != 0 && len(payload) == sslRequestSize,
		compressed:   flags&(clientCompress|clientZstd) != 0,
		deprecateEOF: flags&clientDeprecateEOF != 0,
	}
	// A client that leaves the first flag out speaks MariaDB's dialect, with
	// more flags at the end of the filler.
	if flags&clientMySQL == 0 {
		extended := binary.LittleEndian.Uint32(payload[sslRequestSize-4:])
		caps.progress = extended&mariadbProgress != 0
		caps.cacheMetadata = extended&mariadbCacheMetadata != 0
	}
	return caps
}
