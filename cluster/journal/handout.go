package journal

import (
	"cmp"
	"slices"
)

// handout is what a shard has given out of a stream, in order, and what of it is done.
type handout struct {
	next  uint64 // above all that was given out
	items []handed
	over  int // of these, how many are done
}

type handed struct {
	seq  uint64
	done bool
}

// give notes that something is given out.
func (h *handout) give(seq uint64) {
	h.items = append(h.items, handed{seq: seq})
	h.next = max(h.next, seq+1)
}

// done notes that something is done, and reports whether it was under way.
func (h *handout) done(seq uint64) bool {
	i, found := slices.BinarySearchFunc(h.items, seq, func(h handed, seq uint64) int { return cmp.Compare(h.seq, seq) })
	if !found || h.items[i].done {
		return false
	}
	h.items[i].done = true
	for h.over++; len(h.items) > 0 && h.items[0].done; h.over-- {
		h.items = h.items[1:]
	}
	if h.over > len(h.items)/2 { // behind one that takes long
		h.items, h.over = slices.DeleteFunc(h.items, func(h handed) bool { return h.done }), 0
	}
	return true
}

// first is the first that is not done, or to be given out.
func (h *handout) first() uint64 {
	if len(h.items) > 0 {
		return h.items[0].seq
	}
	return h.next
}

// open are those that are not done.
func (h *handout) open() []uint64 {
	var open []uint64
	for _, i := range h.items {
		if !i.done {
			open = append(open, i.seq)
		}
	}
	return open
}
