package adapter_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// tripleseatRun is a connection with a simulator, and the guarded sender.
type tripleseatRun struct {
	sim    *vendors.Tripleseat
	conn   adapter.Connection
	sender *delivery.Sender
	body   json.RawMessage
	now    time.Time
}

func newTripleseatRun(t *testing.T, allowed ...netip.Prefix) *tripleseatRun {
	t.Helper()
	r := &tripleseatRun{now: time.Now(), sender: delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard(allowed)})}
	t.Cleanup(r.sender.Close)
	var err error
	if r.sim, err = vendors.StartTripleseat(t.Context(), vendors.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.sim.Close() })
	in, secrets := r.sim.Integration("i")
	r.conn = connect(t, "tripleseat", string(in.Settings), secrets)
	if r.body, err = r.conn.Encode(sampleOf(t, "tripleseat", adapter.TypeGuestCountChanged)); err != nil {
		t.Fatal(err)
	}
	return r
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// try sends a delivery as of now, through do.
func (r *tripleseatRun) try(ctx context.Context, t *testing.T, do adapter.Doer) (*event.Answer, adapter.Verdict) {
	t.Helper()
	d := &event.Delivery{ID: "dlv_1", Body: r.body}
	call, err := r.conn.Call(d, r.now)
	if err != nil {
		t.Fatal(err)
	}
	answer := adapter.Exchange(ctx, r.conn, call, r.now, do)
	if call.HTTP.Header.Get("Authorization") != "" {
		t.Error("the adapter's call was changed")
	}
	return answer, r.conn.Classify(d, answer)
}

func (r *tripleseatRun) delivered(t *testing.T, grants int) {
	t.Helper()
	if _, v := r.try(t.Context(), t, r.sender.Do); v.Kind != adapter.KindDelivered {
		t.Errorf("verdict %+v, want delivered", v)
	}
	if got := r.sim.Grants(); got != grants {
		t.Errorf("%d tokens were given out, want %d", got, grants)
	}
}

func TestTripleseatTokens(t *testing.T) {
	t.Parallel()
	r := newTripleseatRun(t, loopback)
	var all sync.WaitGroup
	for range 20 { // all at once, and one token
		all.Go(func() { r.delivered(t, 1) })
	}
	all.Wait()
	r.now = r.now.Add(7200*time.Second - time.Minute - time.Second)
	r.delivered(t, 1)
	r.now = r.now.Add(2 * time.Second) // it would end within the minute
	r.delivered(t, 2)
	r.sim.Revoke()
	r.delivered(t, 3)
	r.delivered(t, 3)
	if c := r.sim.Counts(); c.Refused != 1 || c.Taken != 24 {
		t.Errorf("counts %+v, want one refusal: of the token that was revoked", c)
	}
	token := ""
	r.try(t.Context(), t, func(_ context.Context, call *event.Call) *event.Answer {
		token, _ = strings.CutPrefix(call.HTTP.Header.Get("Authorization"), "Bearer ")
		return &event.Answer{Status: http.StatusOK}
	})
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(format, r.conn); token == "" || strings.Contains(text, token) {
			t.Errorf("%s shows the token: %s", format, text)
		}
	}
}

