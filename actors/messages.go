package actors

import (
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster/journal"
)

// Between the feeders, the shard and its children.
type (
	eventsPulled struct{ events []*journal.RoutedEvent }
	worksPulled  struct{ works []*journal.Work }

	// askIdle asks a child that had no work for a while whether it has any left; one that has none
	// answers idle with the number of work messages it has seen, by which the shard knows that none
	// is still on its way.
	askIdle struct{}
	idle    struct {
		child *child
		seen  uint64
	}
	tick struct{}

	// resume tells that the lease is valid again: what was left meanwhile goes on.
	resume struct{}
)

// To the shard, about one integration.
type (
	// toIntegration passes a message on to the integration's actor, which is created if need be.
	toIntegration struct {
		id      string
		message any
	}
	// configChanged tells an integration's actor, if there is one, that its configuration changed.
	configChanged struct{ id string }
	// parkedFound names integrations that have deliveries waiting from before this tenure.
	parkedFound struct {
		ids []string
		err error
	}
	// survey asks every integration actor of the shard for its health.
	survey struct{ to *census }
)

// To the integration's actor.
type (
	getHealth    struct{}
	resetBreaker struct{}
	reinstate    struct{}
	wake         struct{ generation uint64 }
	slotFree     struct{}
	reload       struct{}
)

// From an actor's workers. Each carries the incarnation that sent the worker out; a later one ignores it.
type (
	routed struct {
		incarnation uint64
		noneHeld    bool
		err         error
	}
	withheld struct { // the lease was not valid any more when the call was to be made
		incarnation uint64
		task        *task
		probe       bool
	}
	attempted struct {
		incarnation uint64
		task        *task
		attempt     event.Attempt
		verdict     adapter.Verdict
		heard       bool // of the vendor
		recorded    bool
	}
	settled struct {
		incarnation uint64
		task        *task
	}
	probed struct {
		incarnation uint64
		entry       *registry.Entry // that was asked with
		outcome     event.Probe
	}
	parked struct {
		incarnation uint64
		count       int   // so many of the oldest
		err         error // why not more
	}
	unparked struct {
		incarnation uint64
		count       uint64 // in the park, when it was first looked into
		newest      uint64 // position of the newest in the work queue, then
		items       []journal.Parked
		err         error
	}
)

// Between the system, the host and its workers.
type (
	reconcile struct{}
	claimed   struct {
		shard  int
		tenure *tenure
		err    error
	}
	ended      struct{ shard int }
	handOver   struct{ deadline time.Time }
	handedOver struct{}
)
