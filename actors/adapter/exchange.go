package adapter

import (
	"context"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// Doer makes a call and returns what came of it, never nil, when it has ended or ctx has. All calls of
// all adapters go through one, which guards where they may go.
type Doer func(ctx context.Context, call *event.Call) *event.Answer

// Exchanger is a connection whose vendor wants more than the call itself, such as a token first.
type Exchanger interface {
	// Exchange makes the call through do, as of now, and through do whatever has to go with it. It
	// returns what came of the call, or of the one that kept it from being made. ctx bounds all of it.
	Exchange(ctx context.Context, call *event.Call, now time.Time, do Doer) *event.Answer
}

// Exchange makes a connection's call through do, as its vendor wants it.
func Exchange(ctx context.Context, conn Connection, call *event.Call, now time.Time, do Doer) *event.Answer {
	if x, ok := conn.(Exchanger); ok {
		return x.Exchange(ctx, call, now, do)
	}
	return do(ctx, call)
}
