package event_test

import (
	"encoding/json"
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

// What is decoded is what encoding/json decodes, whichever way it goes.
func FuzzDecodeRecord(f *testing.F) {
	data, err := json.Marshal(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, odd := range []string{
		`{"audit":{"at":"x"}}`, `{"v":1,"node":"n","delivery":{}}`, `{"v":1,"delivery":{"id":"a"},"delivery":{"id":"b"}}`, `{"v":1,"delivery":null}`, `{"V":1,"delivery":{"ID":"a"}}`,
		`{"delivery":{"id":"\u003c\"é\ud800","attempts":[{"number":1,"duration":"1s"},{"probe":true}],"replay":007}}`, `{"delivery":{"id":"a","attempts":[]}}`,
		`{"delivery":{"replay":12345678901234567890}}`, `{"delivery":{"attempts":[{"probe":tru`, "{\"delivery\":{\"id\":\"\xff\x01\"}}", `{"delivery":{"id":"a"}} `, `{"delivery":{"id":"\`,
		`{"delivery":{"result":{"outcome":"dead"},"result":{"reason":"x"},"attempts":[{"number":1}],"attempts":[{"status":2}]}}`, `{"news":{"of":"tomorrow"}}`, `[1]`,
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := event.DecodeRecord(data)
		var want event.Record
		failed := json.Unmarshal(data, &want)
		if (err == nil) != (failed == nil && !want.Empty()) || err == nil && !reflect.DeepEqual(*got, want) {
			t.Fatalf("it is decoded as %+v, %v; by encoding/json as %+v, %v", got, err, want, failed)
		}
	})
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
