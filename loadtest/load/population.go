package load

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/wedsync/wedsync/actors/event"
)

// integration is one connection with a vendor.
type integration struct {
	id, vendor string
	category   event.Category
	owner      map[string]string
}

// population is who there is in a run.
type population struct {
	run          string // all names begin with it
	couples      []couple
	suppliers    []supplier
	integrations []integration
	watchers     map[string][]string // clients by channel
	channels     [][]string          // of each client
}

type couple struct {
	id        string
	suppliers [3]int
	venue     int   // its integration with a venue's system
	own       []int // all its integrations
}

type supplier struct {
	id           string
	integrations []int
}

// weighted is a vendor, and how many of a population's suppliers have it, beside others.
type weighted struct {
	vendor   string
	category event.Category
	weight   int
}

func supplierVendors() []weighted {
	return []weighted{
		{"studiocloud", event.PhotographyCRM, 3},
		{"slack", event.SlackNotifications, 3},
		{"email", event.EmailService, 3},
		{"whatsapp", event.WhatsAppBusiness, 2},
		{"irisworks", event.PhotographyCRM, 1},
		{"shootq", event.PhotographyCRM, 1},
		{"webhook", event.ProjectManagement, 1},
	}
}

func venueVendors() []string { return []string{"venuemaster", "partyrental", "eventplanning"} }

// vendorNames are all vendors that take part.
func vendorNames() []string {
	names := venueVendors()
	for _, v := range supplierVendors() {
		names = append(names, v.vendor)
	}
	slices.Sort(names)
	return names
}

// routing are the mappings: which types go from which kind of channel to systems of which category.
func (p *population) routing() []event.Mapping {
	to := func(categories ...event.Category) (targets []event.Target) {
		for _, c := range categories {
			targets = append(targets, event.Target{Category: c})
		}
		return targets
	}
	return []event.Mapping{
		{
			ID: p.run + "-suppliers", Pattern: "supplier:dashboard:{supplierId}", Types: []string{"timeline.updated", "client.message"},
			Targets: to(event.PhotographyCRM, event.SlackNotifications, event.EmailService, event.WhatsAppBusiness, event.ProjectManagement),
		},
		{
			ID: p.run + "-venues", Pattern: "couple:updates:{coupleId}", Types: []string{"guest_count.changed", "setup.changed"},
			Targets: to(event.VenueManagement),
		},
		{
			ID: p.run + "-capacity", Pattern: "couple:updates:{coupleId}", Types: []string{"capacity.changed"},
			Targets: to(event.WhatsAppBusiness),
		},
		{
			ID: p.run + "-dates", Pattern: "journey:milestone:{coupleId}", Types: []string{"wedding.date_changed"},
			Targets: to(event.VenueManagement, event.WhatsAppBusiness),
		},
	}
}

// due are the integrations, out of those of the channel's owner, that must get an event.
func (p *population) due(routing []event.Mapping, channel, kind string, own []int) (ids []string) {
	for _, m := range routing {
		pattern, err := event.ParsePattern(m.Pattern)
		if err != nil || !slices.Contains(m.Types, kind) {
			continue
		}
		if _, ok := pattern.Match(channel); !ok {
			continue
		}
		for _, i := range own {
			in := p.integrations[i]
			if slices.ContainsFunc(m.Targets, func(t event.Target) bool { return t.Category == in.category }) {
				ids = append(ids, in.id)
			}
		}
	}
	return ids
}

// newPopulation draws a population. All of it follows from the profile, the run's name and the source of chance.
func newPopulation(c Crowd, run string, rng *rand.Rand) *population {
	p := &population{run: run, watchers: map[string][]string{}}
	for i := range c.Suppliers {
		s := supplier{id: fmt.Sprintf("%ss%d", run, i)}
		for _, v := range drawVendors(c.Integrations[0]+rng.IntN(c.Integrations[1]-c.Integrations[0]+1), rng) {
			s.integrations = append(s.integrations, p.add(s.id, v.vendor, v.category, "supplierId"))
		}
		p.suppliers = append(p.suppliers, s)
	}
	for i := range c.Couples {
		one := couple{id: fmt.Sprintf("%sc%d", run, i)}
		for k := range one.suppliers {
			one.suppliers[k] = rng.IntN(c.Suppliers)
		}
		one.venue = p.add(one.id, venueVendors()[rng.IntN(len(venueVendors()))], event.VenueManagement, "coupleId")
		one.own = []int{one.venue}
		if rng.IntN(2) == 0 {
			one.own = append(one.own, p.add(one.id, "whatsapp", event.WhatsAppBusiness, "coupleId"))
		}
		p.couples = append(p.couples, one)
	}
	p.seat(c.Clients)
	return p
}

func (p *population) add(owner, vendor string, category event.Category, variable string) int {
	p.integrations = append(p.integrations, integration{
		id: owner + "-" + vendor, vendor: vendor, category: category, owner: map[string]string{variable: owner},
	})
	return len(p.integrations) - 1
}

// drawVendors draws n different ones.
func drawVendors(n int, rng *rand.Rand) (drawn []weighted) {
	left := supplierVendors()
	for range n {
		total := 0
		for _, v := range left {
			total += v.weight
		}
		at := rng.IntN(total)
		i := slices.IndexFunc(left, func(v weighted) bool { at -= v.weight; return at < 0 })
		drawn = append(drawn, left[i])
		left = slices.Delete(left, i, i+1)
	}
	return drawn
}

// seat gives each client its channels: of ten, six belong to couples, three to suppliers, and one to a planner who
// follows forms.
func (p *population) seat(clients int) {
	const forms = 5
	for i := range clients {
		var channels []string
		n := i / 10
		switch k := i % 10; {
		case k < 6:
			id := p.couples[(n*6+k)%len(p.couples)].id
			channels = []string{"couple:updates:" + id, "journey:milestone:" + id}
		case k < 9:
			channels = []string{"supplier:dashboard:" + p.suppliers[(n*3+k-6)%len(p.suppliers)].id}
		default:
			for f := range min(forms, len(p.couples)) {
				channels = append(channels, "form:response:"+p.couples[(n*forms+f)%len(p.couples)].id)
			}
		}
		p.channels = append(p.channels, channels)
		for _, c := range channels {
			p.watchers[c] = append(p.watchers[c], clientName(i))
		}
	}
}

func clientName(i int) string { return fmt.Sprintf("client %d", i) }
