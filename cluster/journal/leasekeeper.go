package journal

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// never is long enough to wait for what happens otherwise.
const never = time.Duration(math.MaxInt64)

// keep renews this node's session while it holds or claims anything: every third of the TTL, so that one
// renewal may be lost and the next one be late.
func (l *Leases) keep(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var due time.Duration
	for valid := false; ; {
		if l.used() && l.now() >= due {
			again := l.renew(ctx)
			if due = never; again < never {
				due = l.now() + again
			}
		}
		left := l.left()
		if was := valid; was != (left > 0) {
			valid = !was
			l.changed.notify()
		}
		wait := never
		if l.used() {
			wait = due - l.now()
		}
		if left > 0 {
			wait = min(wait, left)
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (l *Leases) wakeKeeper() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// used reports whether there is anything to keep a session for.
func (l *Leases) used() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view.ready && len(l.held)+len(l.claiming) > 0
}

// renew begins this node's session, or renews it, and returns when to do it again.
func (l *Leases) renew(ctx context.Context) (again time.Duration) {
	limit := l.ttl / 2
	if left := l.left(); left > 0 {
		limit = min(limit, left)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l.mu.Lock()
	number, revision := l.session, l.revision
	if number == 0 {
		number, revision = l.view.last(l.node)+1, l.view.sessions[l.node].revision
	}
	l.mu.Unlock()
	key, sent := sessionPrefix+l.node, l.now()
	revision, err := l.write(ctx, key, session{V: event.Version, Number: number, TTL: event.Duration(l.ttl)}, revision)
	switch {
	case err == nil:
		l.renewed(number, revision, sent)
		if l.alone {
			return never
		}
		l.tidy(ctx)
		return sent + l.ttl/3 - l.now()
	case errors.Is(err, ErrConflict):
		l.look(ctx, key) // it may be a renewal whose answer was lost; saw tells
	case l.left() > 0 && l.j.alive() == nil:
		l.log.Debug().Err(err).Dur("left", l.left()).Msg("renewing the leases failed; trying again")
	}
	return l.ttl / 16
}

// renewed has the leases be valid for the TTL from when the renewal was sent.
func (l *Leases) renewed(number, revision uint64, sent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.view.sessions[l.node].Number != number {
		return // it was ended meanwhile
	}
	until, before := sent+l.ttl, time.Duration(l.until.Load())
	if l.alone {
		until = never
	}
	l.session, l.revision = number, max(l.revision, revision)
	lapsed := before <= l.now()
	if lapsed && before > 0 && len(l.held) > 0 {
		l.log.Warn().Dur("for", l.now()-before).Msg("leases were not valid, since the log took no renewal in time; nobody claimed them, and work goes on")
	}
	l.until.Store(int64(until))
	if lapsed {
		l.changed.notify()
	}
}

// sawOwn takes note of this node's session as the log has it. The caller holds mu.
func (l *Leases) sawOwn() {
	seen := l.view.sessions[l.node]
	switch {
	case l.session == 0:
	case seen.Number == l.session:
		l.revision = max(l.revision, seen.revision)
	case seen.Number > l.session:
		l.log.Error().Int("leases", len(l.held)).Msg("another node has ended this one's leases, since they were not renewed; they are claimed again")
		l.until.Store(0)
		l.session, l.revision = 0, 0
		for _, lease := range l.held {
			lease.lose()
		}
		l.changed.notify()
	}
}

// tidy gives back what the log has as this node's and nobody here holds: a claim, or a lease given back, whose
// answer was lost.
func (l *Leases) tidy(ctx context.Context) {
	l.mu.Lock()
	left := map[string]claim{}
	for name, c := range l.view.claims {
		if c.Holder == l.node && c.Session == l.session && l.held[name] == nil && l.claiming[name] == 0 {
			left[name] = c
		}
	}
	l.mu.Unlock()
	for name, c := range left {
		if l.giveBack(ctx, name, c) != nil {
			return // with the next renewal
		}
	}
}
