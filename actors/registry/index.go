package registry

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"weak"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// index is what the registry knows. Its methods that change it want it to themselves; those that
// read it may run side by side. It is a plain value: the registry has the lock.
type index struct {
	sealer *Sealer
	names  map[string]string // one copy of each vendor and category, read only

	integrations map[string]*slot
	groups       map[string][]*slot // by groupKey
	mappings     map[string]*route
	patterns     node
}

// slot is what is held of one integration id: its configuration, its secrets, or both.
type slot struct {
	id              string
	data            []byte // the configuration as it is stored; nil: only secrets are known
	revision        uint64
	sealed          []byte // nil: no secrets
	secretsRevision uint64
	group           string // key of the group it is in
	at              int    // its place there
	// What was decoded, for as long as somebody uses it: an integration's actor keeps its own, and a
	// hundred thousand that are at rest take no room.
	entry atomic.Pointer[weak.Pointer[Entry]]
}

func newIndex(sealer *Sealer) *index {
	names := map[string]string{}
	for _, v := range adapter.Vendors() {
		names[v] = v
	}
	for _, c := range event.Categories() {
		names[string(c)] = string(c)
	}
	return &index{
		sealer: sealer, names: names,
		integrations: map[string]*slot{},
		groups:       map[string][]*slot{},
		mappings:     map[string]*route{},
	}
}

// entry returns the integration, decoded unless somebody uses it already; nil if there is none.
func (x *index) entry(id string) *Entry {
	s := x.integrations[id]
	if s == nil || s.data == nil {
		return nil
	}
	return x.open(s)
}

func (x *index) open(s *slot) *Entry {
	known := s.entry.Load()
	if known != nil {
		if e := known.Value(); e != nil {
			return e
		}
	}
	in, err := decodeIntegration(s.id, s.data, s.revision)
	if err != nil {
		return nil // cannot be: the same bytes were decoded before they came into the index
	}
	if name, ok := x.names[in.Vendor]; ok {
		in.Vendor = name
	}
	if name, ok := x.names[string(in.Category)]; ok {
		in.Category = event.Category(name)
	}
	e := newEntry(in, x.sealer, s.sealed, s.secretsRevision)
	if w := weak.Make(e); !s.entry.CompareAndSwap(known, &w) {
		return x.open(s) // somebody was faster
	}
	return e
}

func (x *index) slot(id string) *slot {
	s := x.integrations[id]
	if s == nil {
		s = &slot{id: id}
		x.integrations[id] = s
	}
	return s
}

// putIntegration takes in what is stored; in is data, decoded. Like all that change the index, it
// reports whether that is news.
func (x *index) putIntegration(in event.Integration, data []byte) bool {
	s := x.slot(in.ID)
	if s.data != nil && s.revision == in.Revision {
		return false
	}
	group := groupKey(in.Category, in.Owner)
	if s.data != nil && s.group != group {
		x.leave(s)
	}
	if s.data == nil || s.group != group {
		x.join(s, group)
	}
	s.data, s.revision = data, in.Revision
	s.entry.Store(nil)
	return true
}

func (x *index) dropIntegration(id string) bool {
	s := x.integrations[id]
	if s == nil || s.data == nil {
		return false
	}
	x.leave(s)
	s.data, s.revision = nil, 0
	s.entry.Store(nil)
	x.forget(s)
	return true
}

// putSecrets takes in sealed secrets; nil means that there are none any more.
func (x *index) putSecrets(id string, sealed []byte, revision uint64) bool {
	s := x.slot(id)
	if s.secretsRevision == revision {
		x.forget(s)
		return false
	}
	s.sealed, s.secretsRevision = sealed, revision
	s.entry.Store(nil)
	x.forget(s)
	return true
}

// forget drops a slot that holds nothing.
func (x *index) forget(s *slot) {
	if s.data == nil && s.sealed == nil {
		delete(x.integrations, s.id)
	}
}

func (x *index) join(s *slot, group string) {
	s.group, s.at = group, len(x.groups[group])
	x.groups[group] = append(x.groups[group], s)
}

// leave fills the slot's place with the group's last, so that it costs the same in a group of 100,000.
func (x *index) leave(s *slot) {
	members := x.groups[s.group]
	last := len(members) - 1
	members[s.at] = members[last]
	members[s.at].at = s.at
	members[last] = nil
	if last == 0 {
		delete(x.groups, s.group)
	} else {
		x.groups[s.group] = members[:last]
	}
}

