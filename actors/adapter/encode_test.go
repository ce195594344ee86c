package adapter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

func TestStudioCloudBody(t *testing.T) {
	t.Parallel()
	conn := connected(t, "studiocloud")
	ev := sampleOf(t, "studiocloud", adapter.TypeTimelineUpdated)
	body := encoded(t, conn, ev)
	if got := slices.Sorted(maps.Keys(body)); !slices.Equal(got, []string{"client_id", "location", "shoot_date", "special_requests", "timeline"}) {
		t.Errorf("fields %v", got)
	}
	if body["shoot_date"] != "2026-06-20T16:00:00+02:00" {
		t.Errorf("shoot_date %v: the offset must be kept", body["shoot_date"])
	}
	body = encoded(t, conn, withPayload(t, ev, map[string]any{"venue": nil, "schedule": nil, "notes": nil}))
	for _, field := range []string{"location", "timeline", "special_requests"} {
		if v, given := body[field]; !given || v != nil {
			t.Errorf("%s is %v, want null: the event says nothing about it", field, v)
		}
	}
	if body = encoded(t, conn, withPayload(t, ev, map[string]any{"coupleId": 42})); body["client_id"] != "42" {
		t.Errorf("client_id %v, want the number as text", body["client_id"])
	}
	for field, values := range map[string][]any{
		"coupleId":     {nil, "", []int{1}, map[string]any{}},
		"ceremonyTime": {nil, "", "2026-06-20", "2026-06-20T16:00:00", 1773480413},
		"venue":        {map[string]any{"name": "x"}, []string{"x"}},
	} {
		for _, value := range values {
			encodeError(t, conn, withPayload(t, ev, map[string]any{field: value}), field)
		}
	}
}

func TestStudioCloudMessage(t *testing.T) {
	t.Parallel()
	conn := connected(t, "studiocloud")
	ev := sampleOf(t, "studiocloud", adapter.TypeClientMessage)
	body := encoded(t, conn, withPayload(t, ev, map[string]any{"ceremonyTime": nil, "notes": "not this", "text": "Hello"}))
	if v, given := body["shoot_date"]; !given || v != nil || body["special_requests"] != "Hello" || body["client_id"] != "cpl_7Qm2x" {
		t.Errorf("body %v", body)
	}
	for field, values := range map[string][]any{"text": {nil, "", []string{"x"}}, "coupleId": {nil}, "ceremonyTime": {"soon"}} {
		for _, value := range values {
			encodeError(t, conn, withPayload(t, ev, map[string]any{field: value}), field)
		}
	}
}

func TestVenueMasterBody(t *testing.T) {
	t.Parallel()
	conn := connected(t, "venuemaster")
	guests := sampleOf(t, "venuemaster", adapter.TypeGuestCountChanged)
	data := encoded(t, conn, guests)["data"].(map[string]any)
	if data["guest_count"] != 118.0 || data["previous_guest_count"] != 124.0 || data["client_id"] != "cpl_7Qm2x" {
		t.Errorf("data %v", data)
	}
	data = encoded(t, conn, withPayload(t, guests, map[string]any{"guestCount": 0, "previousGuestCount": nil, "notes": nil}))["data"].(map[string]any)
	if _, given := data["previous_guest_count"]; given || data["guest_count"] != 0.0 {
		t.Errorf("data %v: nought is a number, and nothing is nothing", data)
	}
	for field, values := range map[string][]any{
		"coupleId": {nil}, "venueId": {[]int{1}},
		"guestCount":         {nil, -1, 1.5, "many", 1 << 40},
		"previousGuestCount": {"many"},
	} {
		for _, value := range values {
			encodeError(t, conn, withPayload(t, guests, map[string]any{field: value}), field)
		}
	}
	moved := sampleOf(t, "venuemaster", adapter.TypeWeddingDateChanged)
	encodeError(t, conn, withPayload(t, moved, map[string]any{"ceremonyTime": nil}), "ceremonyTime")
	encodeError(t, conn, withPayload(t, moved, map[string]any{"previousCeremonyTime": "then"}), "previousCeremonyTime")
	details := sampleOf(t, "venuemaster", adapter.TypeEventDetails)
	for field, value := range map[string]any{"coupleId": "", "ceremonyTime": nil, "endTime": "late", "guestCount": "many", "layout": []int{1}, "setupTime": "early"} {
		encodeError(t, conn, withPayload(t, details, map[string]any{field: value}), field)
	}
	encodeError(t, conn, withPayload(t, sampleOf(t, "venuemaster", adapter.TypeSetupChanged), map[string]any{"layout": ""}), "layout")
}

