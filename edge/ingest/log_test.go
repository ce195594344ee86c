package ingest_test

import (
	"bytes"
	"context"
	"sync"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// memoryLog stands in for the journal where only what arrives there matters.
type memoryLog struct {
	mu     sync.Mutex
	events []event.Event
	ids    map[string]uint64
	err    error
}

func (l *memoryLog) Append(_ context.Context, ev *event.Event) (journal.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return journal.Appended{}, l.err
	}
	if seq, ok := l.ids[ev.ID]; ok {
		return journal.Appended{Seq: seq, Duplicate: true}, nil
	}
	kept := *ev
	kept.Payload = bytes.Clone(ev.Payload)
	l.events = append(l.events, kept)
	if l.ids == nil {
		l.ids = map[string]uint64{}
	}
	l.ids[ev.ID] = uint64(len(l.events))
	return journal.Appended{Seq: uint64(len(l.events))}, nil
}

func (l *memoryLog) all() []event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]event.Event(nil), l.events...)
}

// nowhere takes everything and keeps nothing.
type nowhere struct{}

func (nowhere) Append(context.Context, *event.Event) (journal.Appended, error) {
	return journal.Appended{Seq: 1}, nil
}
