package analytics

import (
	"sync"
	"time"
)

// RecorderStatus is how a recorder does.
type RecorderStatus struct {
	Connected bool      `json:"connected"`           // it records
	Since     time.Time `json:"since"`               // when Connected last changed
	LastError string    `json:"lastError,omitempty"` // why it does not, or last did not
	Position  uint64    `json:"position"`            // every record up to it is in ClickHouse
	Lag       uint64    `json:"lag"`                 // records in the log beyond it
}

// status guards a RecorderStatus.
type status struct {
	mu     sync.Mutex
	now    RecorderStatus
	logged bool // that it is away
}

func newStatus(now time.Time) *status { return &status{now: RecorderStatus{Since: now}} }

func (s *status) get() RecorderStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// away notes an error and reports whether it is the first since recording worked.
func (s *status) away(err error, now time.Time) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.LastError = err.Error()
	if s.now.Connected {
		s.now.Connected, s.now.Since = false, now
	}
	first = !s.logged
	s.logged = true
	return first
}

// back notes that recording works, and for how long it did not.
func (s *status) back(now time.Time) (away time.Duration, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Connected {
		return 0, false
	}
	away = now.Sub(s.now.Since)
	s.now.Connected, s.now.Since, s.logged = true, now, false
	return away, true
}

func (s *status) observe(position, lag uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Position, s.now.Lag = position, lag
}
