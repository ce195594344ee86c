package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-faults", "flood"}, `there is no fault "flood"`},
		{[]string{"-binary", "/nonexistent/wedsync"}, `build it with "make build"`},
		{[]string{"-rounds", "many"}, `invalid value "many" for flag -rounds`},
	} {
		if err := run(t.Context(), c.args, t.Output(), t.Output()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v; want %q", c.args, err, c.says)
		}
	}
}

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
		{context.DeadlineExceeded, checker.Unanswered},
	} {
		if got := outcome(c.err); got != c.want {
			t.Errorf("%v comes to %v, want %v", c.err, got, c.want)
		}
	}
}
