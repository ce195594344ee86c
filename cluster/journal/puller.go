package journal

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	maxPull = 512
	// pullExpires is how long a request for work stands before it is made anew; pullLost is when an
	// answer to it, at the latest its expiry, must have come.
	pullExpires = 30 * time.Second
	pullLost    = 35 * time.Second
	pullRetry   = 250 * time.Millisecond
	// settleTimeout bounds the wait for acknowledgements to be dealt with; what was not comes again.
	settleTimeout = 2 * time.Second
)

// puller asks a consumer for messages, with one request at a time. What comes stays in its queue
// until next takes it, so nothing that was asked for is lost when a caller gives up.
type puller struct {
	s      *Shard
	stream string
	api    string // subject of requests
	inbox  string // of answers; the number of the request follows
	sub    *nats.Subscription
	msgs   chan *nats.Msg
	acks   *acker

	mu      sync.Mutex // held by next: one caller at a time
	last    string     // where the last message is answered for
	request uint64     // the last one's number
	open    int        // messages that are still to come for it
	lost    time.Time  // when to stop waiting for them
	resumes uint64     // of the connection, when it was made
}

func newPuller(s *Shard, stream, consumer string) (*puller, error) {
	p := &puller{
		s: s, stream: stream,
		api:   "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		inbox: s.j.sub.NewInbox() + ".",
		// One request's messages and its last word, twice, for one that was thought lost.
		msgs: make(chan *nats.Msg, 2*(maxPull+1)),
		acks: newAcker(s.j.pub, s.j.log),
	}
	var err error
	p.sub, err = s.j.sub.ChanSubscribe(p.inbox+"*", p.msgs)
	return p, err
}

func (p *puller) close() { _ = p.sub.Unsubscribe() }

// settle waits until the log has dealt with what was acknowledged so far. It queues acknowledgements
// and deals with them one after the other, so that the answer to one more tells of all before it;
// this one changes nothing about a message that was acknowledged.
func (p *puller) settle() {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	if last != "" {
		_, _ = p.s.j.pub.Request(last, sayProgress, settleTimeout)
	}
}

// next returns 1 to limit messages.
func (p *puller) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	limit = min(max(limit, 1), maxPull)
	p.mu.Lock()
	defer p.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := p.alive(ctx); err != nil {
			return nil, err
		}
		if msgs := p.queued(limit); len(msgs) > 0 {
			return msgs, nil
		}
		resumed := p.s.j.resumed.wait()
		pause := time.Until(p.lost)
		if p.open <= 0 || pause <= 0 || p.resumes != p.s.j.resumes.Load() {
			pause = p.ask(limit)
		}
		timer.Reset(pause)
		select {
		case m := <-p.msgs:
			if p.take(m) {
				return append([]*nats.Msg{m}, p.queued(limit-1)...), nil
			}
			if m.Header.Get("Status") != "408" { // not the usual end of a request: go easy
				p.pause(ctx)
			}
		case <-timer.C:
		case <-resumed:
		case <-ctx.Done():
		case <-p.s.closed:
		case <-p.s.j.closed:
		}
	}
}

func (p *puller) alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-p.s.closed:
		return fmt.Errorf("shard %d: %w", p.s.number, ErrClosed)
	case <-p.s.j.closed:
		return ErrClosed
	default:
		return nil
	}
}

// queued takes what has come already.
func (p *puller) queued(limit int) []*nats.Msg {
	n := min(limit, len(p.msgs))
	if n == 0 {
		return nil
	}
	msgs := make([]*nats.Msg, 0, n)
	for len(msgs) < limit {
		select {
		case m := <-p.msgs:
			if p.take(m) {
				msgs = append(msgs, m)
			}
		default:
			return msgs
		}
	}
	return msgs
}

// take reports whether m is work; otherwise it is the last word on a request.
func (p *puller) take(m *nats.Msg) bool {
	if m.Reply != "" {
		p.last = m.Reply
		p.open-- // work comes under its own subject, which does not tell the request
		return true
	}
	if strings.HasSuffix(m.Subject, "."+strconv.FormatUint(p.request, 10)) {
		p.open = 0
	}
	return false
}

// ask makes a request and returns how long to wait for it.
func (p *puller) ask(limit int) time.Duration {
	p.request++
	p.resumes = p.s.j.resumes.Load()
	body := `{"batch":` + strconv.Itoa(limit) + `,"expires":` + strconv.FormatInt(int64(pullExpires), 10) + `}`
	err := p.s.j.sub.PublishRequest(p.api, p.inbox+strconv.FormatUint(p.request, 10), []byte(body))
	if err != nil {
		p.open = 0
		return pullRetry
	}
	p.open, p.lost = limit, time.Now().Add(pullLost)
	return pullLost
}

func (p *puller) pause(ctx context.Context) {
	t := time.NewTimer(pullRetry)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-p.s.closed:
	case <-p.s.j.closed:
	}
}

// streamSequence reads a message's sequence from its reply subject, which is
// $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>..., with <domain>.<account> after ACK where
// these are known. It returns 0 where it is neither.
func streamSequence(reply string) uint64 {
	fields := strings.Split(reply, ".")
	at := 5
	if len(fields) >= 11 {
		at = 7
	} else if len(fields) != 9 {
		return 0
	}
	seq, err := strconv.ParseUint(fields[at], 10, 64)
	if err != nil {
		return 0
	}
	return seq
}
