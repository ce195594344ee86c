package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/webhook"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

// attentive are the other nodes, and tell how many webhooks were heard of.
type attentive struct {
	webhook.Peers
	heard chan int
}

func (a attentive) Join(ctx context.Context, topic string, heard func([]byte), present func() [][]byte) (*journal.Topic, error) {
	return a.Peers.Join(ctx, topic, func(data []byte) {
		var told struct{ Counts []struct{ N int } }
		heard(data)
		_ = json.Unmarshal(data, &told)
		for _, c := range told.Counts {
			a.heard <- c.N
		}
	}, present)
}

// door is one node's webhooks, over a log that others share.
type door struct {
	mux   *http.ServeMux
	heard chan int
	close func()
}

func openDoor(t *testing.T, url string, perHour int, now func() time.Time) *door {
	t.Helper()
	j, err := journal.Open(t.Context(), journal.Config{URL: url, Shards: 1, Logger: zerolog.Nop()})
	must(t, err)
	t.Cleanup(func() { must(t, j.Close(context.Background())) })
	c, d := &collector{}, &door{mux: http.NewServeMux(), heard: make(chan int, 1000)}
	h, err := webhook.New(webhook.Config{
		Directory: only{&scripted{}}, Publisher: c, Seen: c, Auditor: c, Now: now, PerHour: perHour, Peers: attentive{j, d.heard},
	})
	must(t, err)
	d.close = sync.OnceFunc(h.Close)
	t.Cleanup(d.close)
	h.Mount(d.mux)
	return d
}

func (d *door) send() *http.Response {
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, venuePath, strings.NewReader(`{}`)))
	return w.Result()
}

