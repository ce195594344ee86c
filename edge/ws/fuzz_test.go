package ws_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/edge/ws"
)

// FuzzCommands gives bytes of a client to the command decoder through a real connection: whatever
// they are, the server answers, or closes with a code of its own, and still serves others.
func FuzzCommands(f *testing.F) {
	n := startNode(f, openJournal(f), func(c *ws.Config) { c.TokenKeys, c.Insecure = nil, true })
	for _, seed := range []string{
		`{}`, ``, "\n", `{"id":2,"subscribe":{"channel":"a:b","recover":true,"offset":18446744073709551615,"epoch":"x"}}`,
		`{"id":3,"publish":{"channel":"a","data":{"type":"x.y","payload":{"a":[1,2,{"b":null}]}}}}`,
		`{"id":4,"history":{"channel":"a","limit":-1,"since":{"offset":1}}}`, `{"id":5,"refresh":{"token":"x"}}`,
		`{"id":6,"unsubscribe":{"channel":"a"}}` + "\n" + `{"id":7,"rpc":{}}`, `{"send":{"data":1}}`,
		`{"id":-1}`, `{"id":1e99}`, "{\"id\":1,\"subscribe\":{\"channel\":\"\xff\"}}", `{"id":9,"subscribe":{"channel":"**"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := dialRaw(t, n.addr)
		c.connect("")
		c.send(string(data))
		c.send(`{"id":4294967295,"history":{"channel":"end"}}`)
		for {
			r, err := c.next()
			var closed *closedError
			switch {
			case err == nil && r.Id == 4294967295:
				_ = c.conn.Close()
				return
			case err == nil:
				continue
			case errors.As(err, &closed):
				if code := ws.CloseCode(closed.code); code != ws.CloseBadRequest && code != ws.CloseNotAvailable {
					t.Fatalf("%q: %v", data, err)
				}
				_ = c.conn.Close()
				return
			case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
				t.Fatalf("%q: ended without a code: %v", data, err)
			default:
				t.Fatalf("%q: %v", data, err)
			}
		}
	})
}

// FuzzProtobufCommands does the same with protobuf.
func FuzzProtobufCommands(f *testing.F) {
	n := startNode(f, openJournal(f), func(c *ws.Config) { c.TokenKeys, c.Insecure = nil, true })
	for _, c := range []*protocol.Command{
		{},
		{Id: 2, Subscribe: &protocol.SubscribeRequest{Channel: "a:b", Recover: true, Offset: 1 << 63, Epoch: "x"}},
		{Id: 3, Publish: &protocol.PublishRequest{Channel: "a", Data: []byte(`{"type":"x.y","payload":{}}`)}},
		{Id: 4, History: &protocol.HistoryRequest{Channel: "\xff", Limit: -1}},
		{Id: 5, Presence: &protocol.PresenceRequest{Channel: "a"}},
	} {
		f.Add(protobufFrame(f, c))
	}
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	end := protobufFrame(f, &protocol.Command{Id: 1 << 31, History: &protocol.HistoryRequest{Channel: "end"}})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := dialRaw(t, n.addr, "?format=protobuf")
		defer func() { _ = c.conn.Close() }()
		for _, m := range [][]byte{protobufFrame(t, &protocol.Command{Id: 1, Connect: &protocol.ConnectRequest{}}), data, end} {
			if _, err := c.conn.Write(frame(2, string(m))); err != nil {
				t.Fatal(err)
			}
		}
		for {
			m, err := c.readMessage()
			var closed *closedError
			if errors.As(err, &closed) {
				if code := ws.CloseCode(closed.code); code != ws.CloseBadRequest && code != ws.CloseNotAvailable {
					t.Fatalf("%q: %v", data, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%q: %v", data, err)
			}
			for d := protocol.NewProtobufReplyDecoder(m); ; {
				r, err := d.Decode()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%q: the answer %x: %v", data, m, err)
				}
				if r.Id == 1<<31 {
					return
				}
			}
		}
	})
}

// protobufFrame is a command with its length before it.
func protobufFrame(tb testing.TB, c *protocol.Command) []byte {
	tb.Helper()
	b, err := c.MarshalCF()
	if err != nil {
		tb.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}
