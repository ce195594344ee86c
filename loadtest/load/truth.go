package load

import (
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// truth is what clients were told, and what vendors and clients got.
type truth struct {
	plan  *plan
	begun time.Time

	byDelivery map[string]due // by the delivery's id
	byEvent    map[string]int // arrivals by the log's id and channel
	arrived    chan struct{}  // gets something when something came

	mu        sync.Mutex
	ops       []checker.Op // in the order of the answers
	of        []int        // the arrival of each
	calls     []call
	sightings []checker.Sighting
	seen      []int // the arrival of each sighting; -1: of none
	dead      []checker.Receipt
	ends      map[string]end // of the dead ones, by delivery
	strange   []string
	accepted  map[int]bool            // arrivals
	got       map[string]bool         // deliveries that vendors took, or that were given up
	viewers   map[int]map[string]bool // clients that saw it, of each arrival
	owed      int                     // deliveries that follow from accepted arrivals, and were neither taken nor given up
	unseen    int                     // sightings that must follow from accepted arrivals
	windows   []checker.Window
	breakers  []change
	deaths    []*Death
	over      bool // the run is: nothing more is noted, and all may be read
}

// due is a delivery that follows from an arrival.
type due struct {
	arrival     int
	integration string
	vendor      string
}

// call is one that a vendor got.
type call struct {
	due
	receipt checker.Receipt
	ended   time.Time
	taken   bool
}

// change is one of an integration's state.
type change struct {
	at          time.Time
	integration string
	vendor      string
	state       event.State
}

// end is when and why a delivery died.
type end struct {
	at  time.Time
	why string
}

func newTruth(pl *plan) *truth {
	t := &truth{
		plan: pl, byDelivery: map[string]due{}, byEvent: map[string]int{}, arrived: make(chan struct{}, 1),
		accepted: map[int]bool{}, got: map[string]bool{}, viewers: map[int]map[string]bool{},
	}
	vendorOf := map[string]string{}
	for _, in := range pl.people.integrations {
		vendorOf[in.id] = in.vendor
	}
	for i, a := range pl.arrivals {
		t.byEvent[a.channel+" "+a.id] = i
		for _, id := range a.to {
			t.byDelivery[event.DeliveryID(a.channel, a.id, id)] = due{i, id, vendorOf[id]}
		}
	}
	return t
}

func (t *truth) wake() {
	select {
	case t.arrived <- struct{}{}:
	default:
	}
}

// published notes how a publish ended.
func (t *truth) published(i int, op checker.Op) {
	a := &t.plan.arrivals[i]
	t.mu.Lock()
	defer t.mu.Unlock()
	op.To = a.to
	t.ops, t.of = append(t.ops, op), append(t.of, i)
	if op.Outcome != checker.Accepted {
		return
	}
	t.accepted[i] = true
	for _, id := range a.to {
		if !t.got[event.DeliveryID(a.channel, a.id, id)] { // a vendor may be faster than the answer
			t.owed++
		}
	}
	t.unseen += len(t.plan.people.watchers[a.channel]) - len(t.viewers[i])
}

// received notes a call that a vendor got. It is the simulators' Notify.
func (t *truth) received(r vendors.Receipt) {
	defer t.wake()
	t.mu.Lock()
	defer t.mu.Unlock()
	d, ok := t.byDelivery[r.ID]
	switch {
	case t.over:
	case !ok && r.Taken:
		t.strange = append(t.strange, r.Vendor+" took "+r.ID+", which nobody is owed")
	case !ok:
		// A part of a mail, or a call that was cut off before it said what it is.
	default:
		a := &t.plan.arrivals[d.arrival]
		t.calls = append(t.calls, call{d, checker.Receipt{
			Integration: d.integration, Channel: a.channel, EventID: a.id, DeliveryID: r.ID, At: r.At,
		}, time.Now(), r.Taken})
		if r.Taken && !t.got[r.ID] {
			t.got[r.ID] = true
			if t.accepted[d.arrival] {
				t.owed--
			}
		}
	}
}

// saw notes an event that a client got.
func (t *truth) saw(client, channel, id string, seq uint64) {
	defer t.wake()
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	i, ok := t.byEvent[channel+" "+id]
	if !ok {
		i = -1
	}
	t.sightings = append(t.sightings, checker.Sighting{Subscriber: client, Channel: channel, EventID: id, Seq: seq, At: now})
	t.seen = append(t.seen, i)
	if i < 0 || t.viewers[i][client] { // of none, or it sees it again
		return
	}
	if t.viewers[i] == nil {
		t.viewers[i] = map[string]bool{}
	}
	t.viewers[i][client] = true
	if t.accepted[i] {
		t.unseen--
	}
}

// turned notes that an integration's state changed.
func (t *truth) turned(h event.Health) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.breakers = append(t.breakers, change{time.Now(), h.Integration, h.Vendor, h.State})
}

func (t *truth) broken(w checker.Window) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.windows = append(t.windows, w)
}

func (t *truth) note(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.strange = append(t.strange, text)
	}
}

// died notes deliveries that were given up.
func (t *truth) died(dead []checker.Receipt, ends map[string]end) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, d := range dead {
		if t.got[d.DeliveryID] {
			continue
		}
		t.got[d.DeliveryID] = true // nobody waits for it any more
		if t.accepted[t.byDelivery[d.DeliveryID].arrival] {
			t.owed--
		}
	}
	t.dead, t.ends = dead, ends
}

// close has nothing more noted.
func (t *truth) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// standing is where a run stands.
type standing struct {
	answered, calls, owed, unseen, dead, seen int
}

func (t *truth) standing() standing {
	t.mu.Lock()
	defer t.mu.Unlock()
	return standing{answered: len(t.ops), calls: len(t.calls), owed: t.owed, unseen: t.unseen, dead: len(t.dead), seen: len(t.sightings)}
}

// history is all of it, and what the log has, for the checker.
func (t *truth) history(logs map[string][]checker.Entry) *checker.History {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &checker.History{
		Ops: t.ops, Sightings: t.sightings, Dead: t.dead, Faults: t.windows, Logs: logs,
		Routes: map[string][]string{}, Watchers: t.plan.people.watchers,
	}
	for _, c := range t.calls {
		if c.taken {
			h.Receipts = append(h.Receipts, c.receipt)
		}
	}
	return h
}
