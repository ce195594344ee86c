package webhook

import (
	"net/netip"
	"time"

	"github.com/wedsync/wedsync/edge/problem"
)

// refusals bounds what is done about unverified webhooks from one source: up to so many a minute get
// their own answer and an audit record, the rest a short one. Nothing is kept from those that verify.
type refusals struct {
	perMinute int
	each      *windows[netip.Addr]
	overflow  *windows[netip.Addr] // audits "too many" once a minute
}

func newRefusals(perMinute int) *refusals {
	return &refusals{perMinute: perMinute, each: newWindows[netip.Addr](time.Minute), overflow: newWindows[netip.Addr](time.Minute)}
}

// note counts a refusal and returns what it is answered, and whether to keep a record of it.
func (r *refusals) note(from netip.Addr, now time.Time, p *problem.Problem) (_ *problem.Problem, audited bool) {
	from = network(from)
	ok, after := r.each.allow(from, r.perMinute, now)
	if ok {
		return p, true
	}
	audited, _ = r.overflow.allow(from, 1, now)
	return problem.New(problem.RefusalsLimited, "more than %d webhooks within a minute from this address were refused; this one was too (%s)", r.perMinute, p.Code).
		After(after).Because(p), audited
}

// network is what counts as one source: an IPv6 customer has at least a /64 to itself.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}
