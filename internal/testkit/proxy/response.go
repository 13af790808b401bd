package proxy

import "encoding/binary"

// First bytes of a response packet.
const (
	byteOK          = 0x00
	byteLocalInfile = 0xfb
	byteEOF         = 0xfe
	byteError       = 0xff
)

// Status flags at the end of a result.
const (
	statusMoreResults  = 0x0008
	statusCursorExists = 0x0040
)

const (
	// eofSize is above every EOF packet without CLIENT_DEPRECATE_EOF: a longer
	// packet with the same first byte is a row.
	eofSize = 9
	// progressReport is the error number of a packet that is none.
	progressReport = 0xffff
)

// stage is which packet of a response comes next.
type stage int

const (
	stageFirst stage = iota
	stageColumns
	stageColumnsEnd
	stageRows
	stageDefinitions
)

// response follows the packets of one response to its end.
type response struct {
	shape shape
	caps  capabilities

	stage stage
	left  uint64
	// errorNumber is the server's, where the response ended with an error.
	errorNumber int
	// infile is true where the server has asked for a file's content.
	infile bool
}

// feed takes the next packet of the response and tells whether it is the last.
// Packets that only carry on with the payload of the one before are not fed.
func (r *response) feed(p packet) (last bool) {
	data := p.payload()
	if len(data) == 0 {
		return false
	}
	if data[0] == byteError && r.stage != stageColumns && !p.continues() {
		return r.failed(data)
	}
	switch r.stage {
	case stageColumns:
		return r.column()
	case stageColumnsEnd:
		r.stage = stageRows
		// The rows behind a cursor come with COM_STMT_FETCH.
		return r.endStatus(data)&statusCursorExists != 0
	case stageRows:
		if data[0] != byteEOF || p.continues() || !r.caps.deprecateEOF && len(data) >= eofSize {
			return false
		}
		return r.result(r.endStatus(data))
	case stageDefinitions:
		r.left--
		return r.left == 0
	default:
		return r.first(data)
	}
}

func (r *response) failed(data []byte) (last bool) {
	if len(data) >= 3 {
		r.errorNumber = int(binary.LittleEndian.Uint16(data[1:]))
	}
	if r.caps.progress && r.errorNumber == progressReport {
		r.errorNumber = 0
		return false
	}
	return r.shape != shapeUnknown
}

func (r *response) first(data []byte) (last bool) {
	r.infile = false
	switch r.shape {
	case shapeOnePacket:
		return true
	case shapePrepared:
		return r.prepared(data)
	case shapeResults:
	default:
		return false
	}
	switch data[0] {
	case byteOK:
		return r.result(okStatus(data))
	case byteLocalInfile:
		r.infile = true
		return false
	}
	count, size := lengthEncoded(data)
	r.left, r.stage = count, stageColumns
	if r.caps.cacheMetadata && len(data) > size && data[size] == 0 {
		r.left = 0 // the client has the definitions from an earlier execution
	}
	if r.left == 0 {
		r.afterColumns()
	}
	return false
}

func (r *response) column() (last bool) {
	r.left--
	if r.left == 0 {
		r.afterColumns()
	}
	return false
}

func (r *response) afterColumns() {
	r.stage = stageColumnsEnd
	if r.caps.deprecateEOF {
		r.stage = stageRows
	}
}

// result ends one result; another one may follow.
func (r *response) result(status uint16) (last bool) {
	r.stage = stageFirst
	return status&statusMoreResults == 0
}

// prepared reads COM_STMT_PREPARE_OK: statement id, then the numbers of columns
// and of parameters, each followed by their definitions and an EOF.
func (r *response) prepared(data []byte) (last bool) {
	if len(data) < 9 {
		return true
	}
	for _, n := range []uint16{binary.LittleEndian.Uint16(data[5:]), binary.LittleEndian.Uint16(data[7:])} {
		r.left += uint64(n)
		if n > 0 && !r.caps.deprecateEOF {
			r.left++
		}
	}
	r.stage = stageDefinitions
	return r.left == 0
}

// endStatus reads the status flags of the packet that ends columns or rows.
func (r *response) endStatus(data []byte) uint16 {
	if r.caps.deprecateEOF {
		return okStatus(data)
	}
	if len(data) < 5 {
		return 0
	}
	return binary.LittleEndian.Uint16(data[3:])
}

// okStatus reads the status flags of an OK packet: they follow the affected
// rows and the last insert id.
func okStatus(data []byte) uint16 {
	rest := data[1:]
	for range 2 {
		_, size := lengthEncoded(rest)
		if size == 0 {
			return 0
		}
		rest = rest[size:]
	}
	if len(rest) < 2 {
		return 0
	}
	return binary.LittleEndian.Uint16(rest)
}
