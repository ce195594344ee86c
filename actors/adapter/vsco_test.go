package adapter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// vscoStudio is a simulated studio and a connection with it.
type vscoStudio struct {
	sim    *vendors.VSCO
	conn   adapter.Connection
	sender *delivery.Sender
}

func newVSCOStudio(t *testing.T, cfg vendors.Config) *vscoStudio {
	t.Helper()
	sim, err := vendors.StartVSCO(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	sender := delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})})
	t.Cleanup(sender.Close)
	a, err := adapter.Lookup("vsco")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Connect(sim.Integration("int_1"))
	if err != nil {
		t.Fatal(err)
	}
	return &vscoStudio{sim, conn, sender}
}

func (s *vscoStudio) send(t *testing.T, ev *event.Event) adapter.Verdict {
	t.Helper()
	body, err := s.conn.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	d := &event.Delivery{ID: "dlv_" + ev.ID, EventID: ev.ID, EventType: ev.Type, Body: body}
	call, err := s.conn.Call(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.conn.Classify(d, adapter.Exchange(t.Context(), s.conn, call, time.Now(), s.sender.Do))
}

// TestVSCOOneEntry makes one entry a couple, whatever is lost and repeated, and keeps it up to date, whether an
// update keeps what it leaves out or not.
func TestVSCOOneEntry(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*vendors.VSCO){"merging": func(*vendors.VSCO) {}, "replacing": (*vendors.VSCO).ReplaceEntries} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newVSCOStudio(t, vendors.Config{})
			prepare(s.sim)
			first := sampleOf(t, "vsco", adapter.TypeTimelineUpdated)
			remove := s.sim.Faults().Add(vendors.Fault{LoseAnswer: true})
			if v := s.send(t, first); v.Kind != adapter.KindRetry || !v.Fault {
				t.Errorf("a lost answer: %+v", v)
			}
			remove()
			moved := sampleOf(t, "vsco", adapter.TypeWeddingDateChanged) // has no end
			for _, c := range []struct {
				ev   *event.Event
				want string
			}{
				{first, "2026-06-20 16:00:00 to <nil> <nil>, confirmed <nil>"},
				{sampleOf(t, "vsco", adapter.TypeBookingConfirmed), "2026-06-20 16:00:00 to 2026-06-20 23:30:00, confirmed true"},
				{moved, "2026-09-05 15:30:00 to <nil> <nil>, confirmed true"},
				{withPayload(t, moved, map[string]any{"endTime": "2026-09-06T01:00:00+02:00"}), "2026-09-05 15:30:00 to 2026-09-06 01:00:00, confirmed true"},
			} {
				if v := s.send(t, c.ev); v.Kind != adapter.KindDelivered {
					t.Errorf("%s: %+v", c.ev.Type, v)
				}
				e := s.sim.Entries()[0]
				if got := fmt.Sprintf("%v %v to %v %v, confirmed %v", e["startDate"], e["startTime"], e["endDate"], e["endTime"], e["confirmed"]); got != c.want {
					t.Errorf("after %s the entry is %s, want %s", c.ev.Type, got, c.want)
				}
			}
			if v := s.send(t, withPayload(t, first, map[string]any{"coupleId": "cpl_2", "notes": "<b>&"})); v.Kind != adapter.KindDelivered {
				t.Errorf("%+v", v)
			}
			all := s.sim.Entries()
			if len(all) != 2 {
				t.Fatalf("%d entries, want one a couple: %v", len(all), all)
			}
			if text := all[1]["descriptionHtml"].(string); !strings.Contains(text, "Notes: &lt;b&gt;&amp;") || strings.Contains(text, "<b>") {
				t.Errorf("the description holds markup: %s", text)
			}
		})
	}
}

// TestVSCOQuota waits as long as the vendor asks, whichever of the two calls was one too many.
func TestVSCOQuota(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newVSCOStudio(t, vendors.Config{RateLimits: true, Now: func() time.Time { return now }})
	ev := sampleOf(t, "vsco", adapter.TypeTimelineUpdated)
	for range 5 { // two calls each
		if v := s.send(t, ev); v.Kind != adapter.KindDelivered {
			t.Fatalf("%+v", v)
		}
	}
	if v := s.send(t, ev); v.Kind != adapter.KindRetry || v.RetryAfter != time.Second || v.Reason != "http_429" || v.Fault {
		t.Errorf("verdict %+v, want a retry after 1 s", v)
	}
}

