package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// full is a record with everything that one of a delivery can have.
func full() *event.Record {
	at := time.Date(2027, 6, 12, 14, 0, 0, 123456789, time.FixedZone("", 7200))
	return &event.Record{V: event.Version, Node: "n1", Delivery: &event.DeliveryRecord{
		ID: "dlv_1", Replay: 2, EventID: "e", EventType: "t", Channel: "c:d", Integration: "i", Vendor: "v", Category: event.EmailService, WeddingID: "w",
		TraceParent: "00-1-1-01", AcceptedAt: at, RoutedAt: at.UTC(), NotBefore: at, PausedUntil: at, Died: at,
		Attempts: []event.Attempt{{Number: 1, StartedAt: at, Duration: 5e9, Status: 503, Verdict: "retry", Reason: "r", Detail: `<b>"é`, Probe: true}, {Number: 2, Verdict: "delivered"}},
		Result:   &event.Result{Outcome: event.Dead, Reason: "x", FinishedAt: at, Attempts: 2},
	}}
}

// What is stored is, to the byte, what encoding/json writes, and is read as that reads it: so older releases and this
// one understand each other.
func TestStoredAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	at := full().Delivery.AcceptedAt
	ev := event.Event{
		V: event.Version, ID: "e", Channel: "c:d", Type: "t", OccurredAt: at, AcceptedAt: at.UTC(), Source: "api", Via: []string{"a", "b"},
		Payload: json.RawMessage(`{"z": 1.50, "a":"\u00e9 \u003cb\u003e </p>", "a":[ {}, null, 1e3 ]}`),
	}
	d := event.Delivery{
		V: event.Version, ID: "dlv_1", EventSeq: 1 << 63, Vars: map[string]string{"b": "2", "a": "1"}, RoutedAt: at, Quiet: &event.QuietHours{}, Critical: true,
		Digest: []uint64{3, 1}, Body: json.RawMessage(`"a\/b"`),
	}
	for _, v := range []any{
		full(), &event.Record{}, &ev, &event.Event{Payload: json.RawMessage("null")}, &d,
		&event.DeadLetter{Delivery: d, Event: ev, DiedAt: at}, &event.DeadLetter{Attempts: []event.Attempt{{}}},
		&event.Record{Audit: &event.Audit{}}, &event.Record{Health: &event.HealthChange{}}, &event.Record{Receipt: &event.Receipt{}},
	} {
		var want bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		got, err := event.Encode(v)
		if err != nil || string(got)+"\n" != want.String() {
			t.Errorf("%T is written as\n%s, %v; by encoding/json as\n%s", v, got, err, want.String())
		}
		read, wanted := reflect.New(reflect.TypeOf(v).Elem()), reflect.New(reflect.TypeOf(v).Elem())
		if err := errors.Join(event.Decode(want.Bytes(), read.Interface()), json.Unmarshal(want.Bytes(), wanted.Interface())); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(read.Interface(), wanted.Interface()) {
			t.Errorf("%s is read as\n%+v; by encoding/json as\n%+v", want.String(), read, wanted)
		}
	}
}

// What can be read can be written, and is then read alike by encoding/json.
func FuzzDecodeRecord(f *testing.F) {
	data, err := json.Marshal(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, odd := range []string{
		`{"audit":{"at":"x"}}`, `{"v":1,"node":"n","delivery":{}}`, `{"v":1,"delivery":{"id":"a"},"delivery":{"id":"b"}}`, `{"v":1,"delivery":null}`,
		`{"delivery":{"id":"\u003c\"é\ud800","attempts":[{"number":1,"duration":"1s"},{"probe":true}],"replay":007}}`, `{"delivery":{"id":"a","attempts":[]}}`,
		"{\"delivery\":{\"id\":\"\xff\x01\"}}", `{"delivery":{"id":"a"}} `, `{"news":{"of":"tomorrow"}}`, `[1]`,
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := event.DecodeRecord(data)
		if err != nil {
			return
		}
		again, err := event.Encode(got)
		if err != nil {
			t.Fatalf("%s is read, but cannot be written: %v", data, err)
		}
		var read event.Record
		if err := json.Unmarshal(again, &read); err != nil {
			t.Fatalf("%s is written, which encoding/json does not read: %v", again, err)
		}
		if same, err := event.Encode(read); err != nil || !bytes.Equal(same, again) {
			t.Fatalf("%s is written as %s, and when encoding/json has read that, as %s, %v", data, again, same, err)
		}
	})
}

// A vendor's words may be no UTF-8; what it said is recorded all the same.
func TestStoredWithInvalidUTF8(t *testing.T) {
	t.Parallel()
	data, err := event.Encode(&event.Record{Delivery: &event.DeliveryRecord{ID: "a", Attempts: []event.Attempt{{Detail: "caf\xe9"}}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := event.DecodeRecord(data)
	if err != nil || r.Delivery.Attempts[0].Detail != "caf\ufffd" {
		t.Errorf("%s is read as %+v, %v", data, r, err)
	}
}

func TestRecordsOfNewerReleases(t *testing.T) {
	t.Parallel()
	r, err := event.DecodeRecord([]byte(`{"v":1,"node":"n","delivery":{"id":"a","mood":"good"}}`))
	if err != nil || r.Delivery.ID != "a" {
		t.Errorf("with a field more: %+v, %v", r, err)
	}
	if _, err := event.DecodeRecord([]byte(`{"v":1,"node":"n","mood":{"is":"good"}}`)); err == nil || !strings.Contains(err.Error(), "that this release knows") {
		t.Errorf("of another kind: %v", err)
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	data, err := json.Marshal(full())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := event.DecodeRecord(data); err != nil {
			b.Fatal(err)
		}
	}
}
