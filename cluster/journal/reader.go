package journal

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxPull = 512
	// pullExpires is how long a request for messages stands before it is made anew; pullLost is how long after
	// that its expiry must have come.
	pullExpires = 30 * time.Second
	pullLost    = 5 * time.Second
	pullRetry   = 250 * time.Millisecond
	// pullBeat is how often a request that stands is answered with where the consumer is, where there may be
	// other nodes. Beats that tell of messages which did not come for two of them tell of a gap.
	pullBeat  = 500 * time.Millisecond
	beatsLost = 3
	// readerAway is how long the log keeps the consumer of a reader that does not ask any more.
	readerAway = 2 * pullExpires
)

// reader reads what a stream has for a shard, in order, through a consumer in the memory of one of the log's
// servers. That has nothing to remember and nobody else: what is done is noted by routed and by remover. When it is
// lost, with its server or a message on its way, another one is made, which begins behind what was given out.
type reader struct {
	s              *Shard
	stream, filter string
	from           func() uint64 // where to begin

	mu sync.Mutex // held by next: one caller at a time
	p  *puller    // nil: none yet
}

// next returns 1 to limit messages, some of which may have been there before. What was asked for and has come stays
// there when a caller gives up.
func (r *reader) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	limit = min(max(limit, 1), maxPull)
	r.mu.Lock()
	defer r.mu.Unlock()
	for tries := 0; ; {
		if err := cmp.Or(ctx.Err(), r.s.alive()); err != nil {
			return nil, err
		}
		if r.p == nil {
			if err := r.begin(ctx); err != nil {
				if tries++; tries == 2 {
					r.s.j.log.Warn().Err(err).Int("shard", r.s.number).Str("stream", r.stream).Msg("the log gives out nothing; trying again")
				}
				r.s.pause(ctx)
				continue
			}
		}
		msgs, err := r.p.next(ctx, limit)
		fruitless := len(msgs) == 0 && r.p.delivered == 0
		if r.p.over {
			r.p.close()
			r.p = nil
		}
		if err != nil || len(msgs) > 0 {
			return msgs, err
		}
		if fruitless {
			r.s.pause(ctx)
		}
	}
}

// placeTries is how often a consumer is made to have it where it should be; of three servers it takes three on average.
const placeTries = 16

// begin makes a consumer, on the server that leads the stream. A copy elsewhere may be behind: then what the owner
// before has done would still be there, or what is to be done not yet. JetStream chooses a server at random.
func (r *reader) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeOverTry)
	defer cancel()
	defer context.AfterFunc(r.s.life, cancel)()
	leader, err := r.leader(ctx)
	for tries := 1; err == nil; tries++ {
		var c jetstream.Consumer
		c, err = r.s.j.js.CreateConsumer(ctx, r.stream, jetstream.ConsumerConfig{
			FilterSubject: r.filter, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.from(),
			AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: readerAway,
		})
		if err != nil {
			break
		}
		info := c.CachedInfo()
		if leader == "" || info.Cluster != nil && info.Cluster.Leader == leader || tries == placeTries {
			r.p, err = newPuller(r.s, r.stream, info.Name)
			return err
		}
		err = r.s.j.js.DeleteConsumer(ctx, r.stream, info.Name)
	}
	return err
}

// leader is the server that leads the stream; "" where there is one only.
func (r *reader) leader(ctx context.Context) (string, error) {
	if !r.s.j.replicated() {
		return "", nil
	}
	info, err := r.s.j.streams[r.stream].Info(ctx)
	if err != nil || info.Cluster == nil {
		return "", err
	}
	return info.Cluster.Leader, nil
}

func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p != nil {
		r.p.close()
	}
}

