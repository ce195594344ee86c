package ws

import (
	"encoding/binary"
	"math"
	"sync"
	"time"

	"github.com/lxzan/gws"
)

// transport carries frames to one client. One goroutine at a time writes, with send and end; expire and
// cut may be called at any time.
type transport interface {
	// send writes frames as one message, without waiting. Where that takes waiting, rest does what is left to do: it
	// is to be called once, before anything else is written. The slices may be changed, but not the bytes.
	send(frames [][]byte) (rest func() error, err error)
	// end writes why the connection ends, and leaves it to the peer to close it. It may wait.
	end(CloseCode)
	// expire ends reading and writing at a time, also of a writer that is stuck.
	expire(time.Time)
	// cut ends the connection at once.
	cut()
}

// socket is a WebSocket connection.
type socket struct {
	conn     *gws.Conn
	pipe     *pipe
	wire     wire
	compress bool // the peer takes compressed messages
}

var _ transport = socket{}

// compressFrom is from how many bytes a message is compressed.
const compressFrom = 512

func (s socket) send(frames [][]byte) (func() error, error) {
	opcode := gws.OpcodeText
	if s.wire == wireProtobuf {
		opcode = gws.OpcodeBinary
	} else {
		frames[0] = frames[0][1:]
	}
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	if s.compress && size >= compressFrom {
		return func() error { return s.conn.Writev(opcode, frames...) }, nil
	}
	buf := messages.Get().(*[]byte) //nolint:errcheck // it is nothing else
	b := appendHeader((*buf)[:0], opcode, size)
	for _, f := range frames {
		b = append(b, f...)
	}
	rest, err := s.pipe.offer(b)
	if rest == nil && cap(b) <= 2*maxJoin {
		*buf = b
		messages.Put(buf)
	}
	return rest, err
}

// messages are the buffers in which messages are put together.
var messages = sync.Pool{New: func() any { return new([]byte) }}

// appendHeader appends the header of a message that is one frame of a server (RFC 6455, section 5.2).
func appendHeader(b []byte, opcode gws.Opcode, size int) []byte {
	const fin = 1 << 7
	b = append(b, fin|byte(opcode))
	switch {
	case size <= 125:
		return append(b, byte(size))
	case size <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(size))
}

// end leaves the connection open for the peer's close frame, so that what it sent meanwhile does not
// reset the connection under ours.
func (s socket) end(code CloseCode) {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	_ = s.conn.WriteMessage(gws.OpcodeCloseConnection, append(payload, code.Reason()...))
}

func (s socket) expire(at time.Time) {
	_ = s.pipe.SetDeadline(at)
}

func (s socket) cut() { _ = s.pipe.Close() }
