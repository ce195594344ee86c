package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/history"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

const (
	channels    = 12
	subscribers = 2 // on each node
	pace        = 150 * time.Millisecond
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

func (l *load) channel(i int) string { return channelName(l.round, i) }

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
	mark, _ := marked(p.Data)
	l.s.arrival()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sightings = append(l.sightings, checker.Sighting{Subscriber: who, Channel: p.Channel, EventID: mark, Seq: p.Offset, At: time.Now()})
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
		node := n / channels % nodes
		r := checker.Read{Channel: l.channel(ch), Node: nodeName(node), Client: channels, After: after[ch], Start: time.Now()}
		asked, cancel := context.WithTimeout(ctx, time.Second)
		entries, more, err := history.Behind(asked, l.client(node), r.Channel, r.After, markIn)
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

// readLogs reads all that the log has of each channel.
func (l *load) readLogs(ctx context.Context) (err error) {
	logs := map[string][]checker.Entry{}
	for ch := range channels {
		channel := l.channel(ch)
		if logs[channel], err = history.Log(ctx, l.client(ch%nodes), channel, markIn); err != nil {
			return err
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
		Ops: slices.Clone(l.ops), Sightings: slices.Clone(l.sightings), Receipts: l.s.receiptsOf(l.round), Reads: slices.Clone(l.reads), Logs: l.logs, Faults: faults,
		Routes: map[string][]string{}, Watchers: map[string][]string{},
	}
	for ch := range channels {
		h.Routes[l.channel(ch)] = routes(ch % 2)
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