// TestVenueDetails tells each venue system the same, and is told the same, in the system's own words.
func TestVenueDetails(t *testing.T) {
	t.Parallel()
	for vendor, words := range map[string][]string{ // of couple, venue, start, end, guests, layout, set-up
		"venuemaster":   {"client_id", "venue_id", "event_date", "event_end", "guest_count", "layout", "setup_time"},
		"partyrental":   {"customer_id", "site_id", "event_start", "event_end", "head_count", "floor_plan", "delivery_time"},
		"eventplanning": {"clientId", "venueId", "startsAt", "endsAt", "attendees", "seatingPlan", "setupAt"},
	} {
		conn := connected(t, vendor)
		told := sampleOf(t, vendor, adapter.TypeEventDetails)
		body, err := conn.Encode(told)
		if err != nil {
			t.Fatal(err)
		}
		data := encoded(t, conn, told)["data"].(map[string]any)
		for _, word := range words {
			if _, given := data[word]; !given {
				t.Errorf("%s is not told %s, only %v", vendor, word, data)
			}
		}
		got, err := conn.(adapter.Receiver).Decode(&adapter.Inbound{Header: http.Header{}, Body: body})
		if err != nil || len(got.Messages) != 1 || got.Messages[0].WeddingID != "cpl_7Qm2x" {
			t.Fatalf("%s: its own words give %+v, %v", vendor, got, err)
		}
		var sent, back map[string]any
		if err := errors.Join(json.Unmarshal(told.Payload, &sent), json.Unmarshal(got.Messages[0].Payload, &back)); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"coupleId", "venueId", "ceremonyTime", "endTime", "guestCount", "layout", "setupTime"} {
			if back[field] != sent[field] || back[field] == nil {
				t.Errorf("%s: %s is %v, and comes back as %v", vendor, field, sent[field], back[field])
			}
		}
	}
}

// slackBlocks is as much of a message as the tests look at.
type slackBlocks struct {
	Text   string
	Blocks []struct {
		Type     string
		BlockID  string `json:"block_id"`
		Text     *struct{ Type, Text string }
		Fields   []struct{ Text string }
		Elements []struct {
			Text     string
			Verbatim bool
		}
	}
}

func slackMessage(t *testing.T, ev *event.Event) slackBlocks {
	t.Helper()
	raw, err := connected(t, "slack").Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	var m slackBlocks
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestSlackSizes fills everything beyond what Slack takes.
func TestSlackSizes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("&é<", 1500)
	fields := map[string]any{"coupleName": long, "venue": long, "notes": long, "reason": long}
	for i := range 45 {
		fields[fmt.Sprintf("detail%03d%s", i, strings.Repeat("X", 100))] = long
	}
	entries := make([]any, 120)
	for i := range entries {
		entries[i] = map[string]any{"time": "10:00", "title": long[:1000]}
	}
	fields["schedule"] = entries
	m := slackMessage(t, withPayload(t, sampleOf(t, "slack", adapter.TypeTimelineUpdated), fields))
	if len(m.Blocks) > 50 || len(m.Blocks) < 6 {
		t.Errorf("%d blocks", len(m.Blocks))
	}
	within := func(what, text string, limit int) {
		t.Helper()
		n := utf8.RuneCountInString(text)
		if n > limit || n == 0 || !utf8.ValidString(text) {
			t.Errorf("%s has %d characters, at most %d are allowed", what, n, limit)
		}
		for _, escape := range strings.Split(text, "&")[1:] {
			if !strings.HasPrefix(escape, "amp;") && !strings.HasPrefix(escape, "lt;") && !strings.HasPrefix(escape, "gt;") {
				t.Errorf("%s is cut inside an escape: %.10q", what, escape)
			}
		}
	}
	within("text", m.Text, 40_000)
	for _, b := range m.Blocks {
		switch b.Type {
		case "header":
			if n := utf8.RuneCountInString(b.Text.Text); n > 150 || b.Text.Type != "plain_text" {
				t.Errorf("the header has %d characters", n)
			}
		case "section":
			if len(b.Fields) > 10 || b.Text == nil && len(b.Fields) == 0 {
				t.Errorf("%d fields", len(b.Fields))
			}
			if b.Text != nil {
				within("a section", b.Text.Text, 3000)
			}
			for _, f := range b.Fields {
				within("a field", f.Text, 2000)
			}
		case "context":
			within("the context", b.Elements[0].Text, 2000)
		default:
			t.Errorf("block %q", b.Type)
		}
	}
}

