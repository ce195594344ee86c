package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
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
	page        = 1000             // events of a history are read at once
	fewEnough   = 500              // events are read again and again; what lies before more of them is left out
	settleFor   = 90 * time.Second // the longest time that what was accepted may take to arrive
	quiet       = 3 * time.Second  // without any arrival: nothing more comes
)

// load is what clients do and see in one round.
type load struct {
	s     *stage
	round string

	mu        sync.Mutex
	ops       []checker.Op
	sightings []checker.Sighting
	reads     []checker.Read
	logs      map[string][]checker.Entry
	strange   []string
	clients   []*wsclient.Client
}

func (l *load) channel(i int) string { return fmt.Sprintf("supplier:dashboard:%sc%d", l.round, i) }

func watcher(node, k int) string { return fmt.Sprintf("subscriber %d of %s", k+1, nodeName(node)) }

// listen subscribes on every node to every channel.
func (l *load) listen(ctx context.Context) error {
	for i := range nodes {
		for k := range subscribers {
			who := watcher(i, k)
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
	l.s.arrival()
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
	op := checker.Op{Channel: l.channel(ch), ID: fmt.Sprintf("%sc%d-%d", l.round, ch, n), Client: ch, Start: time.Now()}
	body := fmt.Appendf(nil, `{"id":%q,"type":"timeline.updated","payload":{"n":%d}}`, op.ID, n)
	var answer []byte
	var err error
	for range nodes {
		answer, err = l.client(*node).Send(context.Background(), http.MethodPost, "/api/channels/"+op.Channel+"/publish", body)
		if !unsent(err) {
			break
		}
		*node = (*node + 1) % nodes
	}
	op.End, op.Node = time.Now(), nodeName(*node)
	var at struct {
		Seq uint64 `json:"seq"`
	}
	if err == nil {
		err = json.Unmarshal(answer, &at)
	}
	op.Outcome, op.Seq = outcome(err), at.Seq
	if op.Outcome != checker.Accepted {
		l.note("%s, asked to publish %s, %v: %v", op.Node, op.ID, op.End.Sub(op.Start), err)
	}
	return op
}

// unsent reports whether a request failed for want of a connection.
func unsent(err error) bool {
	var refused *net.OpError
	return errors.As(err, &refused) && refused.Op == "dial"
}

// outcome is what became of a publish that err came of.
func outcome(err error) checker.Outcome {
	var status *nodeproc.StatusError
	switch {
	case err == nil:
		return checker.Accepted
	case unsent(err):
		return checker.Unsent
	case !errors.As(err, &status):
		return checker.Unanswered
	case status.Status >= http.StatusInternalServerError:
		return checker.Failed
	}
	return checker.Refused
}

func (l *load) client(node int) *nodeproc.Client {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.s.clients[node]
}

// read has one client read the channels' histories, one after the other, until ctx ends. What is not answered
// says nothing.
func (l *load) read(ctx context.Context) {
	var after [channels]uint64
	tick := time.NewTicker(2 * pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ch := n % channels
		r := checker.Read{Channel: l.channel(ch), Client: channels, After: after[ch], Start: time.Now()}
		asked, cancel := context.WithTimeout(ctx, time.Second)
		entries, more, err := l.behind(asked, n/channels%nodes, r.Channel, r.After)
		cancel()
		if err != nil {
			continue
		}
		r.End = time.Now()
		for _, e := range entries {
			r.Seqs = append(r.Seqs, e.Seq)
		}
		if len(entries) > fewEnough {
			after[ch] = entries[len(entries)-1].Seq
		}
		if more {
			continue // it does not show where the log ends
		}
		l.mu.Lock()
		l.reads = append(l.reads, r)
		l.mu.Unlock()
	}
}

// behind asks a node for a channel's events behind a sequence; more tells that others may follow.
func (l *load) behind(ctx context.Context, node int, channel string, after uint64) (entries []checker.Entry, more bool, err error) {
	var answer struct {
		Events []struct {
			Seq   uint64
			Event struct{ ID string }
		}
		Next uint64
	}
	// No event of a round is the log's first one, and 0 would ask for the newest.
	path := fmt.Sprintf("/api/channels/%s/history?limit=%d&after=%d", channel, page, max(after, 1))
	if err := l.client(node).Call(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return nil, false, err
	}
	for _, e := range answer.Events {
		entries = append(entries, checker.Entry{EventID: e.Event.ID, Seq: e.Seq})
	}
	return entries, answer.Next != 0, nil
}

// readLogs reads all that the log has of each channel.
func (l *load) readLogs(ctx context.Context) error {
	logs := map[string][]checker.Entry{}
	for ch := range channels {
		channel, after := l.channel(ch), uint64(0)
		for more := true; more; {
			var entries []checker.Entry
			var err error
			if entries, more, err = l.behind(ctx, ch%nodes, channel, after); err != nil {
				return fmt.Errorf("reading the log in the end: %w", err)
			}
			logs[channel] = append(logs[channel], entries...)
			if more {
				after = entries[len(entries)-1].Seq
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs = logs
	return nil
}

// settle waits until all that was accepted, or is in the log, has arrived everywhere and nothing has come for a while,
// or nothing more may be waited for.
func (l *load) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var err error
	for {
		select {
		case <-l.s.arrived:
		case <-timer.C:
			if err = l.readLogs(ctx); err == nil && checker.Missing(l.history(nil)) == 0 {
				return nil
			}
		case <-ctx.Done():
			if l.logs != nil {
				return nil // the checker says what is missing
			}
			return cmp.Or(err, ctx.Err())
		}
		timer.Reset(quiet)
	}
}

// history is what happened so far.
func (l *load) history(faults []checker.Window) *checker.History {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &checker.History{
		Ops: slices.Clone(l.ops), Sightings: slices.Clone(l.sightings), Receipts: l.s.received(l.round), Reads: slices.Clone(l.reads), Logs: l.logs, Faults: faults,
		Routes: map[string][]string{}, Watchers: map[string][]string{},
	}
	for ch := range channels {
		h.Routes[l.channel(ch)] = integrations
		for i := range nodes {
			for k := range subscribers {
				h.Watchers[l.channel(ch)] = append(h.Watchers[l.channel(ch)], watcher(i, k))
			}
		}
	}
	return h
}

func (l *load) close() {
	for _, c := range l.clients {
		_ = c.Close()
	}
}