// TestTripleseatWithoutToken: the verdict on a call that was never made, as no token was to be had.
func TestTripleseatWithoutToken(t *testing.T) {
	t.Parallel()
	r := newTripleseatRun(t, loopback)
	_, secrets := r.sim.Integration("i")
	echo := secrets.Current("client_secret").Reveal()
	for name, test := range map[string]struct {
		answer event.Answer
		want   adapter.Verdict
	}{
		"invalid_client":         {event.Answer{Status: 400, Body: []byte(`{"error":"invalid_client"}`)}, adapter.Verdict{Kind: adapter.KindPause, Reason: "invalid_client"}},
		"no such path":           {event.Answer{Status: 404}, adapter.Verdict{Kind: adapter.KindPause, Reason: "http_404"}},
		"its secret in the page": {event.Answer{Status: 401, Body: []byte("<p>" + echo)}, adapter.Verdict{Kind: adapter.KindPause, Reason: "http_401"}},
		"a page to log in":       {event.Answer{Status: 200, Body: []byte(`<html>`)}, adapter.Verdict{Kind: adapter.KindRetry, Reason: "unexpected_answer", Fault: true}},
		"no token":               {event.Answer{Status: 200, Body: []byte(`{"token_type":"Bearer"}`)}, adapter.Verdict{Kind: adapter.KindRetry, Reason: "unexpected_answer", Fault: true}},
		"no token that can be":   {event.Answer{Status: 200, Body: []byte(`{"access_token":"a\nb"}`)}, adapter.Verdict{Kind: adapter.KindRetry, Reason: "unexpected_answer", Fault: true}},
		"broken off":             {event.Answer{Status: 200, Body: []byte(`{"access`), Err: errors.New("reset")}, adapter.Verdict{Kind: adapter.KindRetry, Reason: "unexpected_answer", Fault: true}},
		"down":                   {event.Answer{Status: 503, Header: http.Header{"Retry-After": {"9"}}}, adapter.Verdict{Kind: adapter.KindRetry, Reason: "http_503", Fault: true, RetryAfter: 9 * time.Second}},
		"too often":              {event.Answer{Status: 429, Header: http.Header{"Retry-After": {"1"}}}, adapter.Verdict{Kind: adapter.KindRetry, Reason: "http_429", RetryAfter: time.Second}},
		"no answer":              {event.Answer{Err: context.DeadlineExceeded}, adapter.Verdict{Kind: adapter.KindRetry, Fault: true}},
	} {
		answer, v := r.try(t.Context(), t, func(context.Context, *event.Call) *event.Answer { return &test.answer })
		if answer.Err == nil || !strings.HasPrefix(answer.Err.Error(), "no access token: ") || strings.Contains(v.Detail, echo) {
			t.Errorf("%s: %v, verdict %+v", name, answer.Err, v)
		}
		if test.answer.Status != 0 && !strings.HasPrefix(v.Detail, "no access token: ") {
			t.Errorf("%s: detail %q does not say that it is about the token", name, v.Detail)
		}
		if v.Detail = ""; fmt.Sprint(v) != fmt.Sprint(test.want) {
			t.Errorf("%s: verdict %+v, want %+v", name, v, test.want)
		}
	}
	r.delivered(t, 1) // none of it was kept

	// The guard stands before the token endpoint too.
	answer, _ := newTripleseatRun(t).try(t.Context(), t, delivery.NewSender(delivery.SenderConfig{}).Do)
	if delivery.Reason(answer.Err) != event.ReasonBlocked {
		t.Errorf("an address that is not public gives %v", answer.Err)
	}
}

// TestTripleseatWaits: who waits for another's token gives up when its time is over.
func TestTripleseatWaits(t *testing.T) {
	t.Parallel()
	r := newTripleseatRun(t, loopback)
	asked, hold := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.try(t.Context(), t, func(ctx context.Context, call *event.Call) *event.Answer {
			if strings.HasSuffix(call.HTTP.URL, "/oauth2/token") {
				close(asked)
				<-hold
			}
			return r.sender.Do(ctx, call)
		})
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if answer, v := r.try(ctx, t, r.sender.Do); !errors.Is(answer.Err, context.Canceled) || v.Kind != adapter.KindRetry {
		t.Errorf("%v, verdict %+v", answer.Err, v)
	}
	close(hold)
	<-done
	r.delivered(t, 1)
}

