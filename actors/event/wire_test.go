package event_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// TestDeliveryID pins the ids that receivers have remembered: the first 16 bytes of sha256 of the
// channel, the event's id and the integration's, with zero bytes between them.
func TestDeliveryID(t *testing.T) {
	t.Parallel()
	const want = "dlv_089318c064e34e185cf701a2f985e98e"
	if got := event.DeliveryID("supplier:dashboard:42", "0197a3c0-5b1e-7c3a-9d52-6f0e8a1b2c3d", "studiocloud-42"); got != want {
		t.Errorf("got %s, want %s: receivers would take retries for new deliveries", got, want)
	}
	seen := map[string][]string{}
	for _, parts := range [][]string{{"c", "a", "b"}, {"c", "ab", ""}, {"ca", "", "b"}, {"d", "a", "b"}} {
		id := event.DeliveryID(parts[0], parts[1], parts[2])
		if seen[id] != nil {
			t.Errorf("%q and %q have one id", seen[id], parts)
		}
		seen[id] = parts
	}
}

// TestDedupKey: an id is its own on its channel, and a webhook's everywhere.
func TestDedupKey(t *testing.T) {
	t.Parallel()
	key := func(channel, id, source string) string {
		ev := event.Event{Channel: channel, ID: id, Source: source}
		return ev.DedupKey()
	}
	first := key("a:b", "1", "api")
	if len(first) != 22 || first != key("a:b", "1", "client:anna") {
		t.Errorf("%q by the API, %q by a client: want one of 22 characters", first, key("a:b", "1", "client:anna"))
	}
	webhook := key("a:b", "1", "webhook:x")
	if webhook != key("c", "1", "webhook:x") {
		t.Error("a webhook counts again on another channel")
	}
	for name, other := range map[string]string{
		"another channel": key("c", "1", "api"), "another id": key("a:b", "2", "api"), "the border moved": key("a:b1", "", "api"),
		"a webhook": webhook, "another's webhook": key("a:b", "1", "webhook:y"), "a channel named like a webhook": key("webhook:x", "1", "api"),
	} {
		if other == first || name != "a webhook" && other == webhook {
			t.Errorf("%s: the same key", name)
		}
	}
}

var (
	accepted = time.Date(2026, 6, 20, 13, 0, 0, 123456789, time.UTC)
	routed   = accepted.Add(2 * time.Millisecond)
)

func sampleEvent() event.Event {
	return event.Event{
		V: event.Version, ID: "ev1", Channel: "supplier:dashboard:42", Type: "timeline.updated",
		Payload: json.RawMessage(`{"coupleId":"7"}`), OccurredAt: accepted.Add(-time.Second), AcceptedAt: accepted,
		Source: "client:anna", CorrelationID: "c1", TraceParent: "00-a-b-01", WeddingID: "7",
		Via: []string{"dashboards"}, Seq: 99,
	}
}

func sampleDelivery() event.Delivery {
	return event.Delivery{
		V: event.Version, ID: "dlv_1", EventID: "ev1", EventSeq: 99, EventType: "timeline.updated",
		Channel: "supplier:dashboard:42", Integration: "studiocloud-42", Vendor: "studiocloud",
		Category: event.PhotographyCRM, WeddingID: "7", CorrelationID: "c1", TraceParent: "00-a-b-01",
		Recipient: "+33612345678", Vars: map[string]string{"supplierId": "42"},
		AcceptedAt: accepted, RoutedAt: routed, NotBefore: accepted.Add(time.Hour),
		Quiet: &event.QuietHours{From: "22:00", To: "07:00", TimeZone: "Europe/Paris"}, Critical: true, Replay: 1, Died: accepted, Queued: 12, Digest: []uint64{98, 99}, Profile: "a.b", Body: json.RawMessage(`{"client_id":"7"}`),
	}
}

func sampleAttempt() event.Attempt {
	return event.Attempt{
		Number: 1, StartedAt: routed, Duration: event.Duration(1500 * time.Microsecond), Status: 503,
		Verdict: "retry", Reason: "throttled", Detail: "busy", Probe: true,
	}
}

