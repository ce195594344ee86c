package ws

import (
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

func clientOf(conn *gws.Conn) *client { return conn.Session().(*session).client }

func (events) OnOpen(*gws.Conn) {}

func (events) OnPing(conn *gws.Conn, payload []byte) { _ = conn.WritePong(payload) }

func (events) OnPong(*gws.Conn, []byte) {}

func (events) OnMessage(conn *gws.Conn, m *gws.Message) {
	clientOf(conn).receive(m.Bytes())
	_ = m.Close()
}

func (events) OnClose(conn *gws.Conn, err error) { clientOf(conn).closed(err) }

// silent is gws's logger: the package logs what matters itself.
type silent struct{}

func (silent) Error(...any) {}