// take sends until it is refused, or so many are taken.
func (d *door) take(t *testing.T, n int) (taken int) {
	t.Helper()
	for ; taken < n; taken++ {
		resp := d.send()
		if resp.StatusCode == http.StatusAccepted {
			continue
		}
		after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if resp.StatusCode != http.StatusTooManyRequests || err != nil || after < 3000 || after > 3700 {
			t.Errorf("answered %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		break
	}
	return taken
}

// hears returns once the others have told of so many.
func (d *door) hears(t *testing.T, n int) {
	t.Helper()
	for n > 0 {
		select {
		case more := <-d.heard:
			n -= more
		case <-time.After(20 * time.Second):
			t.Fatalf("%d are not heard of", n)
		}
	}
}

// The budget is one, whichever node receives; a node that starts late, or after the others, knows what is spent.
func TestBudgetOfSeveralNodes(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	url := natstest.Serve(t).URL()
	a := openDoor(t, url, 30, now)
	b := openDoor(t, url, 30, now)
	if got := a.take(t, 20); got != 20 {
		t.Fatalf("the first takes %d, want 20", got)
	}
	b.hears(t, 20)
	if got := b.take(t, 100); got != 10 {
		t.Errorf("the second takes %d, want the 10 that are left", got)
	}
	a.hears(t, 10)
	if got := a.take(t, 1); got != 0 {
		t.Errorf("when all is spent the first takes %d", got)
	}
	a.close()
	c := openDoor(t, url, 30, now)
	if got := c.take(t, 1); got != 0 {
		t.Errorf("one that starts when all is spent takes %d", got)
	}
	ahead.Store(int64(62 * time.Minute))
	if got := c.take(t, 100); got != 30 {
		t.Errorf("an hour later it takes %d, want 30", got)
	}
	c.close() // tells what is left to tell
	b.hears(t, 30)
}

// Nodes that are sent webhooks at once end with the budget spent on all of them.
func TestBudgetOfNodesAtOnce(t *testing.T) {
	t.Parallel()
	url := natstest.Serve(t).URL()
	doors := []*door{openDoor(t, url, 50, time.Now), openDoor(t, url, 50, time.Now), openDoor(t, url, 50, time.Now)}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for _, d := range doors {
		wg.Go(func() { taken.Add(int64(d.take(t, 20))) })
	}
	wg.Wait()
	for _, d := range doors {
		for d.take(t, 1) == 1 {
			taken.Add(1)
			d.hears(t, 1)
		}
	}
	if got := taken.Load(); got < 50 || got > 70 {
		t.Errorf("%d are taken, want 50 and a few", got)
	}
}

// deaf keeps what its node would hear with.
type deaf struct {
	heard   func([]byte)
	present func() [][]byte
	err     error
}

func (d *deaf) Join(_ context.Context, _ string, heard func([]byte), present func() [][]byte) (*journal.Topic, error) {
	d.heard, d.present = heard, present
	return nil, d.err
}

func heardBy(tb testing.TB, perHour int) (*deaf, *door) {
	tb.Helper()
	c, peers, mux := &collector{}, &deaf{}, http.NewServeMux()
	h, err := webhook.New(webhook.Config{Directory: only{&scripted{}}, Publisher: c, Seen: c, Auditor: c, PerHour: perHour, Peers: peers})
	must(tb, err)
	h.Mount(mux)
	return peers, &door{mux: mux}
}

// What is told counts only if it can be read, and what a node that starts is told comes in parts.
func TestToldCounts(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]int{
		`{"v":1,"counts":[{"id":"venue","limit":10,"n":4}]}`:            6,
		`{"v":1,"counts":[{"id":"venue","limit":10,"n":4,"age":3700}]}`: 10,
		`{"v":1,"counts":[{"id":"venue","limit":10,"n":4,"age":1e18}]}`: 10,
		`{"v":1,"counts":[{"id":"venue","limit":10,"n":-4}]}`:           10,
		`{"v":1,"counts":[{"id":"venue","limit":10,"n":4,"age":-1}]}`:   10,
		`{"v":1,"counts":[{"id":"venue","limit":0,"n":4}]}`:             10,
		`{"v":1,"counts":[{"id":"other","limit":10,"n":4}]}`:            10,
		`{"v":2,"counts":[{"id":"venue","limit":10,"n":4}]}`:            10,
		`{"v":1,"counts":[{"id":"` + "a b" + `","limit":10,"n":4}]}`:    10,
		`{`: 10,
	} {
		peers, d := heardBy(t, 10)
		peers.heard([]byte(message))
		if got := d.take(t, 100); got != want {
			t.Errorf("after %s it takes %d, want %d", message, got, want)
		}
	}
	peers, _ := heardBy(t, 10)
	for i := range 5000 {
		peers.heard([]byte(`{"v":1,"counts":[{"id":"venue-` + strconv.Itoa(i) + strings.Repeat("x", 40) + `","limit":10,"n":4}]}`))
	}
	parts := peers.present()
	for _, part := range parts {
		if len(part) > journal.MaxTold {
			t.Errorf("a part has %d bytes, at most %d are allowed", len(part), journal.MaxTold)
		}
	}
	other, _ := heardBy(t, 10)
	for _, part := range parts {
		other.heard(part)
	}
	again := 0
	for _, part := range other.present() {
		again += strings.Count(string(part), `"n":4`)
	}
	if len(parts) < 2 || again != 5000 {
		t.Errorf("%d parts tell of %d integrations, want several and 5000", len(parts), again)
	}
	c := &collector{}
	if _, err := webhook.New(webhook.Config{Directory: only{&scripted{}}, Publisher: c, Seen: c, Auditor: c, Peers: &deaf{err: journal.ErrClosed}}); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("without a connection: %v", err)
	}
}

// Whatever is told, a node goes on, and passes on only what others can read.
func FuzzToldCounts(f *testing.F) {
	f.Add([]byte(`{"v":1,"counts":[{"id":"venue","limit":10,"n":4,"age":60}]}`))
	f.Add([]byte(`{"v":1,"counts":[{"id":"venue","limit":1,"n":9223372036854775807}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		peers, d := heardBy(t, 10)
		peers.heard(data)
		peers.heard(data)
		if code := d.send().StatusCode; code != http.StatusAccepted && code != problem.Status(problem.RateLimited) {
			t.Errorf("answered %d", code)
		}
		for _, part := range peers.present() {
			peers.heard(part)
		}
	})
}
