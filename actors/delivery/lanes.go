package delivery

import (
	"iter"
	"time"
)

// Lanes keeps items in order: first in, first out for each key, at most one item of a key in flight,
// and different keys side by side. A lane whose head is waiting is either ready, in a line that is
// served in turn, or held until some time. Every operation but All, Expire, Overtake and Release costs at most
// the logarithm of the number of held lanes, and a lane without items takes no memory.
//
// The zero Lanes is empty and ready for use. It is not safe for concurrent use.
type Lanes[T any] struct {
	lanes    map[string]*lane[T]
	most     int // lanes at once since the map was made
	ready    line[T]
	held     heldLanes[T]
	items    int
	inFlight int
	holds    uint64 // how many were set, to serve equal ones in order
}

// lane is one key's items.
type lane[T any] struct {
	key        string
	head, tail *laneItem[T]
	inFlight   bool // the head is; the lane is neither ready nor held
	// While held: until when, which hold it was, and where it is in the heap; index is -1 otherwise.
	until time.Time
	hold  uint64
	index int
	// While ready: the neighbours in the line.
	before, after *lane[T]
}

type laneItem[T any] struct {
	item T
	next *laneItem[T]
}

// keepMap is how many lanes the map may have had to be kept when it is empty; a map does not shrink.
const keepMap = 64

// Push puts an item at the end of a key's lane.
func (l *Lanes[T]) Push(key string, item T) {
	l.items++
	one := &laneItem[T]{item: item}
	if ln := l.lanes[key]; ln != nil {
		ln.tail.next = one
		ln.tail = one
		return
	}
	ln := &lane[T]{key: key, head: one, tail: one, index: -1}
	if l.lanes == nil {
		l.lanes = make(map[string]*lane[T])
	}
	l.lanes[key] = ln
	l.most = max(l.most, len(l.lanes))
	l.ready.push(ln)
}

// Next returns the head of the next lane that may start, lanes taking turns, and marks it in
// flight; or false when none may start now. The item may be changed through the pointer, which is
// good until Done.
func (l *Lanes[T]) Next(now time.Time) (key string, item *T, ok bool) {
	for len(l.held) > 0 && !l.held[0].until.After(now) {
		l.ready.push(l.held.remove(0))
	}
	ln := l.ready.first
	if ln == nil {
		return "", nil, false
	}
	l.ready.remove(ln)
	ln.inFlight = true
	l.inFlight++
	return ln.key, &ln.head.item, true
}

// Done removes the head of a key's lane, which is in flight. It does nothing when none is.
func (l *Lanes[T]) Done(key string) {
	ln := l.lanes[key]
	if ln == nil || !ln.inFlight {
		return
	}
	ln.inFlight = false
	l.inFlight--
	l.items--
	ln.head = ln.head.next
	l.settle(ln)
}

// settle makes a lane that is neither in flight, ready nor held ready, or removes it if it is empty.
func (l *Lanes[T]) settle(ln *lane[T]) {
	if ln.head != nil {
		l.ready.push(ln)
		return
	}
	delete(l.lanes, ln.key)
	if len(l.lanes) == 0 && l.most > keepMap {
		l.lanes, l.most = nil, 0
	}
}

// Hold puts a key's head back to waiting, if it was in flight, and holds its lane until then; the
// zero time holds nothing, so that the lane waits for its turn. A hold takes the place of an earlier one.
func (l *Lanes[T]) Hold(key string, until time.Time) {
	ln := l.lanes[key]
	switch {
	case ln == nil:
		return
	case ln.inFlight:
		ln.inFlight = false
		l.inFlight--
	case ln.index >= 0:
		l.held.remove(ln.index)
	default:
		if until.IsZero() {
			return // ready already; it keeps its place
		}
		l.ready.remove(ln)
	}
	if until.IsZero() {
		l.ready.push(ln)
		return
	}
	l.holds++
	ln.until, ln.hold = until, l.holds
	l.held.push(ln)
}

