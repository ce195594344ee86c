package access

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// Caller is who calls, and what they may do. It is immutable and safe for concurrent use.
type Caller struct {
	actor    string
	scopes   set
	owner    map[string]string
	channels []event.Pattern // only these; nil and without an owner: all
	expires  time.Time
}

// Everybody returns a caller of that name who may do everything.
func Everybody(name string) *Caller {
	return &Caller{actor: "admin:" + name, scopes: setOf(Admin)}
}

// Nobody returns a caller who may do nothing and reaches nothing.
func Nobody() *Caller { return &Caller{actor: "nobody", owner: map[string]string{"": "nobody"}} }

// Actor is the caller's name in audit records: "admin:<name>" of a configured key,
// Key.Actor of one that was made.
func (c *Caller) Actor() string { return c.actor }

// Has reports whether the caller may do that.
func (c *Caller) Has(s Scope) bool { return c.scopes.has(s) }

// Scopes returns the caller's scopes as text.
func (c *Caller) Scopes() string {
	var all []string
	for i, k := range table {
		if c.scopes&(1<<i) != 0 {
			all = append(all, string(k.Scope))
		}
	}
	return strings.Join(all, ", ")
}

// Rights tells callers apart who may do or see something else: of two with the same text, each may what the
// other may.
func (c *Caller) Rights() string {
	return fmt.Sprintf("%d %q %q", c.scopes, c.owner, c.channels) // a map is written in the order of its keys
}

// Bound reports whether the caller is bound to an owner.
func (c *Caller) Bound() bool { return len(c.owner) > 0 }

// Owner returns the owner variables that the caller is bound to, for the caller to change.
func (c *Caller) Owner() map[string]string { return maps.Clone(c.owner) }

// Owns reports whether what has these owner variables is within the caller's reach. To who is not
// bound everything is.
func (c *Caller) Owns(owner map[string]string) bool {
	for name, v := range c.owner {
		if got, ok := owner[name]; !ok || got != v {
			return false
		}
	}
	return true
}

// limited reports whether the caller reaches some channels only.
func (c *Caller) limited() bool { return c.Bound() || len(c.channels) > 0 }

// Reaches reports whether the channel is within the caller's reach.
func (c *Caller) Reaches(channel string) bool {
	return !c.limited() || slices.ContainsFunc(c.channels, func(p event.Pattern) bool {
		_, ok := p.Match(channel)
		return ok
	})
}

// Covers reports whether every channel that the pattern selects is within the caller's reach; names
// in the pattern of owner variables that are given stand for their values. What is no pattern is not.
func (c *Caller) Covers(pattern string, owner map[string]string) bool {
	if !c.limited() {
		return true
	}
	wanted, err := event.ParsePattern(fill(pattern, owner))
	return err == nil && slices.ContainsFunc(c.channels, func(p event.Pattern) bool { return p.Covers(wanted) })
}

// fill puts the values of owner variables in the places of a pattern that are named after them.
func fill(pattern string, owner map[string]string) string {
	if len(owner) == 0 {
		return pattern
	}
	segments := strings.Split(pattern, ":")
	for i, s := range segments {
		if len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}' {
			if v, ok := owner[s[1:len(s)-1]]; ok {
				segments[i] = v
			}
		}
	}
	return strings.Join(segments, ":")
}