func (x *index) putMapping(r *route) bool {
	x.dropMapping(r.mapping.ID)
	x.mappings[r.mapping.ID] = r
	x.patterns.insert(r)
	return true
}

func (x *index) dropMapping(id string) bool {
	r := x.mappings[id]
	if r == nil {
		return false
	}
	delete(x.mappings, id)
	x.patterns.remove(r)
	return true
}

// resolve returns the integrations that an event may go to, by id, recipient and mapping, and reports
// whether expressions have a say in it; if not, each integration and recipient is there once. A trial takes the place of the
// stored mapping of its id.
func (x *index) resolve(channel, eventType string, trial *Trial) (found []Match, open bool) {
	var segmentBuf [event.MaxChannelSegments]string
	segments := split(channel, segmentBuf[:0])
	if segments == nil {
		return nil, false
	}
	var routeBuf [16]*route
	routes := x.patterns.match(segments, eventType, routeBuf[:0])
	if trial != nil {
		routes = trial.among(routes, segments, eventType)
	}
	if len(routes) == 0 {
		return nil, false
	}
	found = make([]Match, 0, 4)
	for _, r := range routes {
		found = x.follow(r, segments, eventType, found)
		open = open || r.formulas != nil
	}
	slices.SortStableFunc(found, func(a, b Match) int {
		return cmp.Or(strings.Compare(a.Entry.Integration.ID, b.Entry.Integration.ID),
			strings.Compare(a.Recipient, b.Recipient), strings.Compare(a.Mapping, b.Mapping))
	})
	if open {
		return found, true
	}
	return slices.CompactFunc(found, func(a, b Match) bool { return a.same(&b) }), false
}

// follow appends the integrations that one mapping chooses for events of a type.
func (x *index) follow(r *route, segments []string, eventType string, found []Match) []Match {
	var vars map[string]string
	var out *outcome
	if r.formulas != nil {
		out = &outcome{formulas: r.formulas}
	}
	add := func(e *Entry, target int) {
		if e == nil {
			return
		}
		if vars == nil && len(r.captures) > 0 {
			vars = make(map[string]string, len(r.captures))
			for _, c := range r.captures {
				vars[c.name] = segments[c.at]
			}
		}
		m := Match{Entry: e, Vars: vars, Mapping: r.mapping.ID, rules: r.rules[target], outcome: out}
		recipients := r.mapping.Targets[target].Recipients
		if len(recipients) == 0 {
			found = append(found, m)
		}
		for _, m.Recipient = range recipients {
			found = append(found, m)
		}
	}
	var buf [128]byte
	for i := range r.mapping.Targets {
		t := &r.mapping.Targets[i]
		if !t.Takes(eventType) {
			continue
		}
		if t.Integration != "" {
			add(x.entry(t.Integration), i)
			continue
		}
		// An integration's owner variables agree with the captured ones if they are a subset of
		// them: so look up each subset. One or two variables are usual, eight the most.
		for set := range 1 << len(r.captures) {
			key := append(buf[:0], t.Category...)
			for at, c := range r.captures {
				if set&(1<<at) != 0 {
					key = appendVar(key, c.name, segments[c.at])
				}
			}
			for _, s := range x.groups[string(key)] {
				add(x.open(s), i)
			}
		}
	}
	return found
}

// groupKey names the integrations of one category and owner.
func groupKey(c event.Category, owner map[string]string) string {
	key := []byte(c)
	for _, name := range slices.Sorted(maps.Keys(owner)) {
		key = appendVar(key, name, owner[name])
	}
	return string(key)
}

// appendVar writes one variable in a way that cannot be mistaken: neither separator may stand in a
// category, a name or a segment.
func appendVar(key []byte, name, value string) []byte {
	key = append(key, ';')
	key = append(key, name...)
	key = append(key, '=')
	return append(key, value...)
}

// split appends the segments of a channel; nil if there are more than a channel has.
func split(channel string, to []string) []string {
	for {
		head, tail, more := strings.Cut(channel, ":")
		if len(to) == event.MaxChannelSegments {
			return nil
		}
		to = append(to, head)
		if !more {
			return to
		}
		channel = tail
	}
}
