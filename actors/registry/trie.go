package registry

import (
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
)

// route is a mapping, ready to be matched.
type route struct {
	mapping  event.Mapping
	segments []string   // of the pattern
	captures []captured // sorted by name
	formulas *formulas  // nil: it has no expressions
	rules    []*rules   // of each target; nil: it has none
}

// captured says which segment of a channel a variable holds.
type captured struct {
	name string
	at   int
}

// newRoute compiles a mapping that is valid; it fails with an *ExpressionError, or an *event.FieldError.
func newRoute(m event.Mapping) (*route, error) {
	r := &route{mapping: m, segments: strings.Split(m.Pattern, ":")}
	for i, s := range r.segments {
		if s[0] == '{' {
			r.captures = append(r.captures, captured{name: s[1 : len(s)-1], at: i})
		}
	}
	slices.SortFunc(r.captures, func(a, b captured) int { return strings.Compare(a.name, b.name) })
	var err error
	if r.rules, err = newRules(&m); err != nil {
		return nil, err
	}
	r.formulas, err = compileMapping(&m, r.captures)
	return r, err
}

// types returns the event types under which the route is filed; "" stands for all.
func (r *route) types() []string {
	if len(r.mapping.Types) == 0 {
		return []string{""}
	}
	return slices.Compact(slices.Sorted(slices.Values(r.mapping.Types)))
}

// node is a place in the trie of patterns: the segments that lead to it are its path. "*" and
// {name} share one way, as they select alike.
type node struct {
	literal map[string]*node
	any     *node
	end     routes // patterns that end here
	rest    routes // patterns that go on with "**"
}

// routes are the routes of one place by event type.
type routes map[string][]*route

func (n *node) insert(r *route) {
	n.at(r.segments, func(place *routes) {
		if *place == nil {
			*place = routes{}
		}
		for _, t := range r.types() {
			(*place)[t] = append((*place)[t], r)
		}
	})
}

func (n *node) remove(r *route) {
	n.at(r.segments, func(place *routes) {
		for _, t := range r.types() {
			left := slices.DeleteFunc((*place)[t], func(x *route) bool { return x == r })
			if len(left) == 0 {
				delete(*place, t)
			} else {
				(*place)[t] = left
			}
		}
	})
}

// at calls change with the place of a pattern, made if there is none, and drops what change left
// empty on the way back.
func (n *node) at(segments []string, change func(*routes)) {
	if len(segments) == 0 {
		change(&n.end)
		return
	}
	switch s := segments[0]; {
	case s == "**":
		change(&n.rest)
	case s == "*" || s[0] == '{':
		if n.any == nil {
			n.any = &node{}
		}
		n.any.at(segments[1:], change)
		if n.any.empty() {
			n.any = nil
		}
	default:
		child := n.literal[s]
		if child == nil {
			child = &node{}
			if n.literal == nil {
				n.literal = map[string]*node{}
			}
			n.literal[s] = child
		}
		child.at(segments[1:], change)
		if child.empty() {
			delete(n.literal, s)
		}
	}
}

func (n *node) empty() bool {
	return len(n.literal) == 0 && n.any == nil && len(n.end) == 0 && len(n.rest) == 0
}

// match appends the routes that select the channel, given as its segments, and the event type.
func (n *node) match(segments []string, eventType string, to []*route) []*route {
	if len(segments) == 0 {
		return n.end.of(eventType, to)
	}
	to = n.rest.of(eventType, to)
	if child := n.literal[segments[0]]; child != nil {
		to = child.match(segments[1:], eventType, to)
	}
	if n.any != nil {
		to = n.any.match(segments[1:], eventType, to)
	}
	return to
}

func (r routes) of(eventType string, to []*route) []*route {
	if len(r) == 0 {
		return to
	}
	to = append(to, r[""]...)
	if eventType != "" {
		to = append(to, r[eventType]...)
	}
	return to
}
