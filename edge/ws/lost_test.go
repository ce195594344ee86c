package ws_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/natstest"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// far is an edge whose log is elsewhere, behind a relay, and another node at the same log, whose events it shows.
type far struct {
	*node
	other *journal.Journal
	relay *natstest.Relay
}

func startFar(t *testing.T, checkInterval, patience time.Duration) *far {
	t.Helper()
	log := natstest.Serve(t)
	relay := natstest.Between(t, log.Addr())
	open := func(url string) *journal.Journal {
		return openJournal(t, func(cfg *journal.Config) { cfg.Dir, cfg.URL, cfg.Patience = "", url, patience })
	}
	return &far{startNode(t, open(relay.URL()), func(c *ws.Config) { c.CheckInterval = checkInterval }), open(log.URL()), relay}
}

// publish has the other node append numbered events.
func (f *far) publish(t *testing.T, channel string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if _, err := f.other.Append(t.Context(), newEvent(channel, "timeline.updated", fmt.Sprintf(`{"n":%d}`, i))); err != nil {
			t.Fatal(err)
		}
	}
}

// listen returns the numbers of a channel's events as a client gets them.
func (f *far) listen(t *testing.T, channel string) <-chan int {
	t.Helper()
	c, err := wsclient.Dial(t.Context(), f.url, all(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	heard := make(chan int, 1000)
	_, err = c.Subscribe(t.Context(), wsclient.Subscribe{
		Channel:     channel,
		Publication: func(p wsclient.Publication) { heard <- number(t, p.Data) },
		Lost:        func(err error) { t.Logf("%s: %v", channel, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return heard
}

func hear(t *testing.T, heard <-chan int, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		select {
		case got := <-heard:
			if got != i {
				t.Fatalf("heard %d, want %d", got, i)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%d is not heard", i)
		}
	}
}

// What is stored and never republished, as by a leader that dies in between, is shown all the same, once and in
// order, though nothing comes after it.
func TestNotRepublished(t *testing.T) {
	t.Parallel()
	f := startFar(t, 50*time.Millisecond, 0)
	quiet, busy := f.listen(t, "quiet"), f.listen(t, "busy")
	f.publish(t, "quiet", 1, 2)
	f.publish(t, "busy", 1, 2)
	hear(t, quiet, 1, 2)
	hear(t, busy, 1, 2)
	f.relay.Suppress(" live.")
	f.publish(t, "quiet", 3, 3)
	hear(t, quiet, 3, 3)
	f.publish(t, "busy", 3, 600) // more than is read at once
	hear(t, busy, 3, 600)
	f.relay.Suppress("")
	f.publish(t, "busy", 601, 603)
	f.publish(t, "quiet", 4, 4)
	hear(t, busy, 601, 603)
	hear(t, quiet, 4, 4)
	if len(quiet)+len(busy) != 0 {
		t.Error("something is heard twice")
	}
	if got := metric(t, f.node, "wedsync_ws_gaps_total", "outcome", "mended"); got == 0 {
		t.Error("no gap was counted")
	}
}

// When the connection to the log is back, what came meanwhile is read at once.
func TestConnectionMoves(t *testing.T) {
	t.Parallel()
	f := startFar(t, time.Hour, 0)
	var heard []<-chan int
	for i := range 20 {
		heard = append(heard, f.listen(t, fmt.Sprint("c:", i)))
	}
	for round := range 3 {
		f.relay.Shut(true)
		for i := range 10 {
			f.publish(t, fmt.Sprint("c:", i), 3*round+1, 3*round+2)
		}
		f.relay.Shut(false)
		for i := range 10 {
			hear(t, heard[i], 3*round+1, 3*round+2)
			f.publish(t, fmt.Sprint("c:", i), 3*round+3, 3*round+3)
			hear(t, heard[i], 3*round+3, 3*round+3)
		}
	}
	for i, h := range heard {
		if len(h) != 0 {
			t.Errorf("channel %d: something is heard twice", i)
		}
	}
}

// Who subscribes while the log is away gets what came meanwhile, and before.
func TestSubscribeWhileTheLogIsAway(t *testing.T) {
	t.Parallel()
	f := startFar(t, time.Hour, 0)
	f.publish(t, channel, 1, 2)
	c := dialConnected(t, f.node, all(t))
	f.relay.Shut(true)
	f.publish(t, channel, 3, 4)
	c.send(fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q,"recover":true,"offset":2,"epoch":%q}}`, channel, f.journal.Epoch()))
	c.send(fmt.Sprintf(`{"id":3,"history":{"channel":%q,"limit":10}}`, channel))
	waiting := dialConnected(t, f.node, all(t)) // its answer shows that the others' are on their way
	waiting.ok(`"unsubscribe":{"channel":"a"}`)
	f.relay.Shut(false)
	r := c.mustNext()
	if got := numbers(t, r.Subscribe.GetPublications()); !r.Subscribe.GetRecovered() || fmt.Sprint(got) != "[3 4]" {
		t.Errorf("subscribed with %v, %v, recovered %v", r.Error, got, r.Subscribe.GetRecovered())
	}
	if r := c.mustNext(); len(numbers(t, r.History.GetPublications())) != 4 {
		t.Errorf("the history is %v, %v", r.Error, r.History)
	}
	f.publish(t, channel, 5, 5)
	wantNumbers(t, c, 5, 5)
}

// What cannot be published while the log is away for longer than is waited for may be published again.
func TestPublishWithoutALog(t *testing.T) {
	t.Parallel()
	f := startFar(t, time.Hour, 200*time.Millisecond)
	c := dialConnected(t, f.node, all(t))
	publish := func() *protocol.Reply {
		return c.do(fmt.Sprintf(`"publish":{"channel":%q,"data":{"type":"a.b","id":"e1","payload":{}}}`, channel))
	}
	f.relay.Shut(true)
	if r := publish(); r.Error.GetCode() != http.StatusServiceUnavailable || !r.Error.GetTemporary() || !strings.HasPrefix(r.Error.GetMessage(), problem.LogUnavailable) {
		t.Errorf("got %v, want the temporary error %d %s", r, http.StatusServiceUnavailable, problem.LogUnavailable)
	}
	f.relay.Shut(false)
	for publish().Error != nil { // until the connection is back
	}
	if entries, err := f.other.History(t.Context(), channel, 0, 10); err != nil || len(entries) != 1 {
		t.Errorf("%d events are in the log, %v; want 1", len(entries), err)
	}
}
