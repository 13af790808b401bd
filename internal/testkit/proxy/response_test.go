package proxy

import (
	"bytes"
	"testing"
)

// The real server's tests cover what the Go driver negotiates. Here are the
// dialects that it does not speak.
func TestResponseEnds(t *testing.T) {
	t.Parallel()

	ok := []byte{0x00, 0x01, 0x02, 0x02, 0x00, 0x00, 0x00}
	okMore := []byte{0x00, 0x01, 0xfc, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x00}
	eof := []byte{0xfe, 0x00, 0x00, 0x02, 0x00}
	eofMore := []byte{0xfe, 0x00, 0x00, 0x0a, 0x00}
	eofCursor := []byte{0xfe, 0x00, 0x00, 0x42, 0x00}
	okEnd := []byte{0xfe, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00}
	failure := []byte{0xff, 0x12, 0x04, '#', '4', '2', '0', '0', '0', 'n', 'o'}
	progress := []byte{0xff, 0xff, 0xff, 1, 1, 1, 0, 0, 0, 0}
	column := bytes.Repeat([]byte{0x03}, 30)
	row := []byte{0x01, '7'}
	// A row of binary form, and one that begins like an EOF packet.
	binaryRow := []byte{0x00, 0x00, 0x07}
	longRow := append([]byte{0xfe}, make([]byte, 20)...)
	prepared := func(columns, params byte) []byte {
		return []byte{0x00, 1, 0, 0, 0, columns, 0, params, 0, 0, 0, 0}
	}

	for name, c := range map[string]struct {
		shape   shape
		caps    capabilities
		packets [][]byte
		// number is the error number at the end.
		number int
	}{
		"an_ok":                          {shape: shapeResults, packets: [][]byte{ok}},
		"several_oks":                    {shape: shapeResults, packets: [][]byte{okMore, okMore, ok}},
		"an_error":                       {shape: shapeResults, packets: [][]byte{failure}, number: 1042},
		"an_error_behind_an_ok":          {shape: shapeResults, packets: [][]byte{okMore, failure}, number: 1042},
		"an_error_among_rows":            {shape: shapeResults, packets: [][]byte{{1}, column, eof, row, failure}, number: 1042},
		"rows_ended_by_eof":              {shape: shapeResults, packets: [][]byte{{2}, column, column, eof, row, longRow, binaryRow, eof}},
		"no_rows_ended_by_eof":           {shape: shapeResults, packets: [][]byte{{1}, column, eof, eof}},
		"rows_and_an_ok":                 {shape: shapeResults, packets: [][]byte{{1}, column, eof, row, eofMore, ok}},
		"a_cursor_without_rows":          {shape: shapeResults, packets: [][]byte{{1}, column, eofCursor}},
		"rows_ended_by_ok":               {shape: shapeResults, caps: capabilities{deprecateEOF: true}, packets: [][]byte{{1}, column, row, okEnd}},
		"rows_with_metadata":             {shape: shapeResults, caps: capabilities{cacheMetadata: true}, packets: [][]byte{{1, 1}, column, eof, row, eof}},
		"rows_without_metadata":          {shape: shapeResults, caps: capabilities{cacheMetadata: true}, packets: [][]byte{{1, 0}, eof, row, eof}},
		"rows_with_neither":              {shape: shapeResults, caps: capabilities{cacheMetadata: true, deprecateEOF: true}, packets: [][]byte{{1, 0}, row, okEnd}},
		"progress_reports":               {shape: shapeResults, caps: capabilities{progress: true}, packets: [][]byte{progress, progress, ok}},
		"a_file_request":                 {shape: shapeResults, packets: [][]byte{{0xfb, 'f'}, ok}},
		"a_ping":                         {shape: shapeOnePacket, packets: [][]byte{ok}},
		"a_statement_without_anything":   {shape: shapePrepared, packets: [][]byte{prepared(0, 0)}},
		"a_statement_with_both":          {shape: shapePrepared, packets: [][]byte{prepared(1, 2), column, column, eof, column, eof}},
		"a_statement_without_its_eofs":   {shape: shapePrepared, caps: capabilities{deprecateEOF: true}, packets: [][]byte{prepared(1, 2), column, column, column}},
		"a_statement_that_fails_at_once": {shape: shapePrepared, packets: [][]byte{failure}, number: 1042},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := response{shape: c.shape, caps: c.caps}
			for i, payload := range c.packets {
				last := r.feed(packet{raw: append(make([]byte, headerSize), payload...)})
				if want := i == len(c.packets)-1; last != want {
					t.Fatalf("packet %d of %d: last is %v", i+1, len(c.packets), last)
				}
			}
			if r.errorNumber != c.number {
				t.Errorf("error number %d, want %d", r.errorNumber, c.number)
			}
		})
	}
}

func TestLengthEncoded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data  []byte
		value uint64
		size  int
	}{
		{nil, 0, 0},
		{[]byte{0xfa, 9}, 0xfa, 1},
		{[]byte{0xfc, 0x01, 0x02, 9}, 0x0201, 3},
		{[]byte{0xfc, 0x01}, 0, 0},
		{[]byte{0xfd, 1, 2, 3}, 0x030201, 4},
		{[]byte{0xfe, 1, 0, 0, 0, 0, 0, 0, 1}, 1<<56 | 1, 9},
	} {
		if value, size := lengthEncoded(c.data); value != c.value || size != c.size {
			t.Errorf("% x: %d in %d bytes, want %d in %d", c.data, value, size, c.value, c.size)
		}
	}
}
