package actors_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// What is refused as badly signed while the node's clock is wrong is tried again; all else is as the adapter says.
func TestARefusalByAWrongClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 6, 12, 14, 0, 0, 0, time.UTC)
	pause := adapter.Verdict{Kind: adapter.KindPause, Reason: "http_401", Detail: "message timestamp too new"}
	for name, c := range map[string]struct {
		said   adapter.Verdict
		status int
		date   string
		detail string // "": as the adapter says
	}{
		"ahead":         {pause, 401, now.Add(-time.Hour).Format(http.TimeFormat), "1h0m0s ahead of the vendor's; http_401: message timestamp too new"},
		"behind":        {pause, 403, now.Add(150 * time.Second).Format(http.TimeFormat), "2m30s behind the vendor's"},
		"about right":   {pause, 401, now.Add(-119 * time.Second).Format(http.TimeFormat), ""},
		"no date":       {pause, 401, "", ""},
		"moved":         {pause, 308, now.Add(-time.Hour).Format(http.TimeFormat), ""},
		"not a refusal": {adapter.Verdict{Kind: adapter.KindDead, Reason: "http_422"}, 422, now.Add(-time.Hour).Format(http.TimeFormat), ""},
	} {
		got := actors.Timely(c.said, &event.Answer{Status: c.status, Header: http.Header{"Date": {c.date}}}, now)
		if c.detail == "" {
			if !reflect.DeepEqual(got, c.said) {
				t.Errorf("%s: %+v, want %+v", name, got, c.said)
			}
		} else if got.Kind != adapter.KindRetry || !got.Fault || got.Reason != event.ReasonClock || !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