// TestTokenLife: a token is kept for as long as its answer says, within reason.
func TestTokenLife(t *testing.T) {
	t.Parallel()
	for says, life := range map[string]time.Duration{
		``: 7200*time.Second - time.Minute, `,"expires_in":600`: 9 * time.Minute, `,"expires_in":60`: 30 * time.Second,
		`,"expires_in":-1`: 7200*time.Second - time.Minute, `,"expires_in":9223372036854775807`: 24*time.Hour - time.Minute,
	} {
		r := newTripleseatRun(t)
		grants := 0
		do := func(_ context.Context, call *event.Call) *event.Answer {
			if !strings.HasSuffix(call.HTTP.URL, "/oauth2/token") {
				return &event.Answer{Status: 200}
			}
			grants++
			return &event.Answer{Status: 200, Body: []byte(`{"access_token":"a"` + says + `}`)}
		}
		start := r.now
		for after, want := range []int{1, 1, 2} {
			r.now = start.Add([]time.Duration{0, life - time.Second, life}[after])
			if r.try(t.Context(), t, do); grants != want {
				t.Errorf("%q: after %s %d tokens were asked for, want %d", says, r.now.Sub(start), grants, want)
			}
		}
	}
}

func TestTripleseatBody(t *testing.T) {
	t.Parallel()
	_, secrets := settled("tripleseat")
	open := connect(t, "tripleseat", `{"client_id":"uid"}`, secrets)
	bound := connected(t, "tripleseat")
	details := sampleOf(t, "tripleseat", adapter.TypeEventDetails)
	encodeError(t, open, details, "venueEventId")
	for field, values := range map[string][]any{
		"venueEventId": {"evt", "", -1, []int{1}, strings.Repeat("1", 19)},
		"ceremonyTime": {nil, "2026-06-20"},
		"endTime":      {"late"},
		"guestCount":   {-1, "many"},
		"setupTime":    {"early", "2026-06-20T17:00:00+02:00", "2026-06-19T15:00:00+02:00"},
	} {
		for _, value := range values {
			encodeError(t, bound, withPayload(t, details, map[string]any{field: value}), field)
		}
	}
	encodeError(t, bound, withPayload(t, sampleOf(t, "tripleseat", adapter.TypeGuestCountChanged), map[string]any{"guestCount": nil}), "guestCount")

	body, err := bound.Encode(withPayload(t, details, map[string]any{
		"venueEventId": 77, "endTime": "2026-06-20T22:30:00Z", "guestCount": nil, "setupTime": nil,
	}))
	if err != nil {
		t.Fatal(err)
	}
	call, err := open.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if call.HTTP.URL != "https://api.tripleseat.com/v1/events/77.json" {
		t.Errorf("it goes to %s, not to the payload's own event", call.HTTP.URL)
	}
	if want := `{"event":{"event_start":"06/20/2026 04:00 PM","event_end":"06/21/2026 12:30 AM"}}`; string(call.HTTP.Body) != want {
		t.Errorf("body %s, want %s: both in the venue's time", call.HTTP.Body, want)
	}
	ofIntegration, err := bound.Encode(details)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []json.RawMessage{ofIntegration, json.RawMessage(`{}`), json.RawMessage(`[]`), nil} {
		if call, err := open.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Unix(1, 0)); err == nil {
			t.Errorf("%s without an event goes to %s", body, call.HTTP.URL)
		}
	}
	answer := &event.Answer{Status: 200, Body: []byte("\n <!DOCTYPE html><title>Log in</title>")}
	if v := bound.Classify(nil, answer); v.Kind != adapter.KindRetry || !v.Fault || v.Reason != "unexpected_answer" || v.Detail == "" {
		t.Errorf("a page is taken for an answer: %+v", v)
	}
}

