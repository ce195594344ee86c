package actors

import (
	"slices"
	"sync/atomic"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// deliveryBag is what an integration's actor holds of the log. It outlives the actor's restarts, so
// that a panic neither loses a delivery nor changes the order.
type deliveryBag struct {
	seen         uint64 // work messages received
	incarnations uint64

	arrived []*journal.Work  // not yet taken in: oldest first
	tasks   map[uint64]*task // taken in, by arrival
	next    uint64           // the next arrival's number
	loaded  uint64           // the last park sequence taken in
	newest  uint64           // the last work queue position received

	suspended atomic.Pointer[string] // why nothing is worked on; nil when it is
}

func newDeliveryBag() *deliveryBag { return &deliveryBag{tasks: map[uint64]*task{}} }

// task is one delivery in memory, and what has been tried so far. The actor alone changes it; its
// workers get what they need by value.
type task struct {
	n        uint64
	d        *event.Delivery
	work     *journal.Work // in the work queue, or
	parkSeq  uint64        // in the park
	attempts []event.Attempt
	pending  int  // how many of the last attempts are not recorded yet
	made     int  // attempts made
	spent    int  // attempts that count against the retry policy
	instead  bool // the body was replaced on the vendor's word, once
	quiet    bool // it is counted as in its quiet hours
	out      bool // it has left its lane and only has to leave the log
}

// attemptsKept bounds what a dead letter tells of a delivery that waited through a long outage.
const attemptsKept = 20

func (t *task) tried(a event.Attempt, recorded bool) {
	t.made++
	t.attempts = append(t.attempts, a)
	if recorded {
		t.pending = 0
	} else {
		t.pending++
	}
	if extra := len(t.attempts) - attemptsKept; extra > 0 {
		t.attempts = slices.Delete(t.attempts, 0, extra)
		t.pending = min(t.pending, len(t.attempts))
	}
}

// unrecorded returns the attempts that the next record has to tell of.
func (t *task) unrecorded() []event.Attempt {
	return slices.Clone(t.attempts[len(t.attempts)-t.pending:])
}

// add takes a delivery in.
func (b *deliveryBag) add(t *task) *task {
	b.next++
	t.n = b.next
	b.tasks[t.n] = t
	return t
}

// fromPark is how many of the tasks are in the park.
func (b *deliveryBag) fromPark() (n uint64) {
	for _, t := range b.tasks {
		if t.work == nil {
			n++
		}
	}
	return n
}

// inOrder returns the tasks by arrival.
func (b *deliveryBag) inOrder() []*task {
	all := make([]*task, 0, len(b.tasks))
	for _, t := range b.tasks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(x, y *task) int {
		if x.n < y.n {
			return -1
		}
		return 1
	})
	return all
}
