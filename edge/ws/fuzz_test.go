package ws_test

import (
	"errors"
	"io"
	"net"
	"testing"

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