// TestTripleseatSignature takes the header apart in every way.
func TestTripleseatSignature(t *testing.T) {
	t.Parallel()
	now := time.Unix(1773480413, 0)
	body := []byte(`{"webhook_trigger_type":"CHANGE_EVENT_GUEST_COUNTS","event":{"id":61680687,"guest_count":3}}`)
	sign := func(stamp string) string {
		mac := hmac.New(sha256.New, []byte("key"))
		fmt.Fprintf(mac, "%s.%s", stamp, body)
		return "v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	good := sign("1773480413")
	r := connected(t, "tripleseat").(adapter.Receiver)
	for header, code := range map[string]string{
		"t=1773480413," + good:                                "",
		good + ", t=1773480413":                               "",
		"t=1773480413,v0=x,v1=00,v1=zz," + good:               "",
		"t=1773480413," + strings.Repeat("v1=00,", 15) + good: "",
		"t=1773480413," + strings.Repeat("v1=00,", 16) + good: adapter.CodeSignatureInvalid,
		"":                                   adapter.CodeSignatureMissing,
		good:                                 adapter.CodeSignatureInvalid,
		"t=1773480413":                       adapter.CodeSignatureInvalid,
		"t=1773480413,v1=":                   adapter.CodeSignatureInvalid,
		"t=1773480414," + good:               adapter.CodeSignatureInvalid,
		"t=soon," + good:                     adapter.CodeTimestampInvalid,
		"t=1773480112," + sign("1773480112"): adapter.CodeTimestampOld,
		"t=1773480715," + sign("1773480715"): adapter.CodeTimestampOld,
	} {
		id, err := r.Verify(&adapter.Inbound{Header: http.Header{"X-Signature": {header}}, Body: body}, now)
		var verify *adapter.VerifyError
		if code == "" && (err != nil || "v1="+id != good) || code != "" && (!errors.As(err, &verify) || verify.Code != code) {
			t.Errorf("%s: id %q, %v, want code %q", header, id, err, code)
		}
	}
	got, err := r.Decode(&adapter.Inbound{Header: http.Header{"X-Signature": {"t=1773480413," + good}}, Body: body})
	if err != nil || len(got.Messages) != 1 || !got.Messages[0].OccurredAt.Equal(now) || len(got.Reply) == 0 {
		t.Errorf("decoded %+v, %v; want the time that was signed, and a 200", got, err)
	}
}

// TestTripleseatOfACouple: an integration of one couple says whose webhooks they are.
func TestTripleseatOfACouple(t *testing.T) {
	t.Parallel()
	a, err := adapter.Lookup("tripleseat")
	if err != nil {
		t.Fatal(err)
	}
	settings, secrets := settled("tripleseat")
	conn, err := a.Connect(event.Integration{ID: "i", Owner: map[string]string{"coupleId": "cpl_1"}, Settings: json.RawMessage(settings)}, secrets)
	if err != nil {
		t.Fatal(err)
	}
	got, err := conn.(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: []byte(
		`{"webhook_trigger_type":"STATUS_CHANGE_EVENT","event":{"id":"61680687","status":"Tentative"}}`)})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if m := got.Messages[0]; m.WeddingID != "cpl_1" || m.Type != adapter.TypeBookingUpdated || string(m.Payload) != `{"coupleId":"cpl_1","status":"Tentative","venueEventId":"61680687"}` {
		t.Errorf("message %+v of %s", m, m.Payload)
	}
}

// TestTripleseatSetup: the set-up begins so many minutes before the start, where both are known.
func TestTripleseatSetup(t *testing.T) {
	t.Parallel()
	for fields, want := range map[string]string{
		`"setup_time":90`:    "2026-06-20T14:30:00+02:00",
		`"setup_time":"60"`:  "2026-06-20T15:00:00+02:00",
		`"setup_time":0`:     "",
		`"setup_time":-5`:    "",
		`"setup_time":null`:  "",
		`"setup_time":"1 h"`: "",
	} {
		got, err := connected(t, "tripleseat").(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: []byte(
			`{"webhook_trigger_type":"CREATE_EVENT","event":{"id":61680687,"event_start_iso8601":"2026-06-20T16:00:00+02:00",` + fields + `}}`)})
		var p struct{ SetupTime string }
		if err == nil {
			err = json.Unmarshal(got.Messages[0].Payload, &p)
		}
		if err != nil || p.SetupTime != want {
			t.Errorf("%s gives %q, %v, want %q", fields, p.SetupTime, err, want)
		}
	}
}
