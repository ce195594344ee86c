package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
)

// member is an integration and how it does.
type member struct {
	api.Integration
	health     event.Health
	vendorName string
}

// title is what to call it.
func (m *member) title() string { return cmp.Or(m.Name, m.ID) }

// fails reports whether somebody must do something, or the vendor.
func (m *member) fails() bool {
	switch m.health.State {
	case event.Open, event.Suspended, event.Unknown:
		return true
	case event.Paused:
		return m.Paused != nil && m.Paused.By == bySystem
	}
	return len(m.Problems) > 0 && !m.Disabled
}

// bySystem is who paused an integration after an answer that only an admin can mend.
const bySystem = "system"

// urgency orders members: what fails is first.
func (m *member) urgency() int {
	if m.fails() {
		return 0
	}
	return 1 + slices.Index([]event.State{event.Degraded, event.Paused, event.Healthy, event.Idle, event.DisabledState}, m.health.State)
}

// fleet is all integrations within somebody's reach, the most urgent first, as they were a moment ago.
type fleet struct {
	at      time.Time
	stale   time.Time // when it is worth asking again
	members []member
	failing int
	states  map[event.State]int
}

// fleets keeps what was found for each reach, so that many views ask once.
type fleets struct {
	mu   sync.Mutex
	kept map[string]*fleet
}

// fleetKept is how long what nobody looks at is kept.
const fleetKept = time.Minute

// of returns the fleet that the visitor reaches, at most a second old, or more where it takes long to find.
func (f *fleets) of(v *visit) (*fleet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, now := v.Caller().Rights(), time.Now()
	if was := f.kept[key]; was != nil && now.Before(was.stale) {
		return was, nil
	}
	found, err := findFleet(v.Context(), v.Local)
	if err != nil {
		return nil, err
	}
	found.at = time.Now()
	found.stale = found.at.Add(max(liveEvery*9/10, liveShare*found.at.Sub(now)))
	for k, was := range f.kept {
		if now.Sub(was.at) > fleetKept {
			delete(f.kept, k)
		}
	}
	f.kept[key] = found
	return found, nil
}

func findFleet(ctx context.Context, l api.Local) (*fleet, error) {
	healths, err := l.Healths(ctx)
	if err != nil {
		return nil, err
	}
	integrations, err := l.Integrations(ctx, "", everything)
	if err != nil {
		return nil, err
	}
	f := &fleet{members: make([]member, 0, len(integrations)), states: map[event.State]int{}}
	names := vendorNames()
	for _, in := range integrations {
		at, ok := slices.BinarySearchFunc(healths, in.ID, func(h event.Health, id string) int { return strings.Compare(h.Integration, id) })
		m := member{Integration: in, health: event.Health{State: event.Unknown}, vendorName: cmp.Or(names[in.Vendor], in.Vendor)}
		if ok {
			m.health = healths[at]
		}
		f.members = append(f.members, m)
		f.states[m.health.State]++
		if m.fails() {
			f.failing++
		}
	}
	slices.SortStableFunc(f.members, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.urgency(), b.urgency()), strings.Compare(strings.ToLower(a.title()), strings.ToLower(b.title())))
	})
	return f, nil
}

// everything is more than there is of anything.
const everything = 1 << 30

func vendorNames() map[string]string {
	names := map[string]string{}
	for _, id := range adapter.Vendors() {
		if a, err := adapter.Lookup(id); err == nil {
			names[id] = a.Describe().Name
		}
	}
	return names
}

// failing is how many integrations fail; 0 where the visitor must not know.
func (v *visit) failing() int {
	if !v.may(access.IntegrationsRead) {
		return 0
	}
	f, err := v.admin.fleets.of(v)
	if err != nil {
		return 0
	}
	return f.failing
}

// why says what is the matter, "" where nothing is.
func (m *member) why() string {
	if len(m.Problems) > 0 && !m.Disabled {
		return "Not complete: " + m.Problems[0].Field + " " + m.Problems[0].Reason
	}
	return m.health.Reason
}

// rate is the success rate of the last minutes, where there is something to tell.
func (m *member) rate() string {
	if m.health.State == event.Idle || m.health.State == event.Unknown {
		return "–"
	}
	return percent(m.health.SuccessRate)
}
