package journal

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	maxPull = 512
	// pullExpires is how long a request for work stands before it is made anew, but not for longer than the
	// lease is valid by now; pullLost is how long after that its expiry must have come.
	pullExpires = 30 * time.Second
	pullLost    = 5 * time.Second
	pullRetry   = 250 * time.Millisecond
	// pullBeat is how often a request that stands is answered with where the consumer is, where there may be
	// other nodes; at least three times before it expires. Beats that tell of messages which did not come for
	// two of them tell of a gap: the log holds messages back until they are replicated, but not beats.
	pullBeat  = 500 * time.Millisecond
	beatsLost = 3
	// settleTimeout bounds the wait for acknowledgements to be dealt with; what was not comes again. After a gap
	// the consumer may know nothing of what was given out here, and not answer.
	settleTimeout = 2 * time.Second
	settleGap     = 100 * time.Millisecond
)

// puller asks a consumer for messages, with one request at a time. What comes stays in its queue
// until next takes it, so nothing that was asked for is lost when a caller gives up.
//
// A consumer numbers what it gives out, from 1 since it was reset. One of these numbers that is not here was
// given to somebody else: to an owner before, whose request came late, or to one after, who has reset the
// consumer. It may also have been lost with the connection, or the consumer's leader. Whatever it was: this
// puller ends its shard with ErrGap before it hands out what comes behind. The next reset, here or there,
// brings all of it back, in order; nothing waits for the ten minutes of ackWait.
//
// A consumer of the shard's own has nobody else: after a gap, or when it is away, only the puller is over.
type puller struct {
	s      *Shard
	stream string
	own    bool
	api    string // subject of requests
	inbox  string // of answers; the number of the request follows
	sub    *nats.Subscription
	msgs   chan *nats.Msg

	mu        sync.Mutex // held by next: one caller at a time
	over      bool       // of an own consumer: it is to be made anew
	delivered uint64     // the last message's number
	behind    time.Time  // since when the consumer tells of later ones; zero: it does not
	request   uint64     // the last one's number
	open      int        // messages that are still to come for it
	beat      time.Duration
	lost      time.Time // when to stop waiting for them
	resumes   uint64    // of the connection, when it was made
}

func newPuller(s *Shard, stream, consumer string, own bool) (*puller, error) {
	p := &puller{
		s: s, stream: stream, own: own,
		api:   "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		inbox: s.j.sub.NewInbox() + ".",
		// One request's messages and its last word, twice, for one that was thought lost.
		msgs: make(chan *nats.Msg, 2*(maxPull+1)),
	}
	var err error
	p.sub, err = s.j.sub.ChanSubscribe(p.inbox+"*", p.msgs)
	return p, err
}

func (p *puller) close() { _ = p.sub.Unsubscribe() }

// alive returns why nothing is handed out any more.
func (p *puller) alive() error {
	if p.over {
		return ErrGap
	}
	return p.s.alive()
}

// next returns 1 to limit messages.
func (p *puller) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	limit = min(max(limit, 1), maxPull)
	p.mu.Lock()
	defer p.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := cmp.Or(ctx.Err(), p.alive()); err != nil {
			return nil, err
		}
		changed, resumed := p.s.lease.Changed(), p.s.j.resumed.wait()
		in, pause := p.msgs, never
		if !p.s.lease.Valid() {
			in = nil // nothing is handed out
		} else {
			if msgs := p.queued(limit); len(msgs) > 0 {
				return msgs, nil
			}
			pause = time.Until(p.lost)
			if again := p.resumes != p.s.j.resumes.Load(); p.open <= 0 || pause <= 0 || again {
				if p.over = p.own && p.request > 0 && (p.open > 0 || again); p.over {
					continue
				}
				pause = p.ask(limit)
			}
		}
		timer.Reset(pause)
		select {
		case m := <-in:
			if p.take(m) {
				return append([]*nats.Msg{m}, p.queued(limit-1)...), nil
			}
			if easy(m) {
				p.s.pause(ctx)
			}
		case <-timer.C:
		case <-changed:
		case <-resumed:
		case <-ctx.Done():
		case <-p.s.life.Done():
		case <-p.s.j.closed:
		}
	}
}

