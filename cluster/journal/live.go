package journal

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// laneSize bounds the live entries that wait for the functions given to Live. More are dropped and
// counted; who compares Entry.Prev sees that.
const laneSize = 8192

// Entry is one event of a channel. Data is the event's JSON as stored; the receiver may keep it.
type Entry struct {
	Seq     uint64
	Prev    uint64 // the channel's previous sequence; 0: none, or unknown
	Channel string
	Data    []byte
}

// live hands republished events to their listeners. A subscription's events go through one of a few
// lanes, each a goroutine, so that ten thousand subscriptions need no ten thousand goroutines.
type live struct {
	nc      *nats.Conn
	patient *line
	log     zerolog.Logger
	lanes   []chan *nats.Msg
	seed    maphash.Seed
	quit    chan struct{}
	running sync.WaitGroup

	mu      sync.RWMutex
	subs    map[*nats.Subscription]*listener
	dropped uint64 // by those that are gone
}

type listener struct {
	fn      func(Entry)
	stopped atomic.Bool
}

func newLive(nc *nats.Conn, patient *line, log zerolog.Logger) *live {
	l := &live{nc: nc, patient: patient, log: log, seed: maphash.MakeSeed(), quit: make(chan struct{}), subs: make(map[*nats.Subscription]*listener)}
	for range min(runtime.GOMAXPROCS(0), 4) {
		lane := make(chan *nats.Msg, laneSize)
		l.lanes = append(l.lanes, lane)
		l.running.Go(func() { l.run(lane) })
	}
	return l
}

// Live calls fn for each event that is appended, from the moment Live returns, to the channel or the
// channels that the pattern selects (*, ** and {name} as in event.ParsePattern). The events of one
// subscription come in order, from one goroutine; fn must not block, as it shares that goroutine
// with other subscriptions. After stop no further call begins. Events may be missed, when the
// connection is lost or fn is too slow: the next entry's Prev then is not the last one's Seq, and
// History has them.
func (j *Journal) Live(pattern string, fn func(Entry)) (stop func(), err error) {
	if err := j.alive(); err != nil {
		return nil, err
	}
	subject, err := liveSubject(pattern)
	if err != nil {
		return nil, err
	}
	stop, err = j.live.listen(subject, fn)
	return stop, j.fail("listening to "+pattern, err)
}

func (l *live) listen(subject string, fn func(Entry)) (func(), error) {
	lane := l.lanes[maphash.String(l.seed, subject)%uint64(len(l.lanes))]
	entry := &listener{fn: fn}
	sub, err := l.nc.ChanSubscribe(subject, lane)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.subs[sub] = entry
	l.mu.Unlock()
	stop := func() {
		if entry.stopped.CompareAndSwap(false, true) {
			l.drop(sub)
		}
	}
	// Until then the server may not know of it.
	if err := l.patient.ask(context.Background(), tryTimeout, l.nc.FlushWithContext); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func (l *live) drop(sub *nats.Subscription) {
	missed := missedBy(sub)
	_ = sub.Unsubscribe()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped += missed
	delete(l.subs, sub)
}

func (l *live) run(lane <-chan *nats.Msg) {
	for {
		select {
		case m := <-lane:
			l.deliver(m)
		case <-l.quit:
			return
		}
	}
}

func (l *live) deliver(m *nats.Msg) {
	l.mu.RLock()
	to := l.subs[m.Sub]
	l.mu.RUnlock()
	if to == nil || to.stopped.Load() {
		return
	}
	e, err := entryOf(m)
	if err != nil {
		l.log.Error().Err(err).Str("subject", m.Subject).Msg("a republished event cannot be read and is passed over")
		return
	}
	to.fn(e)
}

func entryOf(m *nats.Msg) (Entry, error) {
	seq, err := headerNumber(m.Header, "Nats-Sequence")
	if err != nil {
		return Entry{}, err
	}
	prev, err := headerNumber(m.Header, "Nats-Last-Sequence")
	if err != nil {
		return Entry{}, err
	}
	return Entry{Seq: seq, Prev: prev, Channel: channelOfLive(m.Subject), Data: m.Data}, nil
}

func headerNumber(h nats.Header, name string) (uint64, error) {
	n, err := strconv.ParseUint(h.Get(name), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("header %s: %w", name, err)
	}
	return n, nil
}

// close ends the lanes; the connection must be closed before.
func (l *live) close() {
	close(l.quit)
	l.running.Wait()
}

// missed returns how many events were dropped because their functions were too slow.
func (l *live) missed() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := l.dropped
	for sub := range l.subs {
		n += missedBy(sub)
	}
	return n
}

func missedBy(sub *nats.Subscription) uint64 {
	n, err := sub.Dropped()
	if err != nil || n < 0 {
		return 0
	}
	return uint64(n)
}