// puller asks a consumer for messages, with one request at a time. The consumer numbers what it gives out, from 1: a
// number that is not here is of a message that was lost, and the puller is over before what comes behind is handed out.
type puller struct {
	s     *Shard
	api   string // subject of requests
	inbox string // of answers; the number of the request follows
	sub   *nats.Subscription
	msgs  chan *nats.Msg

	over      bool
	delivered uint64    // the last message's number
	behind    time.Time // since when the consumer tells of later ones; zero: it does not
	request   uint64    // the last one's number
	open      int       // messages that are still to come for it
	beat      time.Duration
	lost      time.Time // when to stop waiting for them
	resumes   uint64    // of the connection, when it was made
}

func newPuller(s *Shard, stream, consumer string) (*puller, error) {
	p := &puller{
		s:     s,
		api:   "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		inbox: s.j.sub.NewInbox() + ".",
		msgs:  make(chan *nats.Msg, 2*(maxPull+1)), // one request's messages and its last word, and room
	}
	var err error
	p.sub, err = s.j.sub.ChanSubscribe(p.inbox+"*", p.msgs)
	return p, err
}

func (p *puller) close() { _ = p.sub.Unsubscribe() }

// next returns 1 to limit messages, or none when the puller is over.
func (p *puller) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !p.over {
		if err := cmp.Or(ctx.Err(), p.s.alive()); err != nil {
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
			if pause = p.await(limit); p.over {
				break
			}
		}
		timer.Reset(pause)
		select {
		case m := <-in:
			if p.take(m) {
				return append([]*nats.Msg{m}, p.queued(limit-1)...), nil
			}
		case <-timer.C:
		case <-changed:
		case <-resumed:
		case <-ctx.Done():
		case <-p.s.life.Done():
		case <-p.s.j.closed:
		}
	}
	return nil, nil
}

// queued takes what has come already.
func (p *puller) queued(limit int) []*nats.Msg {
	n := min(limit, len(p.msgs))
	if n == 0 {
		return nil
	}
	msgs := make([]*nats.Msg, 0, n)
	for len(msgs) < limit && !p.over && p.s.alive() == nil {
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

// statusBeat is of a message that tells where the consumer is (JetStream's idle heartbeat), statusExpired of one that
// ends a request as usual.
const (
	statusBeat    = "100"
	statusExpired = "408"
)

// take reports whether m may be handed out; otherwise it is about a request, or there is a gap.
func (p *puller) take(m *nats.Msg) bool {
	status := m.Header.Get("Status")
	switch {
	case m.Reply != "":
		_, delivered := sequences(m.Reply)
		if p.over = delivered != p.delivered+1; p.over {
			return false
		}
		p.delivered, p.behind = delivered, time.Time{}
		p.open-- // work comes under its own subject, which does not tell the request
		p.heard()
		return true
	case status == statusBeat:
		p.heard()
		p.compare(m.Header.Get("Nats-Last-Consumer"))
	case strings.HasSuffix(m.Subject, "."+strconv.FormatUint(p.request, 10)):
		p.open, p.over = 0, status != statusExpired // the consumer is gone, or will be
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
	case p.behind.IsZero():
		p.behind = time.Now()
	default:
		p.over = time.Since(p.behind) > 2*p.beat
	}
}

// await makes a request unless one stands, and returns how long to wait for what comes of it. One that was lost, or
// may have been, is the puller's last.
func (p *puller) await(limit int) time.Duration {
	resumes := p.s.j.resumes.Load()
	left := time.Until(p.lost)
	if p.request > 0 && (p.resumes != resumes || p.open > 0 && left <= 0) {
		p.over = true
		return 0
	}
	if p.open > 0 {
		return left
	}
	p.request++
	p.resumes = resumes
	lost := pullExpires + pullLost
	body := `{"batch":` + strconv.Itoa(limit) + `,"expires":` + strconv.FormatInt(int64(pullExpires), 10)
	if p.beat = 0; !p.s.lease.of.alone {
		p.beat = pullBeat
		lost = beatsLost * p.beat
		body += `,"idle_heartbeat":` + strconv.FormatInt(int64(p.beat), 10)
	}
	if err := p.s.j.sub.PublishRequest(p.api, p.inbox+strconv.FormatUint(p.request, 10), []byte(body+"}")); err != nil {
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
