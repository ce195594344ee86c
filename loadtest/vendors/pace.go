package vendors

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace is how many calls a vendor allows: so many a second in all, and one every so often to each
// recipient, with bursts.
type pace struct {
	all      *rate.Limiter
	every    time.Duration
	oneBurst int

	mu  sync.Mutex
	one map[string]*rate.Limiter
}

type allowance int

const (
	allowed allowance = iota
	tooMany
	tooManyForOne
)

// newPace makes a pace; with every 0 recipients are not told apart.
func newPace(perSecond float64, burst int, every time.Duration, oneBurst int) *pace {
	return &pace{
		all: rate.NewLimiter(rate.Limit(perSecond), burst), every: every, oneBurst: oneBurst,
		one: map[string]*rate.Limiter{},
	}
}

func (p *pace) allow(now time.Time, recipient string) allowance {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.all.AllowN(now, 1) {
		return tooMany
	}
	if p.every == 0 {
		return allowed
	}
	if p.one[recipient] == nil {
		p.one[recipient] = rate.NewLimiter(rate.Every(p.every), p.oneBurst)
	}
	if !p.one[recipient].AllowN(now, 1) {
		return tooManyForOne
	}
	return allowed
}
