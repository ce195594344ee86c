package ws_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/centrifugal/centrifuge-go"

	"github.com/wedsync/wedsync/edge/ws"
)

// What is written to a client that has no room, in parts, is not broken by what it is answered meanwhile.
func TestPongsBetweenFrames(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.QueueBytes = 64 << 20 })
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	watcher := dialConnected(t, n, all(t))
	watcher.subscribe(channel)
	const events, pings = 60, 20 // more than sockets hold
	payload := strings.Repeat("x", 200<<10)
	for i := range events {
		n.publish(channel, fmt.Sprintf(`{"n":%d,"x":%q}`, i+1, payload))
		watcher.mustNext()
		if i < pings {
			if _, err := c.conn.Write(frame(9, fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen, ponged := 0, 0
	for seen < events || ponged < pings {
		r := c.mustNext()
		if m := r.Push.GetMessage(); m != nil {
			if string(m.Data) != fmt.Sprint(ponged) {
				t.Fatalf("pong %s, want %d", m.Data, ponged)
			}
			ponged++
			continue
		}
		if seen++; number(t, r.Push.GetPub().GetData()) != seen {
			t.Fatalf("got %d, want %d", number(t, r.Push.GetPub().GetData()), seen)
		}
	}
}

// A server may stand behind TLS, whose connections have no socket that can be written to without waiting.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	srv := httptest.NewTLSServer(n.server)
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	s := startGoSDK(t, &node{url: "wss" + strings.TrimPrefix(srv.URL, "https")}, false, func(c *centrifuge.Config) {
		c.TLSConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	})
	s.subscribe(channel)
	publishN(n, channel, 1, 100)
	for i := range 100 {
		if p := s.wantPublication(); number(t, p.Data) != i+1 {
			t.Fatalf("got %d, want %d", number(t, p.Data), i+1)
		}
	}
}
