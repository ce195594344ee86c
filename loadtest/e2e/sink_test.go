package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// sink is a simulated vendor behind one integration, with what it has taken by channel.
type sink struct {
	*vendors.StudioCloud
	id string // the integration's

	mu      sync.Mutex
	arrived map[int][]int // by channel: numbers in the order in which they were taken first
	repeats int
	strange []string      // what must not be
	changed chan struct{} // closed and replaced with each first arrival
}

// newSink starts a vendor for an integration of that id.
func newSink(t *testing.T, id string) *sink {
	t.Helper()
	s := &sink{id: id, arrived: map[int][]int{}, changed: make(chan struct{})}
	v, err := vendors.StartStudioCloud(t.Context(), vendors.Config{Keep: 1, Notify: s.note})
	if err != nil {
		t.Fatal(err)
	}
	s.StudioCloud = v
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// note takes what the simulator tells of each call.
func (s *sink) note(r vendors.Receipt) {
	if !r.Taken {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	channel, number, ok := numberOf(r.EventID)
	want := event.DeliveryID(channelName(channel), r.EventID, s.id)
	switch {
	case !ok:
		s.strange = append(s.strange, fmt.Sprintf("event %q was never published", r.EventID))
	case r.ID != want:
		s.strange = append(s.strange, fmt.Sprintf("event %s came as delivery %s, want %s", r.EventID, r.ID, want))
	case r.Repeat > 0:
		s.repeats++
	default:
		s.arrived[channel] = append(s.arrived[channel], number)
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// keepUp waits until the sink has taken so many events of a channel, or ctx or the load has ended.
func (s *sink) keepUp(ctx context.Context, stop <-chan struct{}, channel, count int) {
	for {
		s.mu.Lock()
		got, changed := len(s.arrived[channel]), s.changed
		s.mu.Unlock()
		if got >= count {
			return
		}
		select {
		case <-changed:
		case <-stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// connect connects the integration and routes the tests' channels to it.
func connect(ctx context.Context, t *testing.T, api *nodeproc.Client, sinks ...*sink) {
	t.Helper()
	m := event.Mapping{ID: "lanes", Pattern: "e2e:lane:*"}
	for _, s := range sinks {
		in, secrets := s.Integration(s.id)
		if err := api.Connect(ctx, in, secrets); err != nil {
			t.Fatal(err)
		}
		m.Targets = append(m.Targets, event.Target{Integration: s.id})
	}
	if err := api.Map(ctx, m); err != nil {
		t.Fatal(err)
	}
}

// verify fails unless the sink took each event of each channel, in order by first occurrence, and
// nothing else. It returns how many came more than once.
func (s *sink) verify(t *testing.T, accepted []int) (repeats int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, text := range s.strange {
		if i < 10 {
			t.Errorf("%s: %s", s.id, text)
		}
	}
	for channel, want := range accepted {
		checkRun(t, fmt.Sprintf("%s, %s", s.id, channelName(channel)), s.arrived[channel], want)
	}
	return s.repeats
}

// checkRun fails unless the numbers are 1, 2, 3 up to last, and says what is lost, out of order or too many.
func checkRun(t *testing.T, what string, got []int, last int) {
	t.Helper()
	seen := map[int]bool{}
	highest := 0
	var lost, late, extra []int
	for _, n := range got {
		if n < highest {
			late = append(late, n)
		}
		if seen[n] || n > last {
			extra = append(extra, n)
		}
		seen[n] = true
		highest = max(highest, n)
	}
	for n := 1; n <= last; n++ {
		if !seen[n] {
			lost = append(lost, n)
		}
	}
	if len(lost)+len(late)+len(extra) > 0 {
		t.Errorf("%s: of %d events %d are lost %.120v, %d came after later ones %.120v, %d are too many %.120v",
			what, last, len(lost), fmt.Sprint(lost), len(late), fmt.Sprint(late), len(extra), fmt.Sprint(extra))
	}
}