func TestSlackText(t *testing.T) {
	t.Parallel()
	ev := withPayload(t, sampleOf(t, "slack", adapter.TypeCapacityChanged), map[string]any{
		"coupleName": "<!channel> & co", "reason": "<https://evil.example|click>", "notes": "@here",
	})
	ev.ID = strings.Repeat("i", 300)
	m := slackMessage(t, ev)
	raw, _ := json.Marshal(m)
	if strings.Contains(string(raw), `*\n\u003c`) || strings.Contains(m.Text, "<") {
		t.Errorf("mrkdwn is not escaped: %s", raw)
	}
	if m.Text != "Venue capacity changed: &lt;!channel&gt; &amp; co" {
		t.Errorf("text %q", m.Text)
	}
	if len(m.Blocks[0].BlockID) != 255 {
		t.Errorf("block_id of %d bytes", len(m.Blocks[0].BlockID))
	}
	if last := m.Blocks[len(m.Blocks)-1]; last.Type != "context" || !last.Elements[0].Verbatim || last.BlockID != event.DeliveryID(ev.Channel, ev.ID, "int_1") {
		t.Errorf("context %+v", last)
	}
}

// TestNotice tells an event of a type that no adapter knows.
func TestNotice(t *testing.T) {
	t.Parallel()
	ev := sampleOf(t, "email", adapter.TypeTimelineUpdated)
	other := *ev
	other.Type = "cake.layers_changed"
	other.Payload = json.RawMessage(`{
		"coupleId": "cpl_1", "bakerId": "b_1", "cakeLayers": 4, "previousCakeLayers": 3, "previousOwner": "Zoë",
		"glutenFree": true, "empty": "", "nothing": null, "nested": {"x": 1}, "": "no name", "tastingAt": "2026-05-01T10:00:00Z",
		"schedule": ["10:00 oven", 7, "", {"time": "2026-05-01T12:00:00+02:00", "title": "Icing\nand more"}, [], {"x": 1}]
	}`)
	text := encoded(t, connected(t, "email"), &other)["text"]
	want := `Cake layers changed: cpl_1
Cake layers: 4 (was 3)
Gluten free: true
Previous owner: Zoë
Tasting at: Friday 1 May 2026, 10:00 (UTC+00:00)

Schedule
10:00 oven
7
Friday 1 May 2026, 12:00 (UTC+02:00)  Icing and more
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	bare := *ev
	bare.Payload = json.RawMessage(`{"ceremonyTime":"2026-06-20T16:00:00+02:00","schedule":"  "}`)
	if text := encoded(t, connected(t, "email"), &bare)["text"]; text != "Timeline updated\nCeremony: Saturday 20 June 2026, 16:00 (UTC+02:00)\n" {
		t.Errorf("got %q", text)
	}
}

// wire gives the message that would be sent.
func whatsAppWire(t *testing.T, conn adapter.Connection, ev *event.Event) (wire struct {
	To       string
	Type     string
	Callback string `json:"biz_opaque_callback_data"`
	Text     *struct{ Body string }
	Template *struct {
		Name       string
		Language   struct{ Code string }
		Components []struct {
			Parameters []struct{ Type, Text string }
		}
	}
},
) {
	t.Helper()
	body, err := conn.Encode(ev)
	if err != nil {
		t.Fatal(err)
	}
	call, err := conn.Call(&event.Delivery{ID: "dlv_1", Body: body}, time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(call.HTTP.Body, &wire); err != nil {
		t.Fatal(err)
	}
	if call.Recipient != wire.To || wire.Callback != "dlv_1" {
		t.Errorf("recipient %q, to %q, callback data %q", call.Recipient, wire.To, wire.Callback)
	}
	return wire
}

func TestWhatsAppTemplates(t *testing.T) {
	t.Parallel()
	settings, secrets := settled("whatsapp")
	in := withSetting(event.Integration{Settings: json.RawMessage(settings)}, "templates", map[string]any{
		"timeline.updated":  map[string]any{"name": "timeline_v2", "language": "fr", "parameters": []string{"coupleName", "ceremonyTime", "$title", "guestCount"}},
		"wedding.cancelled": map[string]any{"name": "goodbye"},
		"*":                 map[string]any{"name": "anything", "parameters": []string{"$title", "$summary"}},
	})
	conn := connect(t, "whatsapp", string(in.Settings), secrets)
	ev := withPayload(t, sampleOf(t, "whatsapp", adapter.TypeTimelineUpdated), map[string]any{
		"coupleName": "A\n\tB      C", "guestCount": 12,
	})
	wire := whatsAppWire(t, conn, ev)
	if wire.Type != "template" || wire.Template.Name != "timeline_v2" || wire.Template.Language.Code != "fr" || wire.To != "+33612345678" {
		t.Errorf("message %+v", wire)
	}
	var got []string
	for _, p := range wire.Template.Components[0].Parameters {
		got = append(got, p.Text)
	}
	if want := []string{"A B C", "Saturday 20 June 2026, 16:00 (UTC+02:00)", "Timeline updated", "12"}; !slices.Equal(got, want) {
		t.Errorf("parameters %q, want %q", got, want)
	}
	for field, value := range map[string]any{"coupleName": nil, "guestCount": []int{1}, "ceremonyTime": " \n "} {
		encodeError(t, conn, withPayload(t, ev, map[string]any{field: value}), field)
	}
	if wire := whatsAppWire(t, conn, sampleOf(t, "whatsapp", adapter.TypeWeddingCancelled)); wire.Template.Name != "goodbye" || wire.Template.Components != nil || wire.Template.Language.Code != "en_US" {
		t.Errorf("message %+v", wire.Template)
	}
	if wire := whatsAppWire(t, conn, sampleOf(t, "whatsapp", adapter.TypeGuestCountChanged)); wire.Template.Name != "anything" {
		t.Errorf("message %+v", wire.Template)
	}

	standard := connected(t, "whatsapp")
	odd := *sampleOf(t, "whatsapp", adapter.TypeGuestCountChanged)
	odd.Type = "cake-layers.changed"
	odd.Payload = json.RawMessage(`{"coupleId":"c","notes":"Only a note"}`)
	wire = whatsAppWire(t, standard, &odd)
	if wire.Template.Name != "cake_layers_changed" || wire.Template.Components[0].Parameters[1].Text != "Only a note" {
		t.Errorf("message %+v", wire.Template)
	}
	odd.Payload = json.RawMessage(`{"coupleId":"c"}`)
	if wire = whatsAppWire(t, standard, &odd); wire.Template.Components[0].Parameters[1].Text != "Cake layers changed" {
		t.Errorf("message %+v", wire.Template)
	}
	odd.Payload = json.RawMessage(`{"notes":"x"}`)
	encodeError(t, standard, &odd, "coupleName")
}

func TestWhatsAppSizes(t *testing.T) {
	t.Parallel()
	settings, secrets := settled("whatsapp")
	long := strings.Repeat("né ", 5000)
	fields := map[string]any{"coupleName": long, "venue": long, "notes": long, "reason": long, "layout": long}
	for _, mode := range []string{"template", "text"} {
		in := withSetting(event.Integration{Settings: json.RawMessage(settings)}, "mode", mode)
		wire := whatsAppWire(t, connect(t, "whatsapp", string(in.Settings), secrets),
			withPayload(t, sampleOf(t, "whatsapp", adapter.TypeTimelineUpdated), fields))
		if wire.Type != mode {
			t.Fatalf("type %q, want %q", wire.Type, mode)
		}
		if mode == "text" {
			if n := utf8.RuneCountInString(wire.Text.Body); n > 4096 || n < 4000 {
				t.Errorf("a text of %d characters", n)
			}
			continue
		}
		total := 0
		for _, p := range wire.Template.Components[0].Parameters {
			total += utf8.RuneCountInString(p.Text)
		}
		if total > 1024 {
			t.Errorf("parameters of %d characters", total)
		}
	}
}

// TestStoredBody refuses a body that another adapter, or a bug, left in the log.
func TestStoredBody(t *testing.T) {
	t.Parallel()
	bot := connect(t, "slack", `{"channel":"C1"}`, event.Secrets{"bot_token": {event.SecretOf("xoxb-1")}})
	for _, body := range []string{``, `null`, `[]`, `7`} {
		d := &event.Delivery{ID: "dlv_1", Body: json.RawMessage(body)}
		for name, conn := range map[string]adapter.Connection{"whatsapp": connected(t, "whatsapp"), "slack": bot} {
			if call, err := conn.Call(d, time.Unix(1, 0)); err == nil {
				t.Errorf("%s makes %s of the body %q", name, call.HTTP.Body, body)
			}
		}
	}
	if _, err := connected(t, "email").Call(&event.Delivery{Body: json.RawMessage(`[]`)}, time.Unix(1, 0)); err == nil {
		t.Error("email takes the body []")
	}
	call, err := bot.Call(&event.Delivery{ID: "dlv_1", Body: json.RawMessage(`{}`)}, time.Unix(1, 0))
	if err != nil || !json.Valid(call.HTTP.Body) {
		t.Errorf("an empty object gives %v, %v", call, err)
	}
}
