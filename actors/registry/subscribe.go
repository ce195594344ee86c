package registry

import (
	"slices"
	"sync"
)

// Subscribe calls fn with an integration's id whenever its configuration or its secrets have
// changed, or it was deleted, after the change can be seen by Lookup. Calls come one at a time, in
// the order of the changes; fn must not block and must not write to the registry. After stop no new
// call begins; one may still be running.
func (r *Registry) Subscribe(fn func(id string)) (stop func()) { return r.subscribers.add(fn) }

// subscribers are told of changes. The list is replaced, never changed, so it is read without a copy.
type subscribers struct {
	mu   sync.Mutex
	list []*func(string)
}

func (s *subscribers) add(fn func(string)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(slices.Clip(s.list), &fn)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = slices.DeleteFunc(slices.Clone(s.list), func(x *func(string)) bool { return x == &fn })
	}
}

func (s *subscribers) tell(id string) {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	for _, fn := range list {
		(*fn)(id)
	}
}
