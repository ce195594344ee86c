package admin

import (
	"strings"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
)

const deliveriesPath = "/admin/deliveries"

func (a *Admin) routeDeliveries(s *site) {
	s.page(page{path: deliveriesPath, under: objectivesPath, scope: access.DeliveriesRead, show: a.deliveries})
}

// sought is which deliveries a page lists, as its address has it.
type sought struct{ api.Sought }

// filter is one thing that they are selected by.
type filter struct {
	name  string // in the address
	label string
	value *string
}

func (s *sought) filters() []filter {
	return []filter{
		{"integration", "Integration", &s.Integration},
		{"vendor", "Vendor", &s.Vendor},
		{"category", "Category", &s.Category},
		{"type", "Event type", &s.EventType},
		{"wedding", "Wedding", &s.WeddingID},
		{"channel", "Channel", &s.Channel},
		{"reason", "Reason", &s.Reason},
		{"outcome", "Ended", (*string)(&s.Outcome)},
		{"slower", "Slower than", &s.SlowerThan},
		{"since", "Since", &s.Since},
	}
}

// url is where they are listed.
func (s sought) url() string {
	q := map[string]string{"after": s.After}
	for _, f := range s.filters() {
		q[f.name] = *f.value
	}
	return address(deliveriesPath, q)
}

// with is url with something else for one filter.
func (s sought) with(name, value string) string {
	for _, f := range s.filters() {
		if f.name == name {
			*f.value = value
		}
	}
	s.After = ""
	return s.url()
}

// next is url of the page behind the cursor.
func (s sought) next(after string) string {
	s.After = after
	return s.url()
}

// deliveriesShown is how many are listed at once.
const deliveriesShown = 50

func (a *Admin) deliveries(v *visit) (screen, error) {
	s := sought{}
	for _, f := range s.filters() {
		*f.value = strings.TrimSpace(v.query(f.name))
	}
	switch s.Outcome {
	case "", event.Delivered, event.Dead, event.Skipped:
	default:
		s.Outcome = ""
	}
	s.After, s.Limit = v.query("after"), deliveriesShown
	rows, next, err := v.FindDeliveries(v.Context(), s.Sought)
	wrong := unlessOurs(err)
	if err != nil && wrong == "" {
		return screen{}, err
	}
	return screen{title: "Deliveries", body: deliveriesBody(s, rows, next, wrong)}, nil
}
