package journal

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// gatherLimit is how long a message waits at most for the answers to those before it.
const gatherLimit = 10 * time.Millisecond

// gather sends a stream's messages in batches: while some are unanswered, what comes waits, and goes out
// together when all have been answered. A replicated log takes many that come together for about the price of
// one: one write and sync of each copy, one message to each. One that comes alone goes out at once.
type gather struct {
	out     int // sent and not answered
	queue   []gathered
	sending bool
	timer   *time.Timer
}

type gathered struct {
	number uint64
	msg    *nats.Msg
}

// streamOfSubject tells streams apart; "" are the buckets.
func streamOfSubject(subject string) string {
	switch kind, _, _ := strings.Cut(subject, "."); kind {
	case "ev":
		return streamEvents
	case "dl", "park", "wait":
		return streamWork
	case "dead":
		return streamDead
	case recordSubject:
		return streamRecords
	}
	return ""
}

// enter sends the call's message, or has it wait for those before it.
func (p *publisher) enter(c *call, m *nats.Msg) error {
	stream := streamOfSubject(m.Subject)
	p.mu.Lock()
	g := p.gathers[stream]
	if g == nil {
		g = &gather{}
		p.gathers[stream] = g
	}
	c.gather = g
	if g.out > 0 || g.sending || len(g.queue) > 0 { // else it would overtake what waits
		g.queue = append(g.queue, gathered{c.number, m})
		if len(g.queue) == 1 {
			g.timer = time.AfterFunc(gatherLimit, func() { p.flush(g) })
		}
		p.mu.Unlock()
		return nil
	}
	g.out, c.out = 1, true
	p.mu.Unlock()
	return p.nc.PublishMsg(m)
}

// leave notes, with p.mu held, that a call has ended, and tells whether those behind it are to be sent.
func (g *gather) leave(c *call) (next bool) {
	if c.out {
		c.out = false
		g.out--
	}
	return g.out == 0 && len(g.queue) > 0 && !g.sending
}

// flush sends what waits.
func (p *publisher) flush(g *gather) {
	for {
		p.mu.Lock()
		batch := g.queue
		if g.sending || len(batch) == 0 {
			p.mu.Unlock()
			return
		}
		g.queue, g.sending = nil, true
		g.timer.Stop()
		live := batch[:0]
		for _, b := range batch {
			if c := p.waiting[b.number]; c != nil { // else it was given up
				c.out = true
				g.out++
				live = append(live, b)
			}
		}
		p.mu.Unlock()
		for _, b := range live {
			if err := p.nc.PublishMsg(b.msg); err != nil {
				if c := p.take(b.number); c != nil {
					c.done <- answer{err: err}
				}
			}
		}
		p.mu.Lock()
		g.sending = false
		again := g.out == 0
		if !again && len(g.queue) > 0 { // its timer may have found this one at work
			g.timer.Reset(gatherLimit)
		}
		p.mu.Unlock()
		if !again {
			return
		}
	}
}
