package vendors

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// Fault is one way to fail. Several can be in force: their delays add up, and the first that ends a
// call does.
type Fault struct {
	Latency event.Duration `json:"latency,omitzero"` // before anything else
	Jitter  event.Duration `json:"jitter,omitzero"`  // up to so much more
	// Delay is what a call waits besides; nil: nothing.
	Delay func(*Receipt) time.Duration `json:"-"`

	Hang       bool           `json:"hang,omitempty"`       // no answer until the fault is removed; then as if nothing had been
	Reset      bool           `json:"reset,omitempty"`      // the connection breaks before the vendor acts
	LoseAnswer bool           `json:"loseAnswer,omitempty"` // the vendor acts, then the connection breaks
	Status     int            `json:"status,omitempty"`     // answer this HTTP status or SMTP code
	Code       string         `json:"code,omitempty"`       // the vendor's error code; default: what goes with Status
	RetryAfter event.Duration `json:"retryAfter,omitzero"`  // a Retry-After header, in whole seconds
	Stage      string         `json:"stage,omitempty"`      // of a mail: "rcpt", or "data" (default)

	Times    int                 `json:"times,omitempty"`    // so many calls; 0: until it is removed. Probes do not count
	Contains string              `json:"contains,omitempty"` // only calls whose ID, event id or body has this
	Match    func(*Receipt) bool `json:"-"`                  // only these calls
}

func (f *Fault) ends() bool {
	return f.Hang || f.Reset || f.LoseAnswer || f.Status != 0 || f.Code != ""
}

func (f *Fault) concerns(r *Receipt, stage string) bool {
	if f.Stage != stage && (f.Stage != "" || stage != stageData) {
		return false
	}
	if f.Contains != "" && !strings.Contains(r.ID, f.Contains) && !strings.Contains(r.EventID, f.Contains) &&
		!strings.Contains(string(r.Body), f.Contains) {
		return false
	}
	return f.Match == nil || f.Match(r)
}

// The stages of a call. HTTP has the one.
const (
	stageData = "data"
	stageRcpt = "rcpt"
)

// WebhookFault spoils the webhooks that the vendor sends.
type WebhookFault struct {
	Duplicate      bool           `json:"duplicate,omitempty"`      // each is sent twice
	WrongSignature bool           `json:"wrongSignature,omitempty"` // signed with another secret
	Age            event.Duration `json:"age,omitzero"`             // signed so long ago, where the time is signed
}

// Faults are the faults of one simulator. It is safe for concurrent use.
type Faults struct {
	mu      sync.Mutex
	active  []*activeFault
	webhook WebhookFault
}

type activeFault struct {
	Fault
	used    int
	removed chan struct{}
}

// spent faults concern no further call; one that hangs stays until it is removed.
func (a *activeFault) spent() bool { return a.Times > 0 && a.used >= a.Times }

// Add switches a fault on. remove switches it off and lets go of what hangs on it.
func (f *Faults) Add(fault Fault) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := &activeFault{Fault: fault, removed: make(chan struct{})}
	f.active = append(f.active, a)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if i := slices.Index(f.active, a); i >= 0 {
			f.active = slices.Delete(f.active, i, i+1)
		}
		a.remove()
	}
}

// remove is called with the lock held.
func (a *activeFault) remove() {
	select {
	case <-a.removed:
	default:
		close(a.removed)
	}
}

// Clear switches all faults off, those of webhooks too, and lets go of what hangs.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.active {
		a.remove()
	}
	f.active, f.webhook = nil, WebhookFault{}
}

// List returns the faults in force, with the calls that are left to them.
func (f *Faults) List() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []Fault{}
	for _, a := range f.active {
		if !a.spent() {
			left := a.Fault
			left.Times -= a.used
			all = append(all, left)
		}
	}
	return all
}

// SpoilWebhooks spoils webhooks from now on; the zero WebhookFault ends it.
func (f *Faults) SpoilWebhooks(w WebhookFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.webhook = w
}

func (f *Faults) webhooks() WebhookFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.webhook
}

// pick takes the faults that concern a call: how long it is delayed, and what ends it, if anything.
func (f *Faults) pick(r *Receipt, stage string, probe bool) (delay time.Duration, end *activeFault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range slices.Clone(f.active) {
		if a.spent() || end != nil && a.ends() || !a.concerns(r, stage) {
			continue
		}
		delay += time.Duration(a.Latency)
		if a.Jitter > 0 {
			delay += rand.N(time.Duration(a.Jitter))
		}
		if a.Delay != nil {
			delay += a.Delay(r)
		}
		if a.ends() {
			end = a
		}
		if a.Times > 0 && !probe {
			a.used++
		}
		if a.spent() && !a.Hang {
			f.active = slices.DeleteFunc(f.active, func(o *activeFault) bool { return o == a })
		}
	}
	return delay, end
}

// pause waits for d, or for the call or the simulator to end, and reports whether d passed.
func pause(ctx context.Context, closing <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-closing:
	}
	return false
}

// hang waits until the fault is removed, and reports whether it was before the call or the
// simulator ended.
func (a *activeFault) hang(ctx context.Context, closing <-chan struct{}) bool {
	select {
	case <-a.removed:
		return true
	case <-ctx.Done():
	case <-closing:
	}
	return false
}
