package api

import (
	"context"

	"github.com/wedsync/wedsync/analytics"
)

// DeadLetter is one as the API shows it.
type DeadLetter = buriedLetter

// Replayed is what became of dead letters that were replayed, or would.
type Replayed = replayedMany

// ReplayedOne is one of them.
type ReplayedOne = replayedOne

// DeadLetters is list-dead-letters. Ask again behind next; 0: there are no more.
func (l Local) DeadLetters(ctx context.Context, f DeadFilter, after uint64, limit int) (_ []DeadLetter, next uint64, err error) {
	p, err := of(call(ctx, l, "list-dead-letters", l.api.listDead, &deadListInput{f, after, limit}))
	return p.Items, p.Next, err
}

// DeadLetter is get-dead-letter.
func (l Local) DeadLetter(ctx context.Context, seq uint64) (DeadLetter, error) {
	return of(call(ctx, l, "get-dead-letter", l.api.getDead, &deadInput{seq}))
}

// Replay is replay-dead-letter. It returns the id of the delivery that goes on.
func (l Local) Replay(ctx context.Context, seq uint64) (delivery string, err error) {
	done, err := of(call(ctx, l, "replay-dead-letter", l.api.replayDead, &deadInput{seq}))
	return done.Delivery, err
}

// ReplayMany is replay-dead-letters.
func (l Local) ReplayMany(ctx context.Context, f DeadFilter, after uint64, limit int, dryRun bool) (Replayed, error) {
	in := &replayManyInput{}
	in.Body.DeadFilter, in.Body.After, in.Body.Limit, in.Body.DryRun = f, after, limit, dryRun
	return of(call(ctx, l, "replay-dead-letters", l.api.replayMany, in))
}

// Discard is discard-dead-letter.
func (l Local) Discard(ctx context.Context, seq uint64) error {
	_, err := call(ctx, l, "discard-dead-letter", l.api.discardDead, &deadInput{seq})
	return err
}

// AuditFilter is what find-audit takes.
type AuditFilter = auditInput

// FindAudit is find-audit.
func (l Local) FindAudit(ctx context.Context, f AuditFilter) (_ []analytics.AuditRow, next string, err error) {
	p, err := of(call(ctx, l, "find-audit", l.api.findAudit, &f))
	return p.Items, p.Next, err
}
