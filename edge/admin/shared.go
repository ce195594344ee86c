package admin

import (
	"sync"
	"time"
)

// shared keeps what was found for each reach, so that many views ask once.
type shared[T any] struct {
	mu   sync.Mutex
	kept map[string]found[T]
}

type found[T any] struct {
	value T
	at    time.Time
	stale time.Time // when it is worth asking again
}

// sharedKept is how long what nobody looks at is kept.
const sharedKept = time.Minute

// of returns what the visitor may see, found less than a while ago, or longer where finding takes long: it should
// take one part in liveShare of a processor at most.
func (s *shared[T]) of(v *visit, every time.Duration, find func(*visit) (T, error)) (T, error) {
	return s.about("", v, every, find)
}

// about is of, where there is more than one thing to find.
func (s *shared[T]) about(what string, v *visit, every time.Duration, find func(*visit) (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, begun := v.Caller().Rights()+what, time.Now()
	if was, ok := s.kept[key]; ok && begun.Before(was.stale) {
		return was.value, nil
	}
	value, err := find(v)
	if err != nil {
		return value, err
	}
	now := time.Now()
	for k, was := range s.kept {
		if now.Sub(was.at) > sharedKept {
			delete(s.kept, k)
		}
	}
	if s.kept == nil {
		s.kept = map[string]found[T]{}
	}
	// A little less than every, which is as often as views are made.
	s.kept[key] = found[T]{value, now, now.Add(max(every*9/10, liveShare*now.Sub(begun)))}
	return value, nil
}
