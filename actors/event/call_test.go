package event_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 20, 15, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                                 0,
		"0":                                0,
		"7":                                7 * time.Second,
		" 7 ":                              7 * time.Second,
		"1.5":                              1500 * time.Millisecond,
		"86400":                            24 * time.Hour,
		"86401":                            24 * time.Hour,
		"99999999999999999999999999999":    24 * time.Hour,
		"-7":                               0,
		"7s":                               0,
		".":                                0,
		"1.2.3":                            0,
		"Inf":                              0,
		"NaN":                              0,
		"1e3":                              0,
		"0x10":                             0,
		"soon":                             0,
		"Sat, 20 Jun 2026 15:00:09 GMT":    9 * time.Second,
		"Sat, 20 Jun 2026 14:59:59 GMT":    0,
		"Tue, 20 Jun 2028 15:00:00 GMT":    24 * time.Hour,
		"Saturday, 20-Jun-26 15:01:00 GMT": time.Minute, // the obsolete forms of RFC 9110 section 5.6.7
		"Sat Jun 20 15:02:00 2026":         2 * time.Minute,
	} {
		a := &event.Answer{Header: http.Header{"Retry-After": {header}}}
		if got := a.RetryAfter(now); got != want {
			t.Errorf("Retry-After %q: got %s, want %s", header, got, want)
		}
	}
	if got := (&event.Answer{}).RetryAfter(now); got != 0 {
		t.Errorf("no header: got %s, want 0", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "1.5", "999999999999999999999", "Sat, 20 Jun 2026 15:00:09 GMT", ".", "", "\x00"} {
		f.Add(s, int64(1781967600))
	}
	f.Fuzz(func(t *testing.T, header string, unix int64) {
		a := &event.Answer{Header: http.Header{"Retry-After": {header}}}
		if got := a.RetryAfter(time.Unix(unix%(1<<40), 0)); got < 0 || got > event.MaxRetryAfter {
			t.Fatalf("Retry-After %q: %s is not within 0 and %s", header, got, event.MaxRetryAfter)
		}
	})
}
