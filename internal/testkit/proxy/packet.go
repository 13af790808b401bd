package proxy

import (
	"bufio"
	"encoding/binary"
	"io"
)

const (
	headerSize = 4
	// maxPayload is the length that says that the payload goes on in the next
	// packet.
	maxPayload = 1<<24 - 1
)

// packet is one packet of the client/server protocol: three bytes of length,
// one of sequence number, the payload.
// See https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html.
type packet struct {
	// raw is header and payload. It is valid until the next read.
	raw []byte
}

func (p packet) payload() []byte { return p.raw[headerSize:] }
func (p packet) sequence() byte  { return p.raw[3] }

// continues tells whether the next packet carries on with this one's payload.
func (p packet) continues() bool { return len(p.raw) == headerSize+maxPayload }

// packetReader reads one direction of a connection.
type packetReader struct {
	r   *bufio.Reader
	buf []byte
}

func newPacketReader(r io.Reader) *packetReader {
	return &packetReader{r: bufio.NewReaderSize(r, 64<<10), buf: make([]byte, headerSize, 64<<10)}
}

// header reads the header alone: it decides whether what follows is a packet.
func (r *packetReader) header() ([]byte, error) {
	_, err := io.ReadFull(r.r, r.buf[:headerSize])
	return r.buf[:headerSize], err
}

// body reads the payload that header announced.
func (r *packetReader) body() (packet, error) {
	length := int(r.buf[0]) | int(r.buf[1])<<8 | int(r.buf[2])<<16
	if cap(r.buf) < headerSize+length {
		grown := make([]byte, headerSize, headerSize+length)
		copy(grown, r.buf[:headerSize])
		r.buf = grown
	}
	raw := r.buf[:headerSize+length]
	_, err := io.ReadFull(r.r, raw[headerSize:])
	return packet{raw: raw}, err
}

// lengthEncoded reads a length-encoded integer at the start of data and returns
// it with the number of its bytes, which is 0 where data is too short.
func lengthEncoded(data []byte) (value uint64, size int) {
	if len(data) == 0 {
		return 0, 0
	}
	switch data[0] {
	case 0xfc:
		size = 3
	case 0xfd:
		size = 4
	case 0xfe:
		size = 9
	default:
		return uint64(data[0]), 1
	}
	if len(data) < size {
		return 0, 0
	}
	var wide [8]byte
	copy(wide[:], data[1:size])
	return binary.LittleEndian.Uint64(wide[:]), size
}
