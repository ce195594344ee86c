package event

import "time"

// State is how an integration does.
type State string

// The states. Healthy and degraded ones are sent to; the others are not, or only to probe.
const (
	Healthy       State = "healthy"
	Degraded      State = "degraded" // failing now and then, or the last probe of its vendor failed
	Open          State = "open"     // the breaker is open or half-open
	Paused        State = "paused"   // by an admin, or by an answer that only an admin can mend
	DisabledState State = "disabled"
	Suspended     State = "suspended" // its actor failed too often; an admin reinstates it
	Idle          State = "idle"      // no actor: nothing to do at the moment
	Unknown       State = "unknown"   // the node that works for it does not answer
)

// Health is what an integration's actor knows of it.
type Health struct {
	Integration string    `json:"integration"`
	Vendor      string    `json:"vendor"`
	State       State     `json:"state"`
	Reason      string    `json:"reason,omitempty"` // why it is not healthy
	LastError   string    `json:"lastError,omitempty"`
	LastErrorAt time.Time `json:"lastErrorAt,omitzero"`
	SuccessRate float64   `json:"successRate"` // of the attempts of the last five minutes; 1 with none
	Waiting     int       `json:"waiting"`     // held in memory
	Parked      uint64    `json:"parked"`      // waiting in the log
	InFlight    int       `json:"inFlight"`
	Held        uint64    `json:"held"`                // by quiet hours or a digest; what waited before these began is among the others, too
	HeldUntil   time.Time `json:"heldUntil,omitzero"`  // when the next of the held ones may be sent
	NextProbe   time.Time `json:"nextProbe,omitzero"`  // while the breaker is open; zero while a probe is under way
	LastProbe   *Probe    `json:"lastProbe,omitempty"` // nil: not probed yet, or the vendor has nothing to probe
	Since       time.Time `json:"since"`               // when the state began
}

// HealthChange tells how an integration does from now on.
type HealthChange struct {
	Integration string    `json:"integration"`
	Vendor      string    `json:"vendor"`
	Before      State     `json:"before"` // healthy, when its actor has just begun
	State       State     `json:"state"`
	Reason      string    `json:"reason,omitempty"` // why it is not healthy
	At          time.Time `json:"at"`
}

// AddHeld counts more that is held, the next of it until then.
func (h *Health) AddHeld(count uint64, until time.Time) {
	if count == 0 {
		return
	}
	h.Held += count
	if h.HeldUntil.IsZero() || until.Before(h.HeldUntil) {
		h.HeldUntil = until.UTC()
	}
}

// Probe is how the vendor answered a question that changes nothing. It is asked every minute while
// the integration has an actor, and when the health of one that was not probed yet is asked for.
type Probe struct {
	At       time.Time `json:"at"`
	OK       bool      `json:"ok"`
	Reason   string    `json:"reason,omitempty"` // why it is not
	Duration Duration  `json:"duration"`
}
