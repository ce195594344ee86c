package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestChannelsAreFound(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	for _, channel := range []string{"supplier:dashboard:1", "supplier:dashboard:2", "couple:1", "supplier:dashboard:1"} {
		into[struct{}](t, n.do(t, "POST", "/api/channels/"+channel+"/publish", `{"type":"a.b","payload":{}}`))
	}
	type found struct {
		Items []struct {
			Name, Type string
			Events     int
			Seq        uint64
		}
	}
	all := into[found](t, n.do(t, "GET", "/api/channels", "")).Items
	if len(all) != 3 || all[0].Name != "supplier:dashboard:1" || all[0].Events != 2 || all[0].Seq != 4 || all[0].Type != "a.b" ||
		all[1].Name != "couple:1" || all[2].Name != "supplier:dashboard:2" {
		t.Errorf("found %+v", all)
	}
	if some := into[found](t, n.do(t, "GET", "/api/channels?pattern=supplier:dashboard:*", "")).Items; len(some) != 2 {
		t.Errorf("by a pattern: %+v", some)
	}
	if got := n.do(t, "GET", "/api/channels?pattern=a:**:b", "").code(t); got != problem.FieldInvalid {
		t.Errorf("a pattern that is none: %s", got)
	}
}

func TestWhoListens(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	p := into[event.Presence](t, n.do(t, "GET", "/api/channels/supplier:dashboard:1/presence", ""))
	if p.Clients != 1 || p.Users != 1 || len(p.Items) != 1 || p.Items[0].User != "listens to supplier:dashboard:1" {
		t.Errorf("presence %+v", p)
	}
	if got := n.do(t, "GET", "/api/channels/a:silent/presence", "").code(t); got != problem.EngineUnavailable {
		t.Errorf("a node that does not answer: %s", got)
	}
	if got := n.do(t, "GET", "/api/channels/a:*/presence", "").code(t); got != problem.ChannelWildcard {
		t.Errorf("of a pattern: %s", got)
	}
	none := start(t, func(c *api.Config) { c.Clients = nil })
	if got := none.do(t, "GET", "/api/channels/a/presence", "").code(t); got != problem.EngineUnavailable {
		t.Errorf("where nobody can listen: %s", got)
	}
}

// Who may read a channel gets a token for it, and for no other.
func TestListening(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	served := n.api
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	key, _ := n.key(t, access.Key{
		Name: "alpha", Scopes: []access.Scope{access.ChannelsRead}, Owner: map[string]string{"supplierId": "alpha"}, Channels: []string{"supplier:dashboard:{supplierId}"},
	})
	who, err := n.keys.Find(key)
	must(t, err)
	token, err := served.As(who, request).Listen(t.Context(), "supplier:dashboard:alpha")
	if err != nil || token.Reveal() != who.Actor()+" supplier:dashboard:alpha" {
		t.Errorf("%q, %v", token.Reveal(), err)
	}
	if _, err := served.As(who, request).Listen(t.Context(), "supplier:dashboard:beta"); problem.Of(err).Code != problem.ChannelOutOfReach {
		t.Errorf("another's channel: %v", err)
	}
	key, _ = n.key(t, access.Key{Name: "numbers", Scopes: []access.Scope{access.DeliveriesRead}})
	who, err = n.keys.Find(key)
	must(t, err)
	if _, err := served.As(who, request).Listen(t.Context(), "a"); problem.Of(err).Code != problem.ScopeMissing || !strings.Contains(err.Error(), "channels:read") {
		t.Errorf("without the scope: %v", err)
	}
}
