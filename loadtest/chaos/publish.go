package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/history"
	"github.com/wedsync/wedsync/loadtest/vendors"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// eventType is one that every vendor is told.
const eventType = "timeline.updated"

// answerWithin is longer than a node waits for its log.
const answerWithin = 25 * time.Second

// way publishes an event at a node and returns its sequence, or 0 where the answer does not say it.
type way func(ctx context.Context, node, ch int, mark string) (seq uint64, err error)

// ways are how the clients publish: two over WebSocket, two are a vendor and send webhooks, the others use HTTP.
func (l *load) way(ch int) way {
	switch ch {
	case 4, 5:
		return l.overWebSocket
	case 7, 9: // of couples, as the vendor's are
		return l.asVendor
	}
	return l.overHTTP
}

// publish has one client a channel publish, one event after the other, until ctx ends.
func (l *load) publish(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	for ch := range channels {
		all.Go(func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			node := ch % nodes
			for n := 0; ; n++ {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				op := l.one(ch, n, &node)
				if op.Outcome != checker.Accepted {
					node = (node + 1) % nodes
				}
				l.mu.Lock()
				l.ops = append(l.ops, op)
				l.mu.Unlock()
			}
		})
	}
	all.Go(func() { l.read(ctx) })
	return &all
}

// one publishes an event by a node. As a client with several addresses does, it goes on to the next node when it
// gets no connection: nothing was sent then.
func (l *load) one(ch, n int, node *int) checker.Op {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	op := checker.Op{Channel: l.channel(ch), ID: markOf(l.round, ch, n), Client: ch, Start: time.Now()}
	var err error
	for range nodes {
		if op.Seq, err = l.way(ch)(ctx, *node, ch, op.ID); !history.Unsent(err) {
			break
		}
		*node = (*node + 1) % nodes
	}
	op.End, op.Node, op.Outcome = time.Now(), nodeName(*node), history.Outcome(err)
	if op.Outcome != checker.Accepted {
		l.note("%s, asked to publish %s, %v: %v", op.Node, op.ID, op.End.Sub(op.Start), err)
	}
	return op
}

func (l *load) payload(ch int, mark string) map[string]any {
	id := fmt.Sprintf("%sc%d", l.round, ch)
	return map[string]any{"coupleId": id, "coupleName": mark, "venue": "Old Mill", "ceremonyTime": "2027-06-12T16:00:00+02:00", "notes": mark}
}

func (l *load) overHTTP(ctx context.Context, node, ch int, mark string) (uint64, error) {
	var at struct{ Seq uint64 }
	err := l.client(node).Call(ctx, http.MethodPost, "/api/channels/"+l.channel(ch)+"/publish",
		map[string]any{"id": mark, "type": eventType, "payload": l.payload(ch, mark)}, &at)
	return at.Seq, err
}

// overWebSocket publishes as the node's first subscriber.
func (l *load) overWebSocket(ctx context.Context, node, ch int, mark string) (uint64, error) {
	c := l.clients[node*subscribers]
	if !c.Connected() {
		return 0, history.ErrNoConnection
	}
	payload, err := json.Marshal(l.payload(ch, mark))
	if err != nil {
		return 0, err
	}
	return 0, c.Publish(ctx, l.channel(ch), wsclient.Event{ID: mark, Type: eventType, Payload: payload})
}

func (l *load) asVendor(ctx context.Context, node, ch int, mark string) (uint64, error) {
	return history.SendWebhook(ctx, l.s.sims.AnySystem, l.client(node).URL, "/api/webhooks/"+inbound+"/"+inbound,
		vendors.Webhook{ID: mark, Type: eventType, Data: l.payload(ch, mark)})
}
