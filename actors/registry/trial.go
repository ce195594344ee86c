package registry

import "github.com/wedsync/wedsync/actors/event"

// Trial is a mapping that is not stored, to see what it would do in the place of the stored one of its
// id, or beside the others. It is safe for concurrent use.
type Trial struct {
	registry *Registry
	id       string
	pattern  node
}

// Try returns a trial of the mapping, or an *InvalidError as PutMapping does.
func (r *Registry) Try(m event.Mapping) (*Trial, error) {
	m.V = event.Version
	route, err := checkMapping(m, r.vendorOf)
	if err != nil {
		return nil, err
	}
	t := &Trial{registry: r, id: m.ID}
	t.pattern.insert(route)
	return t, nil
}

// Resolve is Registry.Resolve as it would be if the mapping were stored.
func (t *Trial) Resolve(ev *event.Event) []Match {
	chosen, _ := t.registry.explain(ev, t)
	return chosen
}

// among returns the routes with the trial's own, if that selects the event too, in the stored one's place.
func (t *Trial) among(routes []*route, segments []string, eventType string) []*route {
	all := t.pattern.match(segments, eventType, nil)
	for _, r := range routes {
		if r.mapping.ID != t.id {
			all = append(all, r)
		}
	}
	return all
}
