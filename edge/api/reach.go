package api

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
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

// own returns the ids of the caller's integrations, or nil where that is all.
func (a *API) own(c caller) []string {
	if !c.Bound() {
		return nil
	}
	ids := []string{}
	for _, in := range a.cfg.Integrations.Integrations() {
		if c.Owns(in.Owner) {
			ids = append(ids, in.ID)
		}
	}
	return ids
}

// ownerOf returns the owner of an integration that the caller reaches, else nil: what somebody tries on what
// is not theirs is not for its owner to know.
func (a *API) ownerOf(ctx context.Context, id string) map[string]string {
	e, err := a.entry(ctx, id)
	if err != nil {
		return nil
	}
	return maps.Clone(e.Integration.Owner)
}

// ownerOfMapping returns whose a mapping that the caller reaches is: the owner variables that the integrations of
// all its targets have, and whose values its pattern names.
func (a *API) ownerOfMapping(ctx context.Context, id string) map[string]string {
	m, err := a.mapping(ctx, id)
	if err != nil {
		return nil
	}
	var owner map[string]string
	for i, t := range m.Targets {
		e, ok := a.cfg.Integrations.Lookup(t.Integration)
		switch {
		case !ok: // a category too: whom it means changes
			return nil
		case i == 0:
			owner = maps.Clone(e.Integration.Owner)
		default:
			maps.DeleteFunc(owner, func(name, v string) bool { return e.Integration.Owner[name] != v })
		}
	}
	segments := strings.Split(m.Pattern, ":")
	maps.DeleteFunc(owner, func(_, v string) bool { return !slices.Contains(segments, v) })
	return owner
}

// onIntegration begins an action on an integration; what it returns is called in the end, and records it.
func (a *API) onIntegration(ctx context.Context, action, id string) func(detail string, err error) {
	return a.on(ctx, action, id, a.ownerOf)
}

// onMapping is onIntegration for a mapping.
func (a *API) onMapping(ctx context.Context, action, id string) func(detail string, err error) {
	return a.on(ctx, action, id, a.ownerOfMapping)
}

// on finds whose the target is before the action, after which it may be gone or another's; of a new one after it.
func (a *API) on(ctx context.Context, action, target string, ownerOf func(context.Context, string) map[string]string) func(string, error) {
	owner := ownerOf(ctx, target)
	return func(detail string, err error) {
		if owner == nil {
			owner = ownerOf(ctx, target)
		}
		a.audit(ctx, owner, action, target, detail, err)
	}
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
