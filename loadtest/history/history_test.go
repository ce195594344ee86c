package history_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/history"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want checker.Outcome
	}{
		{nil, checker.Accepted},
		{&nodeproc.StatusError{Status: 422}, checker.Refused},
		{fmt.Errorf("publishing: %w", &nodeproc.StatusError{Status: 429}), checker.Refused},
		{&nodeproc.StatusError{Status: 503}, checker.Failed},
		{fmt.Errorf("publishing: %w", &net.OpError{Op: "dial"}), checker.Unsent},
		{&net.OpError{Op: "read"}, checker.Unanswered},
		{history.ErrNoConnection, checker.Unsent},
		{fmt.Errorf("publishing: %w", &wsclient.Error{Code: 103}), checker.Refused},
		{&wsclient.Error{Code: 422}, checker.Refused},
		{&wsclient.Error{Code: 100, Temporary: true}, checker.Failed},
		{&wsclient.Error{Code: 503, Temporary: true}, checker.Failed},
		{wsclient.ErrDisconnected, checker.Unanswered},
		{context.DeadlineExceeded, checker.Unanswered},
	} {
		if got := history.Outcome(c.err); got != c.want {
			t.Errorf("%v comes to %v, want %v", c.err, got, c.want)
		}
	}
}
