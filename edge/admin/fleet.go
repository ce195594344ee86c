package admin

import (
	"cmp"
	"slices"
	"strings"

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
		if m.Paused != nil { // and not for what is incomplete
			return m.Paused.By == bySystem
		}
	}
	return m.incomplete()
}

// bySystem is who paused an integration after an answer that only an admin can mend.
const bySystem = "system"

// incomplete reports whether it cannot be connected as it is.
func (m *member) incomplete() bool { return len(m.Problems) > 0 && !m.Disabled }

// urgency orders members: what fails is first, and before all what has failed since it worked.
func (m *member) urgency() int {
	switch {
	case m.fails() && !m.incomplete():
		return 0
	case m.fails():
		return 1
	}
	return 2 + slices.Index([]event.State{event.Degraded, event.Paused, event.Healthy, event.Idle, event.DisabledState}, m.health.State)
}

// fleet is all integrations within somebody's reach, the most urgent first, as they were a moment ago.
type fleet struct {
	members []member
	vendors []vendor // that they have, by name
	failing int
	states  map[event.State]int
}

type vendor struct{ id, name string }

func findFleet(v *visit) (*fleet, error) {
	healths, err := v.Healths(v.Context())
	if err != nil {
		return nil, err
	}
	integrations, err := v.Integrations(v.Context(), "", everything)
	if err != nil {
		return nil, err
	}
	f := &fleet{members: make([]member, 0, len(integrations)), states: map[event.State]int{}}
	names, has := vendorNames(), map[string]bool{}
	for _, in := range integrations {
		at, ok := slices.BinarySearchFunc(healths, in.ID, func(h event.Health, id string) int { return strings.Compare(h.Integration, id) })
		m := member{Integration: in, health: event.Health{State: event.Unknown}, vendorName: cmp.Or(names[in.Vendor], in.Vendor)}
		if ok {
			m.health = healths[at]
		}
		if !has[in.Vendor] {
			has[in.Vendor] = true
			f.vendors = append(f.vendors, vendor{in.Vendor, m.vendorName})
		}
		f.members = append(f.members, m)
		f.states[m.health.State]++
		if m.fails() {
			f.failing++
		}
	}
	slices.SortFunc(f.vendors, func(a, b vendor) int { return strings.Compare(a.name, b.name) })
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

// fleet is what the visitor reaches, a second old at most, or more where there are very many.
func (v *visit) fleet() (*fleet, error) { return v.admin.fleets.of(v, liveEvery, findFleet) }

// failing is how many integrations fail; 0 where the visitor must not know.
func (v *visit) failing() int {
	if !v.may(access.IntegrationsRead) {
		return 0
	}
	f, err := v.fleet()
	if err != nil {
		return 0
	}
	return f.failing
}

// why says what is the matter, "" where nothing is.
func (m *member) why() string {
	switch {
	case m.incomplete():
		return m.Problems[0].Field + " " + m.Problems[0].Reason
	case m.health.State == event.DisabledState:
		return "" // that says all
	}
	return reasonText(m.health.Reason)
}

// rate is the success rate of the last minutes, "" where there is nothing to tell.
func (m *member) rate() string {
	switch m.health.State {
	case event.Idle, event.Unknown, event.DisabledState:
		return ""
	}
	return percent(m.health.SuccessRate)
}
