package adapter_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// TestReceiptOf takes what WhatsApp's decoder gives, and nothing that anybody else says.
func TestReceiptOf(t *testing.T) {
	t.Parallel()
	const id = "dlv_089318c064e34e185cf701a2f985e98e"
	hook := `{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"messages","value":{"statuses":[
		{"id":"wamid.X","status":"failed","timestamp":"1773480413","recipient_id":"33612345678","biz_opaque_callback_data":"` + id + `",
		 "errors":[{"code":131026,"title":"t","error_data":{"details":"` + strings.Repeat("long ", 1000) + `"}},{"code":1}]}]}}]}]}`
	got, err := connected(t, "whatsapp").(adapter.Receiver).Decode(&adapter.Inbound{Body: []byte(hook)})
	if err != nil {
		t.Fatal(err)
	}
	m := got.Messages[0]
	ev := event.Event{ID: "whk_1", Type: m.Type, Payload: m.Payload, OccurredAt: m.OccurredAt, Source: "webhook:wa"}
	r, ok := adapter.ReceiptOf(&ev)
	if !ok || r.DeliveryID != id || r.Integration != "wa" || r.EventID != "whk_1" || r.Status != event.ReceiptFailed ||
		!r.At.Equal(time.Unix(1773480413, 0)) || r.Reason != "131026" || !strings.HasPrefix(r.Detail, "long ") || len(r.Detail) > 1<<10 {
		t.Errorf("%+v, %v", r, ok)
	}
	if raw, _ := json.Marshal(r); strings.Contains(string(raw), "336") || strings.Contains(string(raw), "wamid") {
		t.Errorf("the receipt tells who got it: %s", raw)
	}
	for name, change := range map[string]func(*event.Event){
		"a client":           func(ev *event.Event) { ev.Source = "client:webhook:wa" },
		"another type":       func(ev *event.Event) { ev.Type = adapter.TypeMessageReceived },
		"no JSON":            func(ev *event.Event) { ev.Payload = json.RawMessage(`{`) },
		"an unknown status":  func(ev *event.Event) { ev.Payload = json.RawMessage(`{"status":"warning","deliveryId":"` + id + `"}`) },
		"no delivery":        func(ev *event.Event) { ev.Payload = json.RawMessage(`{"status":"read"}`) },
		"no delivery's id":   func(ev *event.Event) { ev.Payload = json.RawMessage(`{"status":"read","deliveryId":"` + id + `0"}`) },
		"somebody's own key": func(ev *event.Event) { ev.Payload = json.RawMessage(`{"status":"read","deliveryId":"order 7"}`) },
	} {
		other := ev
		change(&other)
		if r, ok := adapter.ReceiptOf(&other); ok {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
