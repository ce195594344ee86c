package ws_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/edge/ws"
)

// A token that the server makes lets its bearer listen to the one channel, as whoever it is for.
func TestTokensForListening(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.Issuer, c.Audience = "us", "clients" })
	token, err := n.server.Token("admin:x", channel, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c := dialConnected(t, n, token.Reveal())
	c.subscribe(channel)
	if r := c.do(`"subscribe":{"channel":"supplier:dashboard:43"}`); r.Error.GetCode() != ws.ErrPermissionDenied {
		t.Errorf("another channel: %v", r)
	}
	if r := c.do(`"publish":{"channel":"` + channel + `","data":{"type":"a.b","payload":{}}}`); r.Error.GetCode() != ws.ErrPermissionDenied {
		t.Errorf("publishing: %v", r)
	}
	p, err := n.server.Present(t.Context(), channel)
	if err != nil || p.Clients != 1 || p.Users != 1 || len(p.Items) != 1 || p.Items[0].User != "admin:x" || p.Items[0].Client == "" {
		t.Errorf("presence %+v, %v", p, err)
	}
	insecure := startNode(t, openJournal(t), func(c *ws.Config) { c.TokenKeys, c.Insecure = nil, true })
	if token, err := insecure.server.Token("admin:x", channel, time.Minute); err != nil || token.Reveal() != "" {
		t.Errorf("where nobody needs one: %q, %v", token.Reveal(), err)
	}
	keyless := startNode(t, openJournal(t), func(c *ws.Config) { c.TokenKeys, c.JWKS = nil, "https://127.0.0.1:1/keys" })
	if _, err := keyless.server.Token("admin:x", channel, time.Minute); err == nil {
		t.Error("a token is made without a key")
	}
}

func TestPresent(t *testing.T) {
	t.Parallel()
	const most = 2
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxPresent = most })
	for i, user := range []string{"guest", "bride", "guest"} {
		dialConnected(t, n, watchToken(t, user)).subscribe(channel)
		p, err := n.server.Present(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case p.Clients != i+1 || p.Users != min(i+1, 2):
			t.Errorf("of %d: %+v", i+1, p)
		case i < most && (len(p.Items) != i+1 || p.Items[i].User != "guest" || string(p.Items[i].Info) != `{"name":"The guest"}`):
			t.Errorf("of %d: %+v", i+1, p.Items)
		case i >= most && len(p.Items) != 0:
			t.Errorf("too many are listed: %+v", p.Items)
		}
	}
	if p, err := n.server.Present(t.Context(), "supplier:nobody:1"); err != nil || p.Clients != 0 || p.Items == nil {
		t.Errorf("of nobody: %+v, %v", p, err)
	}
	s, nodes := startStreet(t, []string{"n1", "n2"})
	s.mu.Lock()
	s.away = "n2"
	s.mu.Unlock()
	if _, err := nodes[0].server.Present(t.Context(), channel); err == nil {
		t.Error("it is told who is on a channel where a node does not answer")
	}
}
