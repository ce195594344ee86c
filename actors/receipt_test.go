package actors_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// receipts reads the record log until it has so many.
func (n *node) receipts(count int) []event.Receipt {
	n.t.Helper()
	var found []event.Receipt
	for after := uint64(0); len(found) < count; {
		entries, err := n.journal.Records(n.t.Context(), after, 100, 20*time.Second)
		if err != nil || len(entries) == 0 {
			n.t.Fatalf("%d of %d receipts: %v", len(found), count, err)
		}
		for _, e := range entries {
			after = e.Seq
			if e.Record.Receipt != nil {
				found = append(found, *e.Record.Receipt)
			}
		}
	}
	return found
}

// What a vendor's webhook says of a delivery is recorded as that integration's word; what others say is not.
func TestReceiptsAreRecorded(t *testing.T) {
	t.Parallel()
	n, s := start(t), newSink(t)
	n.connect("studio", s)
	if _, err := n.registry.Put(t.Context(), event.Integration{
		ID: "phone", Vendor: "whatsapp", Settings: json.RawMessage(`{"phone_number_id":"106540352242922","to":"+33612345678"}`),
	}); err != nil {
		t.Fatal(err)
	}
	const id = "dlv_089318c064e34e185cf701a2f985e98e"
	at := time.Date(2026, 6, 20, 13, 0, 0, 0, time.UTC)
	for i, said := range []struct{ source, status string }{ // one channel, so they are routed in this order
		{"webhook:phone", "delivered"}, {"webhook:gone", "read"}, {"client:anna", "read"}, {"webhook:studio", "read"}, {"webhook:phone", "read"},
	} {
		if _, err := n.journal.Append(t.Context(), &event.Event{
			V: event.Version, ID: fmt.Sprint("whk_", i), Channel: "status", Type: "delivery.status", OccurredAt: at, AcceptedAt: at, Source: said.source,
			Payload: json.RawMessage(fmt.Sprintf(`{"vendor":"x","status":%q,"deliveryId":%q,"recipient":"33612345678"}`, said.status, id)),
		}); err != nil {
			t.Fatal(err)
		}
	}
	got := n.receipts(2)
	want := []event.Receipt{
		{DeliveryID: id, Integration: "phone", Vendor: "whatsapp", EventID: "whk_0", Status: event.ReceiptDelivered, At: at},
		{DeliveryID: id, Integration: "phone", Vendor: "whatsapp", EventID: "whk_4", Status: event.ReceiptRead, At: at},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("receipts %+v, want %+v", got, want)
	}
}
