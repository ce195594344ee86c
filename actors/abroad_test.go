package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/peers"
)

// exchange carries requests between the systems of one process; what travels between processes is tested where
// that is done (cluster/peers).
type exchange struct {
	mu       sync.Mutex
	handlers map[string]peers.Handler // by node and kind
	cut      map[string]bool
}

// end is a node's end of it.
type end struct {
	*exchange
	node string
}

func (e end) Handle(kind string, h peers.Handler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.handlers[e.node+" "+kind] = h
}

func (e end) Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	e.mu.Lock()
	h, cut := e.handlers[node+" "+kind], e.cut[node]
	e.mu.Unlock()
	if h == nil || cut {
		return nil, fmt.Errorf("node %s: %w", node, peers.ErrUnreachable)
	}
	return h(ctx, e.node, body)
}

// What is asked of the wrong node is done by the right one.
func TestCommandsReachTheOwner(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1", "n2")
	x := &exchange{handlers: map[string]peers.Handler{}, cut: map[string]bool{}}
	with := func(name string) *node {
		return c.join(name, func(cfg *actors.Config) { cfg.Peers = end{x, name} }, fast)
	}
	first, second := with("n1"), with("n2")
	s := newSink(t)
	ids := []string{"a", "b", "c", "d", "e", "f"} // over both nodes' shards
	for _, id := range ids {
		first.connect(id, s)
	}
	waitFor(t, holds(first))
	waitFor(t, holds(second))
	s.answers(always(http.StatusServiceUnavailable))
	for _, id := range ids {
		first.publish(id, "x", 0, 1)
	}
	open := func(h event.Health) bool { return h.State == event.Open }
	for _, id := range ids {
		for _, n := range []*node{first, second} { // whoever is asked
			n.health(id, open)
		}
	}
	for _, n := range []*node{first, second} {
		for _, h := range n.Healths(t.Context()) {
			if h.State != event.Open {
				t.Errorf("%s says that %s is %s", n.name, h.Integration, h.State)
			}
		}
	}
	s.answers(always(http.StatusOK))
	for _, id := range ids {
		if err := second.ResetBreaker(t.Context(), id); err != nil {
			t.Errorf("resetting the breaker of %s: %v", id, err)
		}
		if err := second.Reinstate(t.Context(), id); err != nil {
			t.Errorf("reinstating %s: %v", id, err)
		}
		first.health(id, func(h event.Health) bool { return h.State == event.Healthy && h.Waiting == 0 })
	}
	if _, err := second.Health(t.Context(), "nobody"); !errors.Is(err, actors.ErrUnknown) {
		t.Errorf("an integration that is not there: %v, want ErrUnknown", err)
	}
	if _, _, err := first.Erase(t.Context(), actors.Erase{Wedding: "w1"}); err != nil {
		t.Errorf("erasing: %v", err)
	}

	// The other node cannot be reached: what it owns is not answered, and how it does is unknown in the list.
	x.mu.Lock()
	x.cut["n2"] = true
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	far := 0
	for _, id := range ids {
		if _, err := first.Health(ctx, id); errors.Is(err, peers.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
			far++
		}
	}
	if far == 0 || far == len(ids) {
		t.Errorf("%d of %d cannot be asked", far, len(ids))
	}
	unknown := 0
	for _, h := range first.Healths(t.Context()) {
		if h.State == event.Unknown && h.Reason == "node n2 does not answer" {
			unknown++
		}
	}
	if unknown != far {
		t.Errorf("of %d it is not known how they do, want %d", unknown, far)
	}
	if _, _, err := first.Erase(t.Context(), actors.Erase{Wedding: "w1"}); !errors.Is(err, peers.ErrUnreachable) {
		t.Errorf("erasing while a node cannot be told: %v, want ErrUnreachable", err)
	}
}

// What the actors of another node know is told in pages, and none is left out.
func TestHealthsOfManyAreToldByOtherNodes(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1")
	x := &exchange{handlers: map[string]peers.Handler{}, cut: map[string]bool{}}
	with := func(name string) *node {
		return c.join(name, func(cfg *actors.Config) { cfg.Peers = end{x, name} })
	}
	first, second := with("n1"), with("n2")
	waitFor(t, holds(first))
	const many = 1001 // one more than a page has
	for i := range many {
		in := event.Integration{ID: fmt.Sprint("i", i), Vendor: "studiocloud", Settings: json.RawMessage(`{"url":"https://crm.example.com/"}`)}
		if _, err := first.registry.Put(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		first.health(in.ID, func(h event.Health) bool { return h.State != event.Idle }) // it has an actor now
	}
	waitFor(t, func() bool { return len(second.registry.Integrations()) == many })
	for _, h := range second.Healths(t.Context()) {
		if h.State == event.Idle || h.State == event.Unknown {
			t.Errorf("%s is %s", h.Integration, h.State)
		}
	}
}

// A node of another release asks what this one does not know, or cannot read.
func TestRequestsOfOtherReleases(t *testing.T) {
	t.Parallel()
	c := newNodes(t)
	c.owners("n1")
	x := &exchange{handlers: map[string]peers.Handler{}, cut: map[string]bool{}}
	n := c.join("n1", func(cfg *actors.Config) { cfg.Peers = end{x, "n1"} })
	n.connect("studio", newSink(t))
	waitFor(t, holds(n))
	ask := end{x, "n2"}.Ask
	if _, err := ask(t.Context(), "n1", "actors.integration", []byte(`{"integration":"studio","do":"dance"}`)); !errors.Is(err, peers.ErrUnsupported) {
		t.Errorf("an unknown command: %v, want ErrUnsupported", err)
	}
	for _, kind := range []string{"actors.integration", "actors.healths", "actors.erase"} {
		if _, err := ask(t.Context(), "n1", kind, []byte("[")); err == nil {
			t.Errorf("%s takes what is no JSON", kind)
		}
	}
}
