package actors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// heard collects what a subscription's handler was given.
type heard struct {
	ids  []string
	vars []map[string]string
	more chan struct{} // one a call
	hold chan struct{} // not nil: the handler waits for it
}

func (h *heard) handle(_ context.Context, ev *event.Event, vars map[string]string) {
	if h.hold != nil {
		<-h.hold
	}
	h.ids = append(h.ids, fmt.Sprint(ev.ID, "@", ev.Seq))
	h.vars = append(h.vars, vars)
	h.more <- struct{}{}
}

func (h *heard) wait(t *testing.T, count int) {
	t.Helper()
	for i := range count {
		select {
		case <-h.more:
		case <-time.After(20 * time.Second):
			t.Fatalf("heard %d of %d", i, count)
		}
	}
}

// A subscription is given what comes after it began, in the log's order, each once, and none after its end.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.say("supplier:dashboard:1", "before")
	h := &heard{more: make(chan struct{}, 2000), hold: make(chan struct{})}
	stop, err := n.Subscribe("supplier:dashboard:{supplierId}", h.handle)
	if err != nil {
		t.Fatal(err)
	}
	// The handler is held up: what comes meanwhile waits in the log, more than is read at once.
	const count = 600
	var want []string
	for i := range count {
		want = append(want, fmt.Sprintf("e%d@%d", i, i*3+2))
		n.say(fmt.Sprint("supplier:dashboard:", i%3), fmt.Sprint("e", i))
		n.say("supplier:elsewhere:1", fmt.Sprint("x", i))
		n.say("supplier:dashboard:1:deeper", fmt.Sprint("y", i))
	}
	close(h.hold)
	h.wait(t, count)
	stop()
	n.say("supplier:dashboard:1", "after")
	if fmt.Sprint(h.ids) != fmt.Sprint(want) {
		t.Errorf("heard %v, want %v", h.ids, want)
	}
	for i, vars := range h.vars {
		if vars["supplierId"] != fmt.Sprint(i%3) {
			t.Fatalf("event %d: captured %v", i, vars)
		}
	}
}

// A subscription to one channel works like one to many, and ends with the system.
func TestSubscribeToOneChannel(t *testing.T) {
	t.Parallel()
	n := start(t)
	h := &heard{more: make(chan struct{}, 10)}
	if _, err := n.Subscribe("journey:milestone:c.1", h.handle); err != nil {
		t.Fatal(err)
	}
	all := &heard{more: make(chan struct{}, 10)}
	if _, err := n.Subscribe("journey:**", all.handle); err != nil {
		t.Fatal(err)
	}
	n.say("journey:milestone:c.1", "e1")
	n.say("journey:milestone:c.2", "e2")
	h.wait(t, 1)
	all.wait(t, 2)
	if fmt.Sprint(h.ids) != "[e1@1]" || h.vars[0] != nil || fmt.Sprint(all.ids) != "[e1@1 e2@2]" {
		t.Errorf("heard %v, %v; with ** %v", h.ids, h.vars, all.ids)
	}
	var bad *event.ChannelError
	if _, err := n.Subscribe("a:**:b", h.handle); !errors.As(err, &bad) {
		t.Errorf("a wrong pattern: %v", err)
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Subscribe("a", h.handle); err == nil {
		t.Error("a system that is stopped takes a subscription")
	}
}

// Deliver sends where no mapping leads, once, and says why not where it cannot.
func TestDeliver(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	n.publish("studio", "mapped", 0, 1)
	mapped := &n.history("supplier:dashboard:studio:mapped")[0]
	unmapped := *mapped
	unmapped.ID, unmapped.Channel = "unmapped", "elsewhere"
	done, err := n.journal.Append(t.Context(), &unmapped)
	if err != nil {
		t.Fatal(err)
	}
	unmapped.Seq = done.Seq
	for _, ev := range []*event.Event{mapped, &unmapped, mapped, &unmapped} {
		if d, err := n.Deliver(t.Context(), "studio", ev); err != nil || d.ID != event.DeliveryID(ev.Channel, ev.ID, "studio") {
			t.Errorf("%+v, %v", d, err)
		}
	}
	n.results(2)
	if got := s.receipts(); len(got) != 2 {
		t.Errorf("delivered %+v", got)
	}
	other := *mapped
	other.Type = "nobody.knows_this"
	echo := *mapped
	echo.Via = []string{"studio"}
	nowhere := *mapped
	nowhere.Seq = 0
	for name, c := range map[string]struct {
		id   string
		ev   *event.Event
		want error
	}{
		"unknown": {"gone", mapped, actors.ErrUnknown}, "unsupported": {"studio", &other, adapter.ErrUnsupported},
		"came of it": {"studio", &echo, actors.ErrPassedOver}, "not in the log": {"studio", &nowhere, nil},
	} {
		if d, err := n.Deliver(t.Context(), c.id, c.ev); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, d, err, c.want)
		}
	}
}
