package registry

import "github.com/wedsync/wedsync/actors/event"

// Concerns returns what tells whether an event is about a wedding: by what it says itself, or by its
// channel, where a mapping captures the couple from that.
func (r *Registry) Concerns(wedding string) func(*event.Event) bool {
	var patterns []event.Pattern
	for _, m := range r.Mappings() {
		if p, err := event.ParsePattern(m.Pattern); err == nil {
			patterns = append(patterns, p)
		}
	}
	return func(ev *event.Event) bool {
		if WeddingID(ev, nil) == wedding {
			return true
		}
		for _, p := range patterns {
			if vars, ok := p.Match(ev.Channel); ok && (vars["weddingId"] == wedding || vars["coupleId"] == wedding) {
				return true
			}
		}
		return false
	}
}
