package admin

import (
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
)

func (a *Admin) routeOverview(s *site) {
	s.page(page{path: home, name: "Overview", icon: "overview", scope: access.IntegrationsRead, show: a.overview})
}

// shownAtOnce is how many integrations one page of the overview has.
const shownAtOnce = 50

// overview is what the page shows: of the fleet, those that are searched for.
type overview struct {
	fleet   *fleet
	search  string
	state   string // one of event.State, "failing", or ""
	vendor  string
	found   int
	members []*member // of this page
	page    int       // from 1
	pages   int
}

// failingState is the filter of what fails, in whichever state.
const failingState = "failing"

func (a *Admin) overview(v *visit) (screen, error) {
	f, err := v.fleet()
	if err != nil {
		return screen{}, err
	}
	o := overview{fleet: f, search: strings.TrimSpace(v.query("q")), state: v.query("state"), vendor: v.query("vendor")}
	o.find(v.query("page"))
	s := screen{title: "Overview", live: []part{{"fleet", fleetTable(v, o)}, {"states", stateFilter(o)}}}
	var numbers templ.Component = templ.NopComponent
	if v.may(access.DeliveriesRead) {
		numbers = overviewNumbers(o.fleet, v.pace(), v.budget())
		s.live = append(s.live, part{"numbers", numbers})
	}
	s.body = overviewBody(v, o, numbers)
	return s, nil
}

// find fills in what the search selects.
func (o *overview) find(page string) {
	words := wordsOf(o.search)
	var found []*member
	for i := range o.fleet.members {
		if m := &o.fleet.members[i]; o.selects(m, words) {
			found = append(found, m)
		}
	}
	o.found = len(found)
	o.pages = max(1, (len(found)+shownAtOnce-1)/shownAtOnce)
	o.page, _ = strconv.Atoi(page)
	o.page = min(max(o.page, 1), o.pages)
	from := (o.page - 1) * shownAtOnce
	o.members = found[from:min(from+shownAtOnce, len(found))]
}

func (o *overview) selects(m *member, words []string) bool {
	if o.vendor != "" && m.Vendor != o.vendor {
		return false
	}
	if o.state == failingState && !m.fails() || o.state != failingState && o.state != "" && string(m.health.State) != o.state {
		return false
	}
	return len(words) == 0 || hasAll(m.ID+" "+m.Name+" "+m.vendorName+" "+string(m.Category)+" "+ownerText(m.Owner), words)
}

// url is the overview with another state or page.
func (o *overview) url(state string, page int) string {
	q := map[string]string{"q": o.search, "state": state, "vendor": o.vendor}
	if page > 1 {
		q["page"] = strconv.Itoa(page)
	}
	return address(home, q)
}

// states are the filters, in the order of their urgency.
func (o *overview) states() []event.State {
	return []event.State{event.Open, event.Suspended, event.Unknown, event.Degraded, event.Paused, event.Healthy, event.Idle, event.DisabledState}
}
