package main

import (
	"strings"
	"testing"
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
