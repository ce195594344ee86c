package admin

import (
	"sync"
	"time"
)

// shared keeps what was found for each reach, so that many views ask once. Nobody waits for what others ask of
// something else.
type shared[T any] struct {
	mu   sync.Mutex
	kept map[string]*found[T]
}

// found is what one reach has of one thing.
type found[T any] struct {
	turn  chan struct{} // holds one while somebody asks, whose value and stale are
	value T
	stale time.Time // when it is worth asking again
	used  time.Time // under shared.mu
}

const (
	sharedKept = time.Minute // is how long what nobody looks at is kept
	sharedMost = 256         // things are kept, those that were looked at last
)

// of returns what the visitor may see, found less than a while ago, or longer where finding takes long: it should
// take one part in liveShare of a processor at most.
func (s *shared[T]) of(v *visit, every time.Duration, find func(*visit) (T, error)) (T, error) {
	return s.about("", v, every, find)
}

// about is of, where there is more than one thing to find.
func (s *shared[T]) about(what string, v *visit, every time.Duration, find func(*visit) (T, error)) (T, error) {
	var none T
	f := s.entry(v.Caller().Rights() + what)
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-v.Context().Done():
		return none, v.Context().Err()
	}
	begun := time.Now()
	if begun.Before(f.stale) {
		return f.value, nil
	}
	value, err := find(v)
	if err != nil {
		return none, err
	}
	now := time.Now()
	// A little less than every, which is as often as views are made.
	f.value, f.stale = value, now.Add(max(every*9/10, liveShare*now.Sub(begun)))
	return value, nil
}

// entry returns that of a key, and forgets those that nobody looks at.
func (s *shared[T]) entry(key string) *found[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	f := s.kept[key]
	if f == nil {
		s.forget(now)
		if s.kept == nil {
			s.kept = map[string]*found[T]{}
		}
		f = &found[T]{turn: make(chan struct{}, 1)}
		s.kept[key] = f
	}
	f.used = now
	return f
}

// forget makes room for one more.
func (s *shared[T]) forget(now time.Time) {
	oldest := ""
	for key, f := range s.kept {
		if now.Sub(f.used) > sharedKept {
			delete(s.kept, key)
		} else if oldest == "" || f.used.Before(s.kept[oldest].used) {
			oldest = key
		}
	}
	if len(s.kept) >= sharedMost {
		delete(s.kept, oldest)
	}
}
