package delivery

import (
	"sync"
	"time"
)

// promiseTerm is how long a woken integration may take to answer before its slot goes to the next.
const promiseTerm = time.Second

// Gate hands out the node's call slots to integrations, so that none can take them from the others:
// an integration may take a slot only while it has fewer in flight than are free. One hog then ends
// at half of the slots, n hogs at capacity/(n+1) each, and as many are left.
//
// An integration that is refused stands in line from then on, once. When slots come free, those in
// line that may have one are woken in turn; each wake-up comes with the promise of a slot, which no
// newcomer can snatch. Whoever is woken answers with TryAcquire or, if it has nothing to start any
// more, with Leave; without an answer the promise lapses after a second.
//
//	if gate.TryAcquire(id, limit) { start the call, and Release(id) when it has ended }
//	else                          { gate.Wait(id, wake) } // wake: try again
//	nothing to start (any more):  gate.Leave(id)          // at any time, in line or not
//
// Gate is safe for concurrent use. It keeps nothing of integrations that have no call in flight and
// do not stand in line.
type Gate struct {
	mu       sync.Mutex
	capacity int
	taken    int
	guests   map[string]*guest
	waiting  guestList // in line, the longest first
	woken    guestList // promised a slot each, the oldest promise first
}

// guest is what the gate knows of an integration.
type guest struct {
	id       string
	inFlight int
	limit    int // of the last TryAcquire; 0: none
	wake     func()
	wokenAt  time.Time
	list     *guestList // the one it is on, or nil
	before   *guest
	after    *guest
}

// NewGate returns a gate with so many slots; 0 or less is 100.
func NewGate(capacity int) *Gate {
	if capacity <= 0 {
		capacity = 100
	}
	return &Gate{capacity: capacity, guests: make(map[string]*guest)}
}

// TryAcquire takes a slot for an integration if it may have one, and reports whether it did. It may
// if it has fewer calls in flight than there are slots that are neither taken nor promised to
// others, and fewer than limit, where 0 is no limit. If it may not, it stands in line; see Wait.
func (g *Gate) TryAcquire(id string, limit int) bool {
	var wakes wakeList
	defer wakes.run() // after the lock is let go
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lapse(&wakes)
	v := g.guest(id)
	v.limit = limit
	if v.list == &g.woken {
		g.woken.remove(v)
	}
	if !g.mayTake(v) {
		if v.list == nil {
			g.waiting.push(v)
		}
		g.promise(&wakes) // what was promised to v, if anything, is free again
		return false
	}
	if v.list != nil {
		v.list.remove(v)
	}
	v.wake = nil
	v.inFlight++
	g.taken++
	return true
}

// Release gives back a slot that the integration took. Without one it does nothing.
func (g *Gate) Release(id string) {
	var wakes wakeList
	defer wakes.run()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lapse(&wakes)
	v := g.guests[id]
	if v == nil || v.inFlight == 0 {
		return
	}
	v.inFlight--
	g.taken--
	g.promise(&wakes)
	g.forget(v)
}

// Wait has wake called once, when the integration may try again: from a later call of any method by
// any goroutine, or at once if its turn has come since it was refused. wake must not block, and the
// caller must hold no lock that wake takes. A second Wait takes the place of the first.
func (g *Gate) Wait(id string, wake func()) {
	var wakes wakeList
	defer wakes.run()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lapse(&wakes)
	v := g.guest(id)
	if v.list == &g.woken {
		wakes.add(wake)
		return
	}
	v.wake = wake
	if v.list == nil {
		g.waiting.push(v)
		g.promise(&wakes)
	}
}

// Leave takes the integration out of the line and lets go of the slot it was promised, if any. The
// slots it took stay taken. Call it when there is nothing to start, or the integration ends.
func (g *Gate) Leave(id string) {
	var wakes wakeList
	defer wakes.run()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lapse(&wakes)
	v := g.guests[id]
	if v == nil || v.list == nil {
		return
	}
	v.list.remove(v)
	v.wake = nil
	g.promise(&wakes)
	g.forget(v)
}

// InUse returns the number of slots taken.
func (g *Gate) InUse() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.taken
}

// Waiting returns the number of integrations in line.
func (g *Gate) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.n
}

// guest returns what is known of an integration.
func (g *Gate) guest(id string) *guest {
	v := g.guests[id]
	if v == nil {
		v = &guest{id: id}
		g.guests[id] = v
	}
	return v
}

// forget drops an integration of which nothing needs to be known.
func (g *Gate) forget(v *guest) {
	if v.inFlight == 0 && v.list == nil {
		delete(g.guests, v.id)
	}
}

// open is the number of slots that are neither taken nor promised.
func (g *Gate) open() int { return g.capacity - g.taken - g.woken.n }

func (g *Gate) mayTake(v *guest) bool {
	return v.inFlight < g.open() && (v.limit <= 0 || v.inFlight < v.limit)
}

// promise wakes those in line that may take a slot. Who stands in line and may not has a call in
// flight itself, or nothing is open, so that it looks at no more than capacity of them in vain.
func (g *Gate) promise(wakes *wakeList) {
	for v := g.waiting.first; v != nil && g.open() > 0; {
		next := v.after
		if g.mayTake(v) {
			g.waiting.remove(v)
			g.woken.push(v)
			v.wokenAt = time.Now()
			wakes.add(v.wake)
			v.wake = nil
		}
		v = next
	}
}

// lapse takes back the promises that were not answered in time.
func (g *Gate) lapse(wakes *wakeList) {
	if g.woken.first == nil {
		return
	}
	lapsed := false
	for now := time.Now(); g.woken.first != nil && now.Sub(g.woken.first.wokenAt) > promiseTerm; lapsed = true {
		v := g.woken.first
		g.woken.remove(v)
		g.forget(v)
	}
	if lapsed {
		g.promise(wakes)
	}
}

// wakeList collects what to call once the lock is let go.
type wakeList []func()

func (w *wakeList) add(wake func()) {
	if wake != nil {
		*w = append(*w, wake)
	}
}

func (w *wakeList) run() {
	for _, wake := range *w {
		wake()
	}
}

// guestList is a doubly linked list.
type guestList struct {
	first, last *guest
	n           int
}

func (l *guestList) push(v *guest) {
	v.list, v.before, v.after = l, l.last, nil
	if l.last == nil {
		l.first = v
	} else {
		l.last.after = v
	}
	l.last = v
	l.n++
}

func (l *guestList) remove(v *guest) {
	if v.before == nil {
		l.first = v.after
	} else {
		v.before.after = v.after
	}
	if v.after == nil {
		l.last = v.before
	} else {
		v.after.before = v.before
	}
	v.list, v.before, v.after = nil, nil, nil
	l.n--
}
