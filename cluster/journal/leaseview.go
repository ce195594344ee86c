package journal

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// sessionPrefix begins the keys of sessions in the bucket of leases; the node's name follows. All other keys
// are names of leases.
const sessionPrefix = "node."

// claim is what the bucket says of a lease.
type claim struct {
	V       int    `json:"v"`
	Holder  string `json:"holder"`  // "" when it was released
	Session uint64 `json:"session"` // of the holder's, under which it is held
	Epoch   uint64 `json:"epoch"`

	revision uint64
	seen     time.Duration // when that revision was first seen
}

// session is a time in which a node holds leases. A higher number means that all before are over; one is
// ended by another node by giving it the next number.
type session struct {
	V      int            `json:"v"`
	Number uint64         `json:"session"`
	TTL    event.Duration `json:"ttl"` // how long after a renewal its leases are valid

	revision uint64
	seen     time.Duration
}

// leaseView is what a node knows of the bucket of leases. The latest of each key counts, in whatever order
// they are seen.
type leaseView struct {
	ready    bool // everything there was has been seen
	claims   map[string]claim
	sessions map[string]session
}

func newLeaseView() leaseView {
	return leaseView{claims: map[string]claim{}, sessions: map[string]session{}}
}

// see takes note of a key's value and reports whether anything else than the time of a renewal is new. What
// cannot be read is as good as nothing: whoever wrote it cannot renew it.
func (v *leaseView) see(c Change, now time.Duration) (news bool, err error) {
	if node, ok := strings.CutPrefix(c.Key, sessionPrefix); ok {
		old := v.sessions[node]
		if c.Revision <= old.revision {
			return false, nil
		}
		s := session{}
		if !c.Deleted {
			if err = json.Unmarshal(c.Data, &s); err != nil {
				s = session{Number: old.Number}
			}
		}
		s.revision, s.seen = c.Revision, now
		v.sessions[node] = s
		return s.Number != old.Number, err
	}
	if c.Revision <= v.claims[c.Key].revision {
		return false, nil
	}
	n := claim{}
	if !c.Deleted {
		if err = json.Unmarshal(c.Data, &n); err != nil {
			n = claim{}
		}
	}
	n.revision, n.seen = c.Revision, now
	v.claims[c.Key] = n
	return true, err
}

// free reports whether a claim is over, for a node of that name.
func (v *leaseView) free(c claim, self string) bool {
	return c.Holder == "" || c.Holder == self || v.sessions[c.Holder].Number > c.Session
}

// ends is when the session of a claim's holder may be ended, unless it is renewed until then: after the holder's
// TTL, or this one where it is not known, and a tenth more for clocks that do not run alike.
func (v *leaseView) ends(c claim, ttl time.Duration) time.Duration {
	seen := c.seen
	if s, ok := v.sessions[c.Holder]; ok {
		seen = s.seen
		if s.TTL > 0 {
			ttl = time.Duration(s.TTL)
		}
	}
	return seen + ttl + ttl/10
}

// last is the highest number of a node's sessions that is known of.
func (v *leaseView) last(node string) uint64 {
	n := v.sessions[node].Number
	for _, c := range v.claims {
		if c.Holder == node {
			n = max(n, c.Session)
		}
	}
	return n
}