func sampleRecord() event.Record {
	d := sampleDelivery()
	delivery := event.RecordOf(&d)
	delivery.PausedUntil = routed
	delivery.Attempts = []event.Attempt{sampleAttempt()}
	delivery.Result = &event.Result{Outcome: event.Dead, Reason: event.ReasonExhausted, FinishedAt: routed, Attempts: 4}
	return event.Record{
		V: event.Version, Node: "n1", Delivery: delivery,
		Receipt: &event.Receipt{DeliveryID: "dlv_1", Integration: "whatsapp-1", Vendor: "whatsapp", EventID: "whk_1", Status: event.ReceiptFailed, At: accepted, Reason: "131026", Detail: "d"},
		Audit:   &event.Audit{At: accepted, Actor: "admin:ops", Action: "integration.put", Target: "studiocloud-42", Outcome: "ok", Detail: "d", From: "127.0.0.1", Owner: map[string]string{"supplierId": "42"}},
		Health:  &event.HealthChange{Integration: "slack-1", Vendor: "slack", Before: event.Healthy, State: event.Open, Reason: "r", At: accepted},
	}
}

const (
	eventJSON = `{"v":1,"id":"ev1","channel":"supplier:dashboard:42","type":"timeline.updated",` +
		`"payload":{"coupleId":"7"},"occurredAt":"2026-06-20T12:59:59.123456789Z","acceptedAt":"2026-06-20T13:00:00.123456789Z",` +
		`"source":"client:anna","correlationId":"c1","traceparent":"00-a-b-01","weddingId":"7",` +
		`"via":["dashboards"]}`
	deliveryJSON = `{"v":1,"id":"dlv_1","eventId":"ev1","eventSeq":99,"eventType":"timeline.updated",` +
		`"channel":"supplier:dashboard:42","integration":"studiocloud-42","vendor":"studiocloud","category":"photography-crm",` +
		`"weddingId":"7","correlationId":"c1","traceparent":"00-a-b-01","recipient":"+33612345678","vars":{"supplierId":"42"},"acceptedAt":"2026-06-20T13:00:00.123456789Z",` +
		`"routedAt":"2026-06-20T13:00:00.125456789Z","notBefore":"2026-06-20T14:00:00.123456789Z",` +
		`"quiet":{"from":"22:00","to":"07:00","timeZone":"Europe/Paris"},"critical":true,"replay":1,"died":"2026-06-20T13:00:00.123456789Z","queued":12,"digest":[98,99],"profile":"a.b","body":{"client_id":"7"}}`
	attemptJSON = `{"number":1,"startedAt":"2026-06-20T13:00:00.125456789Z","duration":"1.5ms","status":503,` +
		`"verdict":"retry","reason":"throttled","detail":"busy","probe":true}`
	recordJSON = `{"v":1,"node":"n1","delivery":{"id":"dlv_1","replay":1,"eventId":"ev1","eventType":"timeline.updated",` +
		`"channel":"supplier:dashboard:42","integration":"studiocloud-42","vendor":"studiocloud","category":"photography-crm",` +
		`"weddingId":"7","traceparent":"00-a-b-01","acceptedAt":"2026-06-20T13:00:00.123456789Z","routedAt":"2026-06-20T13:00:00.125456789Z","notBefore":"2026-06-20T14:00:00.123456789Z",` +
		`"pausedUntil":"2026-06-20T13:00:00.125456789Z","died":"2026-06-20T13:00:00.123456789Z","attempts":[` + attemptJSON + `],"result":{"outcome":"dead","reason":"attempts_exhausted",` +
		`"finishedAt":"2026-06-20T13:00:00.125456789Z","attempts":4}},"receipt":{"deliveryId":"dlv_1","integration":"whatsapp-1","vendor":"whatsapp","eventId":"whk_1",` +
		`"status":"failed","at":"2026-06-20T13:00:00.123456789Z","reason":"131026","detail":"d"},"audit":{"at":"2026-06-20T13:00:00.123456789Z",` +
		`"actor":"admin:ops","action":"integration.put","target":"studiocloud-42","outcome":"ok","detail":"d","from":"127.0.0.1","owner":{"supplierId":"42"}},` +
		`"health":{"integration":"slack-1","vendor":"slack","before":"healthy","state":"open","reason":"r","at":"2026-06-20T13:00:00.123456789Z"}}`
	deadLetterJSON = `{"v":1,"delivery":` + deliveryJSON + `,"event":` + eventJSON + `,"eventSeq":99,"attempts":[` + attemptJSON + `],` +
		`"reason":"attempts_exhausted","detail":"d","diedAt":"2026-06-20T13:00:00.125456789Z"}`
	integrationJSON = `{"v":1,"id":"studiocloud-42","name":"Studio","vendor":"studiocloud","category":"photography-crm",` +
		`"owner":{"supplierId":"42"},"settings":{"url":"https://example.com"},"channel":"couple:{coupleId}",` +
		`"limits":{"perSecond":0.5,"burst":2,"perRecipient":"6s","recipientBurst":45,"maxInFlight":3,"webhooksPerHour":4,"timeout":"30s","parkLimit":"24h0m0s"},` +
		`"disabled":true,"paused":{"reason":"r","by":"admin:ops","at":"2026-06-20T13:00:00.123456789Z"},"resumed":"2026-06-20T13:00:00.125456789Z"}`
	mappingJSON = `{"v":1,"id":"m1","pattern":"supplier:dashboard:{supplierId}","types":["timeline.updated"],` +
		`"targets":[{"category":"photography-crm"},{"integration":"slack-1","types":["timeline.updated"],"recipients":["#weddings"],"quietHours":{"from":"22:00","to":"07:00","timeZone":"Europe/Paris"},"digest":{"window":"15m0s"},"critical":["wedding.cancelled"]}],"when":"true","fields":{"notes":"1"}}`
	healthJSON = `{"integration":"slack-1","vendor":"slack","state":"open","reason":"r","lastError":"e",` +
		`"lastErrorAt":"2026-06-20T13:00:00.123456789Z","successRate":0.5,"waiting":1,"parked":2,"inFlight":3,"held":4,"heldUntil":"2026-06-20T13:00:00.123456789Z",` +
		`"nextProbe":"2026-06-20T13:00:00.123456789Z",` +
		`"lastProbe":{"at":"2026-06-20T13:00:00.123456789Z","ok":true,"reason":"r","duration":"1s"},"since":"2026-06-20T13:00:00.123456789Z"}`
)

