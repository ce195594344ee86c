package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

const (
	channels    = 12
	subscribers = 2 // on each node
	pace        = 150 * time.Millisecond
	settleFor   = 90 * time.Second // the longest time that what was accepted may take to arrive
)

// load is what clients do and see in one round.
type load struct {
	s     *stage
	round string

	mu        sync.Mutex
	ops       []checker.Op
	sightings []checker.Sighting
	strange   []string
	clients   []*wsclient.Client
}

func (l *load) channel(i int) string { return fmt.Sprintf("supplier:dashboard:%sc%d", l.round, i) }

// listen subscribes on every node to every channel.
func (l *load) listen(ctx context.Context) error {
	for i := range nodes {
		for k := range subscribers {
			who := fmt.Sprintf("subscriber %d of n%d", k+1, i+1)
			c, err := wsclient.Config{URL: l.s.nodes[i].WebSocketURL(), MaxDelay: time.Second}.Dial(ctx)
			if err != nil {
				return err
			}
			l.clients = append(l.clients, c)
			for ch := range channels {
				if _, err := c.Subscribe(ctx, wsclient.Subscribe{
					Channel:     l.channel(ch),
					Since:       nil,
					Publication: func(p wsclient.Publication) { l.saw(who, p) },
					Subscribed: func(s wsclient.Subscribed) {
						if s.WasRecovering && !s.Recovered {
							l.note("%s: %s was not recovered", who, l.channel(ch))
						}
					},
					Lost: func(err error) {
						if !errors.Is(err, wsclient.ErrClosed) {
							l.note("%s: %s ended: %v", who, l.channel(ch), err)
						}
					},
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (l *load) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strange = append(l.strange, fmt.Sprintf(format, args...))
}

func (l *load) saw(who string, p wsclient.Publication) {
	e, err := p.Event()
	if err != nil {
		l.note("%s: %v", who, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sightings = append(l.sightings, checker.Sighting{Subscriber: who, Channel: p.Channel, EventID: e.ID, Seq: p.Offset, At: time.Now()})
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
				op := l.one(ch, n, node)
				if op.Outcome != checker.Accepted {
					node = (node + 1) % nodes // as a client with several addresses does
				}
				l.mu.Lock()
				l.ops = append(l.ops, op)
				l.mu.Unlock()
			}
		})
	}
	return &all
}

func (l *load) one(ch, n, node int) checker.Op {
	op := checker.Op{Channel: l.channel(ch), ID: fmt.Sprintf("%sc%d-%d", l.round, ch, n), Client: ch, Outcome: checker.Unknown, Start: time.Now()}
	body := fmt.Sprintf(`{"id":%q,"type":"timeline.updated","payload":{"n":%d}}`, op.ID, n)
	l.s.mu.Lock()
	client := l.s.clients[node]
	l.s.mu.Unlock()
	answer, err := client.Send(context.Background(), http.MethodPost, "/api/channels/"+op.Channel+"/publish", []byte(body))
	op.End = time.Now()
	var status *nodeproc.StatusError
	var at struct {
		Seq uint64 `json:"seq"`
	}
	switch {
	case errors.As(err, &status):
		op.Outcome = checker.Refused
		l.note("n%d refused %s: %v", node+1, op.ID, err)
	case err == nil && json.Unmarshal(answer, &at) == nil:
		op.Outcome, op.Seq = checker.Accepted, at.Seq
	}
	return op
}

// settle waits until all that was accepted has arrived everywhere, or nothing more may be waited for.
func (l *load) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		if l.report(nil).Lost == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// report checks what happened so far.
func (l *load) report(faults []checker.Window) *checker.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &checker.History{
		Ops: l.ops, Sightings: l.sightings, Receipts: l.s.received(l.round), Faults: faults,
		Routes: map[string][]string{}, Watchers: map[string][]string{},
	}
	for ch := range channels {
		h.Routes[l.channel(ch)] = integrations
		for i := range nodes {
			for k := range subscribers {
				h.Watchers[l.channel(ch)] = append(h.Watchers[l.channel(ch)], fmt.Sprintf("subscriber %d of n%d", k+1, i+1))
			}
		}
	}
	return checker.Check(h)
}

func (l *load) close() {
	for _, c := range l.clients {
		_ = c.Close()
	}
}
