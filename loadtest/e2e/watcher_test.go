package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// watcher is a WebSocket client that follows every channel of a load and comes back by itself.
type watcher struct {
	name string

	mu        sync.Mutex
	seen      map[int][]int // by channel, in the order in which they came
	count     int
	recovered int // publications that came with a recovery
	back      int // subscriptions made again
	strange   []string
	changed   chan struct{} // closed and replaced with each publication
}

// watch connects a watcher and returns when it is subscribed to all channels.
func watch(ctx context.Context, t *testing.T, url, name string, channels int) *watcher {
	t.Helper()
	w := newWatcher(name)
	client, err := wsclient.Config{URL: url, MinDelay: 20 * time.Millisecond, MaxDelay: 200 * time.Millisecond}.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for i := range channels {
		_, err := client.Subscribe(ctx, wsclient.Subscribe{
			Channel:     channelName(i),
			Publication: func(p wsclient.Publication) { w.published(i, p) },
			Subscribed:  func(s wsclient.Subscribed) { w.subscribed(i, s) },
			Lost:        func(err error) { w.lost(i, err) },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// watchBySDK is watch with the Go SDK of Centrifuge.
func watchBySDK(ctx context.Context, t *testing.T, url, name string, channels int) *watcher {
	t.Helper()
	w := newWatcher(name)
	client := centrifuge.NewProtobufClient(url, centrifuge.Config{MinReconnectDelay: 20 * time.Millisecond, MaxReconnectDelay: 200 * time.Millisecond})
	t.Cleanup(client.Close)
	there := make(chan struct{}, 100)
	for i := range channels {
		sub, err := client.NewSubscription(channelName(i), centrifuge.SubscriptionConfig{})
		if err != nil {
			t.Fatal(err)
		}
		sub.OnPublication(func(e centrifuge.PublicationEvent) { w.published(i, wsclient.Publication{Data: e.Data}) })
		sub.OnSubscribed(func(e centrifuge.SubscribedEvent) {
			w.subscribed(i, wsclient.Subscribed{Recoverable: e.Recoverable, WasRecovering: e.WasRecovering, Recovered: e.Recovered})
			there <- struct{}{}
		})
		sub.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { w.lost(i, fmt.Errorf("%d %s", e.Code, e.Reason)) })
		if err := sub.Subscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Connect(); err != nil {
		t.Fatal(err)
	}
	for range channels {
		select {
		case <-there:
		case <-ctx.Done():
			t.Fatalf("%s cannot subscribe: %v", name, ctx.Err())
		}
	}
	return w
}

func newWatcher(name string) *watcher {
	return &watcher{name: name, seen: map[int][]int{}, changed: make(chan struct{})}
}

func (w *watcher) published(channel int, p wsclient.Publication) {
	var e struct{ ID string }
	err := json.Unmarshal(p.Data, &e)
	w.mu.Lock()
	defer w.mu.Unlock()
	of, number, ok := numberOf(e.ID)
	if err != nil || !ok || of != channel {
		w.strange = append(w.strange, fmt.Sprintf("%s: %.100s", channelName(channel), p.Data))
		return
	}
	w.seen[channel] = append(w.seen[channel], number)
	w.count++
	if p.Recovered {
		w.recovered++
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *watcher) subscribed(channel int, s wsclient.Subscribed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.WasRecovering {
		w.back++
	}
	if !s.Recoverable || s.WasRecovering && !s.Recovered {
		w.strange = append(w.strange, fmt.Sprintf("%s: subscribed with %+v", channelName(channel), s))
	}
}

func (w *watcher) lost(channel int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strange = append(w.strange, fmt.Sprintf("%s: the subscription ended: %v", channelName(channel), err))
}

// wait waits for so many publications.
func (w *watcher) wait(ctx context.Context, count int) error {
	for {
		w.mu.Lock()
		got, changed := w.count, w.changed
		w.mu.Unlock()
		if got >= count {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s saw %d of %d events: %w", w.name, got, count, ctx.Err())
		}
	}
}

// verify fails unless the watcher saw each event once and in order.
func (w *watcher) verify(t *testing.T, accepted []int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, text := range w.strange {
		if i < 10 {
			t.Errorf("%s: %s", w.name, text)
		}
	}
	for channel, want := range accepted {
		checkRun(t, w.name+", "+channelName(channel), w.seen[channel], want)
	}
}
