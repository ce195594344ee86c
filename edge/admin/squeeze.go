package admin

import (
	"bytes"
	"compress/flate"
	"sync"
)

// squeezer compresses what is streamed, piece by piece: each is whole deflate blocks that end at a byte and look back to
// nothing before (RFC 1951), so that it is compressed once for all who get it, whatever each of them got before.
type squeezer struct {
	mu sync.Mutex
	w  *flate.Writer // is large, and made at the first use
}

// gzipHead begins a body of Content-Encoding gzip that consists of such pieces: RFC 1952, 2.3, without name and time.
var gzipHead = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// squeeze compresses a piece. Writing to memory does not fail.
func (s *squeezer) squeeze(piece []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	if s.w == nil {
		s.w, _ = flate.NewWriter(&b, flate.BestSpeed) // there is such a level
	}
	s.w.Reset(&b)
	_, _ = s.w.Write(piece)
	_ = s.w.Flush()
	return b.Bytes()
}