// TestVSCOLookUp writes nothing unless it is known whether there is an entry already.
func TestVSCOLookUp(t *testing.T) {
	t.Parallel()
	conn := connected(t, "vsco")
	body, err := conn.Encode(sampleOf(t, "vsco", adapter.TypeTimelineUpdated))
	if err != nil {
		t.Fatal(err)
	}
	call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const mine = `"externalMappings":[{"id":"cpl_7Qm2x","url":"https://weddings.example.com/couples"}]`
	for _, c := range []struct {
		status int
		body   string
		calls  []string
		kind   adapter.Kind
		fault  bool
		reason string
	}{
		{200, `{"items":[]}`, []string{"GET", "POST"}, adapter.KindDelivered, false, ""},
		{200, `{"items":[{"id":"01h35c",` + mine + `}]}`, []string{"GET", "PUT"}, adapter.KindDelivered, false, ""},
		{200, `{"items":[{"id":"01h35c","externalMappings":[{"id":"cpl_other"}]}]}`, []string{"GET"}, adapter.KindRetry, true, "unexpected_answer"},
		{200, `{"items":[{"id":"../job/1",` + mine + `}]}`, []string{"GET"}, adapter.KindRetry, true, "unexpected_answer"},
		{200, `<html>`, []string{"GET"}, adapter.KindRetry, true, "unexpected_answer"},
		{200, `{}`, []string{"GET"}, adapter.KindRetry, true, "unexpected_answer"},
		{204, ``, []string{"GET"}, adapter.KindRetry, true, "unexpected_answer"},
		{400, `{"type":"validation-error"}`, []string{"GET"}, adapter.KindPause, false, "http_400"},
		{401, `key`, []string{"GET"}, adapter.KindPause, false, "http_401"},
		{500, ``, []string{"GET"}, adapter.KindRetry, true, "http_500"},
		{0, ``, []string{"GET"}, adapter.KindRetry, true, ""},
	} {
		var calls []string
		answer := adapter.Exchange(t.Context(), conn, call, time.Now(), func(_ context.Context, call *event.Call) *event.Answer {
			calls = append(calls, call.HTTP.Method)
			if call.HTTP.Method == http.MethodGet {
				var err error
				if c.status == 0 {
					err = context.DeadlineExceeded
				}
				return &event.Answer{Status: c.status, Body: []byte(c.body), Err: err}
			}
			if put := call.HTTP.Method == http.MethodPut; put == strings.Contains(string(call.HTTP.Body), "externalMappings") || put != strings.HasSuffix(call.HTTP.URL, "/event/01h35c") {
				t.Errorf("%s %s %s", call.HTTP.Method, call.HTTP.URL, call.HTTP.Body)
			}
			return &event.Answer{Status: http.StatusOK}
		})
		v := conn.Classify(nil, answer)
		if !slices.Equal(calls, c.calls) || v.Kind != c.kind || v.Fault != c.fault || v.Reason != c.reason || strings.Contains(v.Detail, "key") {
			t.Errorf("a look-up answered %d %s: calls %v, %+v", c.status, c.body, calls, v)
		}
	}
}

func TestVSCOEncode(t *testing.T) {
	t.Parallel()
	conn := connected(t, "vsco")
	ev := sampleOf(t, "vsco", adapter.TypeBookingConfirmed)
	encodeError(t, conn, withPayload(t, ev, map[string]any{"coupleId": nil}), "coupleId")
	encodeError(t, conn, withPayload(t, ev, map[string]any{"coupleId": strings.Repeat("x", 65)}), "coupleId")
	encodeError(t, conn, withPayload(t, ev, map[string]any{"ceremonyTime": "2026-06-20"}), "ceremonyTime")
	encodeError(t, conn, withPayload(t, ev, map[string]any{"endTime": "late"}), "endTime")
	encodeError(t, conn, withPayload(t, ev, map[string]any{"venue": []string{"a"}}), "venue")
	got := encoded(t, conn, withPayload(t, ev, map[string]any{"venue": nil, "endTime": "2026-06-20T22:30:00Z"}))["event"].(map[string]any)
	if got["endDate"] != "2026-06-21" || got["endTime"] != "00:30:00" || got["location"] != nil {
		t.Errorf("the end is by another clock than the start: %v", got)
	}
	body, err := conn.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Now())
	if err != nil || !strings.Contains(string(call.HTTP.Body), `"jobId":"01h35ccwymj5ctckp8px1azhg6"`) {
		t.Errorf("%v, %v: the entry does not belong to the job", call, err)
	}
	if _, err := conn.Call(&event.Delivery{Body: []byte(`{}`)}, time.Now()); err == nil {
		t.Error("a body of another adapter is taken")
	}
}