// easy reports that a request did not end as usual: the next one is not to be made at once.
func easy(m *nats.Msg) bool {
	status := m.Header.Get("Status")
	return m.Reply == "" && status != statusBeat && status != "408"
}

// queued takes what has come already.
func (p *puller) queued(limit int) []*nats.Msg {
	n := min(limit, len(p.msgs))
	if n == 0 {
		return nil
	}
	msgs := make([]*nats.Msg, 0, n)
	for len(msgs) < limit && p.alive() == nil {
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

// statusBeat is of a message that tells where the consumer is (JetStream's idle heartbeat).
const statusBeat = "100"

// take reports whether m is work that may be handed out; otherwise it is about a request, or there is a gap.
func (p *puller) take(m *nats.Msg) bool {
	switch {
	case m.Reply != "":
		stream, delivered := sequences(m.Reply)
		if delivered != p.delivered+1 {
			p.gap(delivered, stream)
			return false
		}
		p.delivered, p.behind = delivered, time.Time{}
		p.open-- // work comes under its own subject, which does not tell the request
		p.heard()
		return true
	case m.Header.Get("Status") == statusBeat:
		p.heard()
		p.compare(m.Header.Get("Nats-Last-Consumer"))
	case strings.HasSuffix(m.Subject, "."+strconv.FormatUint(p.request, 10)):
		p.open, p.over = 0, p.own && easy(m)
	}
	return false
}

// heard notes that the request stands.
func (p *puller) heard() {
	if p.beat > 0 {
		p.lost = time.Now().Add(beatsLost * p.beat)
	}
}

// compare holds the number of the last message that the consumer has given out against that of the last one here.
func (p *puller) compare(last string) {
	n, err := strconv.ParseUint(last, 10, 64)
	switch {
	case err != nil || n == p.delivered:
		p.behind = time.Time{}
	case n < p.delivered:
		p.gap(n, 0)
	case p.behind.IsZero():
		p.behind = time.Now()
	case time.Since(p.behind) > 2*p.beat:
		p.gap(n, 0)
	}
}

// gap ends the shard, or the puller: what has this number comes behind something that did not come here.
func (p *puller) gap(delivered, stream uint64) {
	if p.over = p.own; p.over {
		return
	}
	p.s.j.log.Warn().Int("shard", p.s.number).Str("stream", p.stream).Uint64("seq", stream).Uint64("expected", p.delivered+1).Uint64("delivered", delivered).
		Msg("work of the shard went elsewhere, or was lost on its way: it comes again when the shard is taken over")
	p.s.end(ErrGap)
}

// ask makes a request and returns how long to wait for it.
func (p *puller) ask(limit int) time.Duration {
	p.request++
	p.resumes = p.s.j.resumes.Load()
	expires := pullExpires
	if !p.own {
		expires = min(expires, p.s.lease.of.left())
	}
	if expires <= 0 {
		return 0 // the lease has just ended
	}
	lost := expires + pullLost
	body := `{"batch":` + strconv.Itoa(limit) + `,"expires":` + strconv.FormatInt(int64(expires), 10)
	if p.beat = 0; !p.s.lease.of.alone {
		p.beat = min(pullBeat, expires/beatsLost)
		lost = beatsLost * p.beat
		body += `,"idle_heartbeat":` + strconv.FormatInt(int64(p.beat), 10)
	}
	err := p.s.j.sub.PublishRequest(p.api, p.inbox+strconv.FormatUint(p.request, 10), []byte(body+"}"))
	if err != nil {
		p.open = 0
		return pullRetry
	}
	p.open, p.lost = limit, time.Now().Add(lost)
	return lost
}

// sequences reads a message's place in the stream, and the number under which the consumer gave it out, from
// its reply subject, which is $JS.ACK.<stream>.<consumer>.<times>.<sequence>.<number>..., with <domain>.<account>
// after ACK where these are known. It returns 0 where it is neither.
func sequences(reply string) (stream, number uint64) {
	fields := strings.Split(reply, ".")
	at := 5
	if len(fields) >= 11 {
		at = 7
	} else if len(fields) != 9 {
		return 0, 0
	}
	stream, err := strconv.ParseUint(fields[at], 10, 64)
	if err != nil {
		return 0, 0
	}
	number, err = strconv.ParseUint(fields[at+1], 10, 64)
	if err != nil {
		return 0, 0
	}
	return stream, number
}
