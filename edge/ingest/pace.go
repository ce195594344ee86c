package ingest

import (
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/edge/problem"
)

const defaultPerSecond = 1000

// pace bounds how many events each sender publishes a second, so that one that runs wild leaves the log to
// the others. What is refused counts for nothing.
type pace struct {
	perSecond int

	mu      sync.Mutex
	senders delivery.KeyedLimiter
}

func newPace(perSecond int) pace {
	return pace{perSecond: perSecond, senders: delivery.NewKeyedLimiter(time.Second/time.Duration(perSecond), perSecond)}
}

func (p *pace) take(sender string, now time.Time) *Reject {
	if sender == "" {
		return nil
	}
	p.mu.Lock()
	wait := p.senders.Take(sender, now)
	p.mu.Unlock()
	if wait == 0 {
		return nil
	}
	rej := reject(problem.PublishLimited, "this sender has published the %d events a second that it may; publish it again in %v", p.perSecond, wait.Round(time.Millisecond))
	rej.RetryAfter = wait
	return rej
}
