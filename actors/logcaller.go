package actors

import (
	"context"
	"errors"
	"net/http"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// LogCaller makes the calls whose far side is a channel, by appending their event to the log, and
// leaves all others to Next. A System puts one before its Caller.
type LogCaller struct {
	Log  *journal.Journal
	Next Caller
}

var _ Caller = LogCaller{}

// Do answers an event as HTTP would: 201 when it was appended, 200 when the log had it already, 413
// when it is too large for the log and 507 while that is full. Answer.Err is set when the log did not
// answer; the event may be there all the same, and is not appended twice within ten minutes.
func (c LogCaller) Do(ctx context.Context, call *event.Call) *event.Answer {
	if call.Event == nil {
		return c.Next.Do(ctx, call)
	}
	done, err := c.Log.Append(ctx, call.Event)
	switch {
	case err == nil && done.Duplicate:
		return &event.Answer{Status: http.StatusOK}
	case err == nil:
		return &event.Answer{Status: http.StatusCreated}
	case errors.Is(err, journal.ErrTooLarge):
		return &event.Answer{Status: http.StatusRequestEntityTooLarge, Body: []byte(err.Error())}
	case errors.Is(err, journal.ErrFull):
		return &event.Answer{Status: http.StatusInsufficientStorage, Body: []byte(err.Error())}
	}
	return &event.Answer{Err: err}
}
