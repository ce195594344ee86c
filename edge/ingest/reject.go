package ingest

import (
	"fmt"
	"time"

	"github.com/wedsync/wedsync/edge/problem"
)

// Reject is why a draft did not become an event. Nothing was appended, except perhaps where the log's
// answer was lost (status 503): publishing again with the same id is safe.
type Reject struct { //nolint:errname // named for what it does to a draft
	Code       string        // of package problem, such as problem.PayloadTooLarge
	Status     int           // the code's HTTP status
	Detail     string        // what was wrong, with which value, and what is allowed
	RetryAfter time.Duration // 0: do not try again unchanged
	Err        error         // the cause, where there is one; not for the sender's eyes
}

func (e *Reject) Error() string { return e.Code + ": " + e.Detail }

// Unwrap returns the cause.
func (e *Reject) Unwrap() error { return e.Err }

func reject(code, format string, args ...any) *Reject {
	return &Reject{Code: code, Status: problem.Status(code), Detail: fmt.Sprintf(format, args...)}
}

// Problem returns what an HTTP client is answered.
func (e *Reject) Problem() *problem.Problem {
	return problem.New(e.Code, "%s", e.Detail).After(e.RetryAfter).Because(e.Err)
}

var _ problem.Problematic = (*Reject)(nil)
