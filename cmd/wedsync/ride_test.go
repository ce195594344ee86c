package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/natstest"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// rider publishes numbered events on one channel, each after the answer to the one before.
type rider struct {
	channel string
	publish func(i int) error
	id      func(i int) string // of the event that comes of it
}

// While the log is away for a while, whoever publishes waits, and whoever listens gets all of it, once and in order.
func TestPublishersRideThrough(t *testing.T) {
	t.Parallel()
	log := natstest.Serve(t)
	d := newDesk(t, func(c *Config) { c.Log.URL, c.WS.Insecure, c.Delivery.WebhooksPerHour = log.URL(), true, 1_000_000 })
	client := dial(t, d.node)
	hook := d.sims.VenueMaster.Webhooks()[0]
	riders := []rider{
		{"ride:http", func(i int) error {
			return d.post("ride:http", fmt.Sprintf(`{"type":"a.b","id":"h%d","payload":{}}`, i), nil)
		}, func(i int) string { return fmt.Sprint("h", i) }},
		{"ride:once", func(i int) error {
			return d.post("ride:once", fmt.Sprintf(`{"type":"a.b","id":"o%d","payload":{}}`, i), http.Header{"Idempotency-Key": {fmt.Sprint(i)}})
		}, func(i int) string { return fmt.Sprint("o", i) }},
		{"ride:ws", func(i int) error {
			return client.Publish(t.Context(), "ride:ws", wsclient.Event{Type: "a.b", ID: fmt.Sprint("w", i), Payload: json.RawMessage(`{}`)})
		}, func(i int) string { return fmt.Sprint("w", i) }},
		{"couple:updates:cpl_7Qm2x", func(i int) error {
			w := hook
			w.ID = fmt.Sprint("msg_", i)
			answers, err := d.sims.VenueMaster.Send(t.Context(), d.node.URL()+"/api/webhooks/venuemaster/sim-venuemaster", w)
			if err == nil && answers[0].Status != http.StatusAccepted {
				err = fmt.Errorf("answered %d %s", answers[0].Status, answers[0].Body)
			}
			return err
		}, func(i int) string {
			sum := sha256.Sum256(fmt.Appendf(nil, "sim-venuemaster\x00msg_%d", i))
			return "whk_" + hex.EncodeToString(sum[:16])
		}},
	}
	heard := make(map[string]*ear)
	for _, r := range riders {
		heard[r.channel] = listen(t, client, r.channel)
	}
	var riding sync.WaitGroup
	var over atomic.Bool
	published := make([][]string, len(riders))
	for n, r := range riders {
		riding.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for i := 0; !over.Load(); i++ {
				if err := r.publish(i); err != nil {
					t.Errorf("%s, number %d: %v", r.channel, i, err)
					return
				}
				published[n] = append(published[n], r.id(i))
				<-tick.C
			}
		})
	}
	for _, r := range riders {
		heard[r.channel].wait(t, 20)
	}
	log.Stop()
	d.waiting(len(riders))
	log.Start()
	d.waiting(0)
	over.Store(true)
	riding.Wait()
	for n, r := range riders {
		if got := heard[r.channel].wait(t, len(published[n])); !slices.Equal(got, published[n]) {
			t.Errorf("%s: heard %v, want %v", r.channel, got, published[n])
		}
	}
}

// Who has gone waits for the log no more, and a node that stops sends those away who do.
func TestNobodyIsKeptWaiting(t *testing.T) {
	t.Parallel()
	log := natstest.Serve(t)
	d := newDesk(t, func(c *Config) { c.Log.URL, c.WS.Insecure = log.URL(), true })
	client := dial(t, d.node)
	log.Stop()
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.node.URL()+"/api/channels/ride:http/publish", strings.NewReader(`{"type":"a.b","payload":{}}`))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Authorization", "Bearer "+d.node.keys.api.Reveal())
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_ = resp.Body.Close()
			t.Errorf("answered %d", resp.StatusCode)
		}
	}()
	d.waiting(1)
	leave()
	<-gone
	d.waiting(0)
	answers := make(chan error, 2)
	go func() { answers <- d.post("ride:http", `{"type":"a.b","payload":{}}`, nil) }()
	go func() {
		answers <- client.Publish(t.Context(), "ride:ws", wsclient.Event{Type: "a.b", Payload: json.RawMessage(`{}`)})
	}()
	d.waiting(2)
	begun := time.Now()
	go func() { _ = d.node.Stop() }()
	for range 2 {
		if err := <-answers; err == nil || !strings.Contains(err.Error(), "shutting_down") && !strings.Contains(err.Error(), "3001") {
			t.Errorf("who waits is told %v", err)
		}
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	log.Start()
}

// post publishes by HTTP, and fails unless the event was taken.
func (d *desk) post(channel, body string, header http.Header) error {
	if status, answer := d.node.tell(d.t, "POST /api/channels/"+channel+"/publish", body, header); status != http.StatusAccepted {
		return fmt.Errorf("answered %d %s", status, answer)
	}
	return nil
}

func dial(t *testing.T, n *node) *wsclient.Client {
	t.Helper()
	client, err := wsclient.Config{URL: "ws" + strings.TrimPrefix(n.URL(), "http") + "/connection/websocket", CommandTimeout: time.Minute}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// waiting returns once so many wait for the log, or more, but for 0.
func (d *desk) waiting(n int) {
	d.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		_, text := get(d.t, d.node.URL()+"/metrics")
		_, value, _ := strings.Cut(text, "\nwedsync_log_waiting ")
		value, _, _ = strings.Cut(value, "\n")
		got, err := strconv.Atoi(value)
		switch {
		case err != nil || time.Now().After(end):
			d.t.Fatalf("%s wait for the log, want %d", value, n)
		case got == n, n > 0 && got > n:
			return
		}
	}
}

// ear has the ids of a channel's events, as they come.
type ear struct {
	mu   sync.Mutex
	ids  []string
	news chan struct{} // holds one
}

func listen(t *testing.T, c *wsclient.Client, channel string) *ear {
	t.Helper()
	e := &ear{news: make(chan struct{}, 1)}
	_, err := c.Subscribe(t.Context(), wsclient.Subscribe{Channel: channel, Publication: func(p wsclient.Publication) {
		ev, err := p.Event()
		if err != nil {
			t.Error(err)
			return
		}
		e.mu.Lock()
		e.ids = append(e.ids, ev.ID)
		e.mu.Unlock()
		select {
		case e.news <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// wait returns the ids once there are so many.
func (e *ear) wait(t *testing.T, n int) []string {
	t.Helper()
	for {
		e.mu.Lock()
		got := slices.Clone(e.ids)
		e.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-e.news:
		case <-time.After(20 * time.Second):
			t.Fatalf("heard %d, want %d", len(got), n)
		}
	}
}
