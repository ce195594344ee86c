package ws

import (
	"runtime/debug"

	"github.com/lxzan/gws"
)

// session leads from a connection to its client.
type session struct {
	gws.SessionStorage // unused
	client             *client
}

// events are what gws calls from a connection's reading goroutine.
type events struct{ server *Server }

var _ gws.Event = events{}

// sessionOf returns the session that NewSession made for the connection.
func sessionOf(conn *gws.Conn) *session { return conn.Session().(*session) } //nolint:errcheck // it is nothing else

func (events) OnOpen(*gws.Conn) {}

func (events) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

func (events) OnPong(*gws.Conn, []byte) {}

// OnMessage runs a message's commands and returns when they have ended. They have a goroutine of their own, so that
// the one that reads keeps the small stack that reading takes.
func (events) OnMessage(conn *gws.Conn, m *gws.Message) {
	c := sessionOf(conn).client
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.handle(m.Bytes())
	}()
	<-done
	_ = m.Close()
}

// handle ends one connection, not the node, where a command panics.
func (c *client) handle(data []byte) {
	defer func() {
		if p := recover(); p != nil {
			c.log().Error().Any("panic", p).Bytes("stack", debug.Stack()).Msg("a websocket command panicked")
			c.out.close(CloseInternal)
		}
	}()
	c.receive(data)
}

func (events) OnClose(conn *gws.Conn, err error) { sessionOf(conn).client.closed(err) }

// silent is gws's logger: the package logs what matters itself.
type silent struct{}

func (silent) Error(...any) {}
