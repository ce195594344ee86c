package api

import (
	"context"
	"maps"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// What a key does not reach (package access says what it does) is answered as what does not exist.
// Ids are chosen by the node where a bound key makes something, so that none can be found taken.

// reachable reports whether an integration is there and within the caller's reach.
func (a *API) reachable(c caller, id string) bool {
	if !c.Bound() {
		return true
	}
	e, ok := a.cfg.Integrations.Lookup(id)
	return ok && c.Owns(e.Integration.Owner)
}

// own returns what is the caller's, or nil where that is everything.
func (a *API) own(c caller) *analytics.Own {
	if !c.Bound() {
		return nil
	}
	own := &analytics.Own{Actors: []string{c.Actor()}}
	for _, in := range a.cfg.Integrations.Integrations() {
		if c.Owns(in.Owner) {
			own.Integrations = append(own.Integrations, in.ID)
			own.Actors = append(own.Actors, "webhook:"+in.ID)
		}
	}
	for _, m := range a.cfg.Mappings.Mappings() {
		if a.reachesMapping(c, &m) {
			own.Mappings = append(own.Mappings, m.ID)
		}
	}
	for _, k := range a.cfg.Keys.Keys(c.Caller) {
		own.Keys = append(own.Keys, k.ID)
		own.Actors = append(own.Actors, k.Actor())
	}
	return own
}

// reachesMapping reports whether a mapping is within the caller's reach.
func (a *API) reachesMapping(c caller, m *event.Mapping) bool {
	return a.mappingProblem(c, m) == nil
}

// mappingProblem returns what keeps the caller from making a mapping. Whom a category means is not for
// a bound one to say.
func (a *API) mappingProblem(c caller, m *event.Mapping) error {
	if !c.Covers(m.Pattern, nil) {
		return problem.New(problem.MappingInvalid, "pattern: the API key does not reach all of %.300q", m.Pattern)
	}
	if !c.Bound() {
		return nil
	}
	for i, t := range m.Targets {
		switch {
		case t.Category != "":
			return problem.New(problem.MappingInvalid, "targets[%d]: an API key that is bound to an owner names integrations, not categories", i)
		case !a.reachable(c, t.Integration):
			return problem.New(problem.MappingInvalid, "targets[%d]: there is no integration %.80q", i, t.Integration)
		}
	}
	return nil
}

// settle gives an integration that the caller stores to their owner, and refuses a channel that they
// do not reach: its vendor's webhooks would be published there.
func settle(c caller, in *event.Integration) error {
	owner := c.Owner()
	for name, v := range in.Owner {
		if own, bound := owner[name]; bound && v != own {
			return problem.New(problem.IntegrationInvalid, "owner: the API key is bound to %s=%s", name, own)
		}
	}
	if c.Bound() {
		maps.Copy(owner, in.Owner)
		in.Owner = owner
	}
	if in.Channel != "" && !c.Covers(in.Channel, in.Owner) {
		return problem.New(problem.IntegrationInvalid, "channel: the API key does not reach all of %.300q", in.Channel)
	}
	return nil
}

// reachChannel returns a problem unless the channel is within the caller's reach. It is the same
// whether there is anything on the channel or not.
func reachChannel(c *access.Caller, channel string) error {
	if c.Reaches(channel) {
		return nil
	}
	return problem.New(problem.ChannelOutOfReach, "the API key does not reach the channel %.300q", channel)
}

// allOwners refuses a caller who is bound to an owner what is about all of them.
func allOwners(ctx context.Context, what string) error {
	if callerOf(ctx).Bound() {
		return problem.New(problem.OwnerBound, "%s, and the API key is bound to an owner", what)
	}
	return nil
}
