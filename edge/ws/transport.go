package ws

import (
	"encoding/binary"
	"time"

	"github.com/lxzan/gws"
)

// transport carries frames to one client. One goroutine at a time writes, with send and end; expire and
// cut may be called at any time.
type transport interface {
	// send writes frames as one message. It may change the slices, but not the bytes.
	send(frames [][]byte) error
	// end writes why the connection ends, and leaves it to the peer to close it.
	end(CloseCode)
	// expire ends reading and writing at a time, also of a writer that is stuck.
	expire(time.Time)
	// cut ends the connection at once.
	cut()
}

// socket is a WebSocket connection.
type socket struct {
	conn *gws.Conn
	wire wire
}

var _ transport = socket{}

func (s socket) send(frames [][]byte) error {
	if s.wire == wireProtobuf {
		return s.conn.Writev(gws.OpcodeBinary, frames...)
	}
	frames[0] = frames[0][1:]
	return s.conn.Writev(gws.OpcodeText, frames...)
}

// end leaves the connection open for the peer's close frame, so that what it sent meanwhile does not
// reset the connection under ours.
func (s socket) end(code CloseCode) {
	payload := binary.BigEndian.AppendUint16(nil, uint16(code))
	_ = s.conn.WriteMessage(gws.OpcodeCloseConnection, append(payload, code.Reason()...))
}

func (s socket) expire(at time.Time) {
	_ = s.conn.NetConn().SetDeadline(at)
}

func (s socket) cut() { _ = s.conn.NetConn().Close() }