// TestWireFormat pins what stands in the log and is sent to clients. A change here needs a new
// Version, or must be one that older releases can read.
func TestWireFormat(t *testing.T) {
	t.Parallel()
	integration := event.Integration{
		V: 1, ID: "studiocloud-42", Name: "Studio", Vendor: "studiocloud", Category: event.PhotographyCRM,
		Owner: map[string]string{"supplierId": "42"}, Settings: json.RawMessage(`{"url":"https://example.com"}`),
		Channel: "couple:{coupleId}", Disabled: true, Paused: &event.Pause{Reason: "r", By: "admin:ops", At: accepted}, Resumed: routed,
		Limits: event.Limits{
			PerSecond: 0.5, Burst: 2, PerRecipient: event.Duration(6 * time.Second), RecipientBurst: 45, MaxInFlight: 3, WebhooksPerHour: 4,
			Timeout: event.Duration(30 * time.Second), ParkLimit: event.Duration(24 * time.Hour),
		},
	}
	for want, v := range map[string]any{
		eventJSON:    sampleEvent(),
		deliveryJSON: sampleDelivery(),
		attemptJSON:  sampleAttempt(),
		recordJSON:   sampleRecord(),
		deadLetterJSON: event.DeadLetter{
			V: 1, Delivery: sampleDelivery(), Event: sampleEvent(), EventSeq: 99, Attempts: []event.Attempt{sampleAttempt()},
			Reason: event.ReasonExhausted, Detail: "d", DiedAt: routed,
		},
		integrationJSON: integration,
		mappingJSON: event.Mapping{
			V: 1, ID: "m1", Pattern: "supplier:dashboard:{supplierId}", Types: []string{"timeline.updated"},
			Targets: []event.Target{{Category: event.PhotographyCRM}, {
				Integration: "slack-1", Types: []string{"timeline.updated"}, Recipients: []string{"#weddings"},
				QuietHours: &event.QuietHours{From: "22:00", To: "07:00", TimeZone: "Europe/Paris"}, Digest: &event.Digest{Window: event.Duration(15 * time.Minute)}, Critical: []string{"wedding.cancelled"},
			}},
			When: "true", Fields: map[string]string{"notes": "1"},
		},
		healthJSON: event.Health{
			Integration: "slack-1", Vendor: "slack", State: event.Open, Reason: "r", LastError: "e", LastErrorAt: accepted,
			SuccessRate: 0.5, Waiting: 1, Parked: 2, InFlight: 3, Held: 4, HeldUntil: accepted, NextProbe: accepted,
			LastProbe: &event.Probe{At: accepted, OK: true, Reason: "r", Duration: event.Duration(time.Second)}, Since: accepted,
		},
	} {
		got, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
			continue
		}
		if string(got) != want {
			t.Errorf("%T:\n got %s\nwant %s", v, got, want)
		}
		if zero := zeroField(reflect.ValueOf(v), ""); zero != "" {
			t.Errorf("%T: the sample leaves %s out, so its name is not pinned", v, zero)
		}
		again := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal(got, again.Interface()); err != nil {
			t.Errorf("%T: %v", v, err)
		}
		if back, _ := json.Marshal(again.Interface()); string(back) != want {
			t.Errorf("%T: read and written again it is %s", v, back)
		}
	}
}

