package event_test

import (
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

func TestTraceID(t *testing.T) {
	t.Parallel()
	const id, good = "4bf92f3577b34da6a3ce929d0e0e4736", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for given, want := range map[string]string{
		good:                                     id,
		strings.TrimSuffix(good, "01") + "ff":    id,
		"":                                       "",
		"01" + good[2:]:                          "",
		strings.ToUpper(good):                    "",
		good + "-x":                              "",
		good[:54]:                                "",
		good[:54] + "g":                          "",
		strings.Replace(good, "-00f", "_00f", 1): "",
		strings.Replace(good, "-01", "_01", 1):   "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": "",
	} {
		if got := event.TraceID(given); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