// tell sends a client's profile.
func (s *vscoStudio) tell(t *testing.T, p event.Profile) adapter.Verdict {
	t.Helper()
	body, err := s.conn.(adapter.ProfileKeeper).EncodeProfile(&p)
	if err != nil {
		t.Fatal(err)
	}
	d := &event.Delivery{ID: "dlv_" + p.ClientID, EventID: "sync_1", EventType: event.TypeClientProfile, Body: body}
	call, err := s.conn.Call(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s.conn.Classify(d, adapter.Exchange(t.Context(), s.conn, call, time.Now(), s.sender.Do))
}

// TestVSCOOneContact makes one contact a client, also where several have one address, and writes over none
// that is not the client's.
func TestVSCOOneContact(t *testing.T) {
	t.Parallel()
	s := newVSCOStudio(t, vendors.Config{})
	planner := event.Profile{ClientID: "c1", Name: "Amélie & Jonas Martin", Email: "planner@example.com"}
	other := planner
	other.ClientID, other.Name = "c2", "Bo"
	remove := s.sim.Faults().Add(vendors.Fault{LoseAnswer: true})
	if v := s.tell(t, planner); v.Kind != adapter.KindRetry || v.Kept != "" {
		t.Errorf("a lost answer: %+v", v)
	}
	remove()
	changed := planner
	changed.Phone = "+33 6 12 34 56 78"
	for i, c := range []struct {
		profile event.Profile
		kept    event.ProfileOutcome
	}{{planner, event.ProfileUpdated}, {other, event.ProfileCreated}, {changed, event.ProfileUpdated}, {other, event.ProfileUpdated}} {
		if v := s.tell(t, c.profile); v.Kind != adapter.KindDelivered || v.Kept != c.kept {
			t.Errorf("%d: %+v, want %s", i, v, c.kept)
		}
	}
	all := s.sim.Contacts()
	if len(all) != 2 || all[0]["firstName"] != "Amélie & Jonas Martin" || all[0]["cellPhone"] == nil || all[1]["firstName"] != "Bo" {
		t.Errorf("the address book has %v", all)
	}
	if got := s.sim.Clients(); len(got) != 2 || got["c2"]["email"] != "planner@example.com" {
		t.Errorf("clients %v", got)
	}
}

func TestVSCOEncodeProfile(t *testing.T) {
	t.Parallel()
	keeper := connected(t, "vsco").(adapter.ProfileKeeper)
	full := event.Profile{ClientID: "c1", Name: "A B", Email: "a@example.com", Phone: "+33 6.12-34", WeddingDate: "2026-06-20T23:30:00+02:00", Notes: "x"}
	for want, change := range map[string]func(*event.Profile){
		`{"kind":"person","firstName":"A B","email":"a@example.com","cellPhone":{"e164":"+3361234"},"anniversary":"2026-06-20"}`: func(*event.Profile) {},
		`{"kind":"person","firstName":"Bo","email":"a@example.com","cellPhone":{"formatted":"06 12 (34)"},"anniversary":"2026-06-21"}`: func(p *event.Profile) {
			p.Name, p.Phone, p.WeddingDate = "Bo", "06 12 (34)", "2026-06-21"
		},
		`{"kind":"person","firstName":"` + strings.Repeat("x", 47) + `…","email":"a@example.com"}`: func(p *event.Profile) {
			p.Name, p.Phone, p.WeddingDate = strings.Repeat("x", 60), "", ""
		},
		`{"kind":"person","firstName":"` + strings.Repeat("é ", 23) + `é","lastName":"` + strings.Repeat("b", 47) + `…","email":"a@example.com"}`: func(p *event.Profile) {
			p.Name, p.Phone, p.WeddingDate = strings.Repeat("é ", 24)+strings.Repeat("b", 60), "", ""
		},
	} {
		p := full
		change(&p)
		if body, err := keeper.EncodeProfile(&p); err != nil || string(body) != `{"clientId":"c1","person":`+want+`}` {
			t.Errorf("%s, %v; want %s", body, err, want)
		}
	}
	for field, change := range map[string]func(*event.Profile){
		"email": func(p *event.Profile) { p.Email = "" },
		"phone": func(p *event.Profile) { p.Phone = "0123456789 0123456789 01234" },
	} {
		p := full
		change(&p)
		var wrong *adapter.EncodeError
		if _, err := keeper.EncodeProfile(&p); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	conn := connected(t, "vsco")
	if _, err := conn.Call(&event.Delivery{EventType: event.TypeClientProfile, Body: []byte(`{}`)}, time.Now()); err == nil {
		t.Error("a body of another adapter is taken")
	}
	post := &event.Call{HTTP: &event.HTTPCall{Method: http.MethodPost, URL: "https://workspace.vsco.co/api/v2/address-book", Body: []byte(`{}`)}}
	if a := conn.(adapter.Exchanger).Exchange(t.Context(), post, time.Now(), nil); a.Err == nil {
		t.Error("a call without a mapping is made")
	}
}