// zeroField names a field, at any depth, that JSON has and that is left at zero.
func zeroField(v reflect.Value, path string) string {
	switch v.Kind() {
	case reflect.Pointer:
		return zeroField(v.Elem(), path)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return ""
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Tag.Get("json") == "-" {
				continue
			}
			name := strings.TrimPrefix(path+"."+f.Name, ".")
			if v.Field(i).IsZero() {
				return name
			}
			if zero := zeroField(v.Field(i), name); zero != "" {
				return zero
			}
		}
	}
	return ""
}

// TestWireFormatLeavesOut pins what is not written when there is nothing to say.
func TestWireFormatLeavesOut(t *testing.T) {
	t.Parallel()
	const zero = `"0001-01-01T00:00:00Z"`
	for want, v := range map[string]any{
		`{"v":0,"id":"","channel":"","type":"","payload":null,"occurredAt":` + zero + `,"acceptedAt":` + zero + `,"source":""}`: event.Event{},
		`{"v":0,"node":""}`: event.Record{},
		`{"number":0,"startedAt":` + zero + `,"duration":"0s","verdict":""}`:                                                          event.Attempt{},
		`{"outcome":"","finishedAt":` + zero + `,"attempts":0}`:                                                                       event.Result{},
		`{"v":0,"id":"","vendor":"","category":"","settings":null}`:                                                                   event.Integration{},
		`{"v":0,"id":"","pattern":"","targets":null}`:                                                                                 event.Mapping{},
		`{"at":` + zero + `,"actor":"","action":"","target":"","outcome":""}`:                                                         event.Audit{},
		`{"integration":"","vendor":"","state":"","successRate":0,"waiting":0,"parked":0,"inFlight":0,"held":0,"since":` + zero + `}`: event.Health{},
	} {
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%T:\n got %s, %v\nwant %s", v, got, err, want)
		}
	}
}

func TestRecordOf(t *testing.T) {
	t.Parallel()
	d := sampleDelivery()
	got := event.RecordOf(&d)
	// All that both have, under the same name, must be carried over.
	dv, rv := reflect.ValueOf(d), reflect.ValueOf(*got)
	same := 0
	for i := range rv.NumField() {
		name := rv.Type().Field(i).Name
		from := dv.FieldByName(name)
		if !from.IsValid() {
			continue
		}
		same++
		if !reflect.DeepEqual(from.Interface(), rv.Field(i).Interface()) {
			t.Errorf("%s: got %v, want %v", name, rv.Field(i), from)
		}
	}
	if !got.CountsFrom().Equal(d.NotBefore) {
		t.Errorf("held until %v, its latency counts from %v", d.NotBefore, got.CountsFrom())
	}
	got.PausedUntil = d.NotBefore.Add(time.Minute)
	if !got.CountsFrom().Equal(got.PausedUntil) {
		t.Errorf("paused until %v, its latency counts from %v", got.PausedUntil, got.CountsFrom())
	}
	d.NotBefore = time.Time{}
	if at := event.RecordOf(&d).CountsFrom(); !at.Equal(d.AcceptedAt) {
		t.Errorf("accepted at %v, its latency counts from %v", d.AcceptedAt, at)
	}
	if same < 12 || got.Attempts != nil || got.Result != nil {
		t.Errorf("%d fields in common; %+v", same, got)
	}
}
