package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// load publishes numbered events, one publisher a channel: 1, 2, 3, each again with the same id until
// it is answered 2xx, and only then the next. So the order of a channel is known, and so is what was
// accepted.
type load struct {
	t        *testing.T
	api      *nodeproc.Client
	channels []string
	extra    int                                            // bytes that each event has more
	hold     func(ctx context.Context, channel, number int) // called before an event is published; nil: nobody
	nodes    []*nodeproc.Client                             // of a cluster, instead of api: who gets no answer at one asks the next

	mu        sync.Mutex
	taken     int           // events accepted in all
	changed   chan struct{} // closed and replaced with each of them
	stop      chan struct{}
	stopOnce  sync.Once
	running   sync.WaitGroup
	accepted  []atomic.Int64 // by channel: the last number
	again     atomic.Int64   // requests that had to be repeated
	duplicate atomic.Int64   // answered 200: the log had it from an attempt whose answer was lost
}

// channelName is the name of a test's channel.
func channelName(i int) string { return fmt.Sprintf("e2e:lane:%02d", i) }

// eventID names the event with a number of a channel; numberOf reads it.
func eventID(channel, number int) string { return fmt.Sprintf("c%02d-%06d", channel, number) }

func numberOf(id string) (channel, number int, ok bool) {
	head, tail, found := strings.Cut(id, "-")
	channel, err1 := strconv.Atoi(strings.TrimPrefix(head, "c"))
	number, err2 := strconv.Atoi(tail)
	return channel, number, found && err1 == nil && err2 == nil && id == eventID(channel, number)
}

// bulky is an event that the photography CRM understands, with so many bytes more than it needs.
func bulky(id string, bytes int) []byte {
	return fmt.Appendf(nil, `{"id":%q,"type":"timeline.updated","payload":{"coupleId":"cpl_7Qm2x","venue":"Château de Vaux, Orangerie",`+
		`"ceremonyTime":"2027-06-19T16:00:00+02:00","previousCeremonyTime":"2027-06-19T15:00:00+02:00","notes":"Grandmother Odile needs step-free access.%s"}}`, id, strings.Repeat("x", bytes))
}

func newLoad(t *testing.T, api *nodeproc.Client, channels int) *load {
	t.Helper()
	l := &load{t: t, api: api, changed: make(chan struct{}), stop: make(chan struct{}), accepted: make([]atomic.Int64, channels)}
	for i := range channels {
		l.channels = append(l.channels, channelName(i))
	}
	return l
}

// begin starts the publishers. Each publishes limit events (0: until end is called), and not faster
// than one every pace. ctx ends them without more ado.
func (l *load) begin(ctx context.Context, limit int, pace time.Duration) {
	for i := range l.channels {
		l.running.Go(func() { l.publish(ctx, i, limit, pace) })
	}
}

func (l *load) publish(ctx context.Context, channel, limit int, pace time.Duration) {
	tick := time.NewTicker(max(pace, 1))
	defer tick.Stop()
	for n := 1; limit == 0 || n <= limit; n++ {
		if pace > 0 {
			select {
			case <-tick.C:
			case <-l.stop:
				return
			}
		}
		if l.hold != nil {
			l.hold(ctx, channel, n)
		}
		if err := l.insist(ctx, channel, n); err != nil {
			if ctx.Err() == nil {
				l.t.Errorf("publishing %s: %v", eventID(channel, n), err)
			}
			return
		}
		l.accepted[channel].Store(int64(n))
		l.mu.Lock()
		l.taken++
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		select {
		case <-l.stop:
			return
		default:
		}
	}
}

// insist publishes an event until it is accepted; a refusal that will not pass is an error.
func (l *load) insist(ctx context.Context, channel, n int) error {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	event := bulky(eventID(channel, n), l.extra)
	for try := 0; ; try++ {
		api := l.api
		if len(l.nodes) > 0 {
			api = l.nodes[(channel+try)%len(l.nodes)]
		}
		answer, err := api.Send(ctx, http.MethodPost, "/api/channels/"+l.channels[channel]+"/publish", event)
		var refused *nodeproc.StatusError
		switch {
		case err == nil:
			if strings.Contains(string(answer), `"duplicate":true`) {
				l.duplicate.Add(1)
			}
			return nil
		case errors.As(err, &refused) && refused.Status != http.StatusServiceUnavailable:
			return err
		}
		l.again.Add(1)
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", ctx.Err(), err)
		}
	}
}

// end lets each publisher finish its event, and waits.
func (l *load) end() {
	l.stopOnce.Do(func() { close(l.stop) })
	l.running.Wait()
}

// wait waits until the publishers have done what they were to do.
func (l *load) wait() { l.running.Wait() }

// total is how many events were accepted.
func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// more waits until so many events were accepted.
func (l *load) more(ctx context.Context, count int) error {
	for {
		l.mu.Lock()
		got, changed := l.taken, l.changed
		l.mu.Unlock()
		if got >= count {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events were accepted: %w", got, count, ctx.Err())
		}
	}
}

// byChannel is the same by channel.
func (l *load) byChannel() []int {
	all := make([]int, len(l.accepted))
	for i := range l.accepted {
		all[i] = int(l.accepted[i].Load())
	}
	return all
}
