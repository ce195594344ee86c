package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

const (
	// beatEvery is how often a feed that has nothing to send says so, and up to where it has sent, where there may be
	// other nodes, and beatAlone where there is nobody whose messages could get lost. One that is not heard of for
	// beatsLost of them is left for another one.
	beatEvery = time.Second
	beatAlone = 5 * time.Second
	beatsLost = 2
	// feedRoom is for more messages than a feed sends ahead, which is 2 MiB (a sixteenth of JsFlowControlMaxPending in
	// nats-server's consumer.go) of at least some hundred bytes each.
	feedRoom = 8192
	// beginTry bounds one request for a feed. Whoever leads the stream answers at once; while nobody does, nobody.
	beginTry = 500 * time.Millisecond
	// retryEvery is the pause before the log is asked again for what it did not do.
	retryEvery = 250 * time.Millisecond
)

// reader reads what a stream has for a shard, in order, through feeds: consumers in the memory of the server that leads
// the stream. They have nothing to remember; what is done is noted by routed and by remover. When a feed is lost, with
// its server or a message on its way, another one begins behind what was given out.
type reader struct {
	s              *Shard
	stream, filter string
	from           func() uint64 // where to begin

	mu   sync.Mutex // held by next: one caller at a time
	feed *feed      // nil: none yet
}

// next returns 1 to limit messages, some of which may have been there before. What has come stays there when a caller
// gives up.
func (r *reader) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for tries := 0; ; {
		if err := cmp.Or(ctx.Err(), r.s.alive()); err != nil {
			return nil, err
		}
		if r.feed == nil {
			if err := r.begin(ctx); err != nil {
				if tries++; tries == 4 {
					r.s.j.log.Warn().Err(err).Int("shard", r.s.number).Str("stream", r.stream).Msg("the log gives out nothing; trying again")
				}
				r.s.pause(ctx)
				continue
			}
		}
		msgs, err := r.feed.next(ctx, max(limit, 1))
		fruitless := len(msgs) == 0 && r.feed.delivered == 0
		if r.feed.over {
			r.feed.close()
			r.feed = nil
		}
		if err != nil || len(msgs) > 0 {
			return msgs, err
		}
		if fruitless {
			r.s.pause(ctx)
		}
	}
}

// begin has the server that leads the stream make a feed. A copy elsewhere may be behind: then what the owner before
// has done would still be there, or what is to be done not yet. A consumer that is "direct", as those by which
// JetStream itself copies streams, is that server's own affair: it needs nothing of the cluster, in particular not
// the leader of its administration, which is elected besides that of the stream.
func (r *reader) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beginTry)
	defer cancel()
	defer context.AfterFunc(r.s.life, cancel)()
	f := &feed{s: r.s, msgs: make(chan *nats.Msg, feedRoom), beat: beatEvery, moves: r.s.j.moves[r.stream]}
	if r.s.lease.of.alone {
		f.beat = beatAlone
	}
	nc := r.s.j.sub // which tells the server of the inbox first
	f.resumes, f.moved = r.s.j.resumes.Load(), f.moves.Load()
	inbox := nc.NewInbox()
	var err error
	if f.sub, err = nc.ChanSubscribe(inbox, f.msgs); err != nil {
		return err
	}
	name := nuid.Next()
	body, err := json.Marshal(map[string]any{"stream_name": r.stream, "action": "create", "config": map[string]any{
		"name": name, "direct": true, "mem_storage": true, "num_replicas": 1,
		"filter_subject": r.filter, "deliver_policy": "by_start_sequence", "opt_start_seq": r.from(),
		"ack_policy": "none", "replay_policy": "instant",
		"deliver_subject": inbox, "flow_control": true, "idle_heartbeat": f.beat,
	}})
	var m *nats.Msg
	if err == nil {
		m, err = nc.RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE."+r.stream+"."+name+"."+r.filter, body)
	}
	if err == nil {
		err = refused(m.Data)
	}
	if err != nil {
		f.close()
		return err
	}
	f.heard()
	r.feed = f
	return nil
}

func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.feed != nil {
		r.feed.close()
	}
}

// feed is what a consumer sends. The consumer numbers that, from 1: a number that is not here is of a message that was
// lost, and the feed is over before what comes behind is handed out.
type feed struct {
	s    *Shard
	sub  *nats.Subscription
	msgs chan *nats.Msg

	over      bool
	full      bool   // it waits for leave to send on, and does not get it: so it ends, and holds a bounded part of a backlog
	delivered uint64 // the last message's number
	beat      time.Duration
	lost      time.Time // when to wait no more
	// How often the connection was resumed, and the stream had another leader, before it was made.
	resumes, moved uint64
	moves          *atomic.Uint64
}

func (f *feed) close() { _ = f.sub.Unsubscribe() }

// next returns 1 to limit messages, or none when the feed is over.
func (f *feed) next(ctx context.Context, limit int) ([]*nats.Msg, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !f.over {
		if err := cmp.Or(ctx.Err(), f.s.alive()); err != nil {
			return nil, err
		}
		changed, resumed, elected := f.s.lease.Changed(), f.s.j.resumed.wait(), f.s.j.elected.wait()
		in, pause := f.msgs, never
		if !f.s.lease.Valid() {
			in = nil // nothing is handed out
		} else {
			if msgs := f.queued(limit); len(msgs) > 0 {
				return msgs, nil
			}
			pause = time.Until(f.lost)
			if f.over = f.over || f.full || pause <= 0 || f.left(); f.over {
				break
			}
		}
		timer.Reset(pause)
		select {
		case m := <-in:
			if f.take(m) {
				return append([]*nats.Msg{m}, f.queued(limit-1)...), nil
			}
		case <-timer.C:
		case <-changed:
		case <-resumed:
		case <-elected:
		case <-ctx.Done():
		case <-f.s.life.Done():
		case <-f.s.j.closed:
		}
	}
	return nil, nil
}

// left reports that another feed is to be had: this one's consumer may be gone, or where its messages went.
func (f *feed) left() bool {
	return f.resumes != f.s.j.resumes.Load() || f.moved != f.moves.Load()
}

// queued takes what has come already.
func (f *feed) queued(limit int) []*nats.Msg {
	n := min(limit, len(f.msgs))
	if n == 0 {
		return nil
	}
	msgs := make([]*nats.Msg, 0, n)
	for len(msgs) < limit && !f.over && f.s.alive() == nil {
		select {
		case m := <-f.msgs:
			if f.take(m) {
				msgs = append(msgs, m)
			}
		default:
			return msgs
		}
	}
	return msgs
}

// statusControl is of a message that tells where the consumer is (JetStream's idle heartbeat), or asks for leave to
// send on (its flow control), which has somewhere to reply to.
const statusControl = "100"

// take reports whether m may be handed out; otherwise it is about the feed, or there is a gap.
func (f *feed) take(m *nats.Msg) bool {
	switch status := m.Header.Get("Status"); {
	case status == "":
		_, number := sequences(m.Reply)
		if f.over = number != f.delivered+1; f.over {
			return false
		}
		f.delivered = number
		f.heard()
		return true
	case status == statusControl && m.Reply != "":
		f.full = true
	case status == statusControl:
		f.heard()
		f.over = m.Header.Get("Nats-Last-Consumer") != strconv.FormatUint(f.delivered, 10)
	default:
		f.over = true // the consumer is gone
	}
	return false
}

// heard notes that the consumer is there.
func (f *feed) heard() { f.lost = time.Now().Add(beatsLost * f.beat) }

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