// Overtake puts the first item of a key that may go before the head there, and ends the head's hold; or
// reports false when none may, or the head is in flight. It costs the number of the key's items.
func (l *Lanes[T]) Overtake(key string, may func(head, item *T) bool) bool {
	ln := l.lanes[key]
	if ln == nil || ln.inFlight {
		return false
	}
	for before := ln.head; before.next != nil; before = before.next {
		one := before.next
		if !may(&ln.head.item, &one.item) {
			continue
		}
		before.next = one.next
		if ln.tail == one {
			ln.tail = before
		}
		one.next, ln.head = ln.head, one
		l.Hold(key, time.Time{})
		return true
	}
	return false
}

// Release ends every hold, the earliest first. It costs n log n in the number of held lanes.
func (l *Lanes[T]) Release() {
	for len(l.held) > 0 {
		l.ready.push(l.held.remove(0))
	}
}

// Wake returns when Next will have something: now if it has, else when the first hold ends; false
// if only Push, Done or Hold can change that.
func (l *Lanes[T]) Wake(now time.Time) (at time.Time, ok bool) {
	switch {
	case l.ready.first != nil:
		return now, true
	case len(l.held) == 0:
		return time.Time{}, false
	}
	if at = l.held[0].until; at.Before(now) {
		at = now
	}
	return at, true
}

// Len returns the number of items, in flight and waiting.
func (l *Lanes[T]) Len() int { return l.items }

// InFlight returns the number of items in flight.
func (l *Lanes[T]) InFlight() int { return l.inFlight }

// Waiting returns the number of items that are not in flight.
func (l *Lanes[T]) Waiting() int { return l.items - l.inFlight }

// All yields every item with its key, those of a key in order and together, keys in any order. The
// lanes must not be changed meanwhile; the items may be.
func (l *Lanes[T]) All() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		for key, ln := range l.lanes {
			for one := ln.head; one != nil; one = one.next {
				if !yield(key, &one.item) {
					return
				}
			}
		}
	}
}

// Expire removes and returns the heads that are waiting and for which gone says so, and those that
// become heads by that. A lane whose head is removed is no longer held: the hold was the head's.
func (l *Lanes[T]) Expire(gone func(*T) bool) []T {
	var out []T
	for _, ln := range l.lanes {
		if ln.inFlight {
			continue
		}
		before := len(out)
		for ln.head != nil && gone(&ln.head.item) {
			out = append(out, ln.head.item)
			ln.head = ln.head.next
		}
		if len(out) == before {
			continue
		}
		if ln.index >= 0 {
			l.held.remove(ln.index)
		} else {
			l.ready.remove(ln)
		}
		l.settle(ln)
	}
	l.items -= len(out)
	return out
}

// line is a doubly linked list of ready lanes.
type line[T any] struct{ first, last *lane[T] }

func (q *line[T]) push(ln *lane[T]) {
	ln.before, ln.after = q.last, nil
	if q.last == nil {
		q.first = ln
	} else {
		q.last.after = ln
	}
	q.last = ln
}

func (q *line[T]) remove(ln *lane[T]) {
	if ln.before == nil {
		q.first = ln.after
	} else {
		ln.before.after = ln.after
	}
	if ln.after == nil {
		q.last = ln.before
	} else {
		ln.after.before = ln.before
	}
	ln.before, ln.after = nil, nil
}

// heldLanes is a heap of held lanes, the earliest end first, equal ones in the order of their holds.
type heldLanes[T any] []*lane[T]

func (h heldLanes[T]) less(i, j int) bool {
	if c := h[i].until.Compare(h[j].until); c != 0 {
		return c < 0
	}
	return h[i].hold < h[j].hold
}

func (h heldLanes[T]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *heldLanes[T]) push(ln *lane[T]) {
	ln.index = len(*h)
	*h = append(*h, ln)
	h.up(ln.index)
}

func (h *heldLanes[T]) remove(i int) *lane[T] {
	last := len(*h) - 1
	h.swap(i, last)
	ln := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	switch {
	case last == 0:
		*h = nil
	case i < last:
		h.down(i)
		h.up(i)
	}
	ln.index = -1
	return ln
}

func (h heldLanes[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(i, parent) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heldLanes[T]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
