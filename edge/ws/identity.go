package ws

import (
	"slices"

	"github.com/wedsync/wedsync/actors/event"
)

// sender is on whose rate the client's events count: its user's, however many connections that has.
func (id *identity) sender() string {
	if id.all {
		return ""
	}
	return "client:" + id.user
}

// maySubscribe reports whether p, a channel or a pattern, lies within what the token allows.
func (id *identity) maySubscribe(p event.Pattern) bool { return id.all || within(p, id.subscribe) }

// granted is maySubscribe, also for what the server subscribes the client to by itself.
func (id *identity) granted(name string) bool {
	if _, named := id.subs[name]; named {
		return true
	}
	p, err := event.ParsePattern(name)
	return err == nil && id.maySubscribe(p)
}

// mayWatch reports whether the token allows to know who is on the channel.
func (id *identity) mayWatch(channel event.Pattern) bool {
	return id.all || within(channel, id.presence)
}

// mayPublish reports whether the token allows to publish on the channel.
func (id *identity) mayPublish(channel string) bool {
	if id.all {
		return true
	}
	for _, allowed := range id.publish {
		if _, ok := allowed.Match(channel); ok {
			return true
		}
	}
	return false
}

func within(p event.Pattern, allowed []event.Pattern) bool {
	return slices.ContainsFunc(allowed, func(a event.Pattern) bool { return a.Covers(p) })
}
