package adapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// moved is an event that every vendor takes.
var moved = event.Event{
	ID: "evt-1", Channel: "supplier:dashboard:42", Type: adapter.TypeTimelineUpdated,
	Payload:    json.RawMessage(`{"coupleId":"c1","coupleName":"Ana & Ben","ceremonyTime":"2027-06-12T16:00:00+02:00","venue":"Old Mill"}`),
	OccurredAt: time.Date(2027, 1, 14, 9, 26, 53, 0, time.UTC),
}

// connection connects to a simulator.
func connection(vendor vendors.Vendor) adapter.Connection {
	in, secrets := vendor.Integration("example")
	return must(must(adapter.Lookup(in.Vendor)).Connect(in, secrets))
}

// The vendor's body of an event.
func ExampleConnection_Encode() {
	sims := must(vendors.StartAll(context.Background(), vendors.Config{}))
	defer sims.Close()
	fmt.Printf("%s\n", must(connection(sims.StudioCloud).Encode(&moved)))

	other := moved
	other.Type = "cake.chosen"
	_, err := connection(sims.StudioCloud).Encode(&other)
	fmt.Println(errors.Is(err, adapter.ErrUnsupported))
	// Output:
	// {"client_id":"c1","shoot_date":"2027-06-12T16:00:00+02:00","location":"Old Mill","timeline":null,"special_requests":null}
	// true
}

// One event to WhatsApp, Slack and e-mail: addressed, signed, sent.
func ExampleConnection_Call() {
	ctx := context.Background()
	sims := must(vendors.StartAll(ctx, vendors.Config{}))
	defer sims.Close()
	sender := delivery.NewSender(delivery.SenderConfig{Guard: delivery.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})})
	defer sender.Close()
	for _, vendor := range []vendors.Vendor{sims.WhatsApp, sims.Slack, sims.Email} {
		conn := connection(vendor)
		d := &event.Delivery{ID: event.DeliveryID(moved.Channel, moved.ID, "example"), EventID: moved.ID, Body: must(conn.Encode(&moved))}
		call := must(conn.Call(d, time.Now()))
		fmt.Println(vendor.Name(), conn.Classify(d, sender.Do(ctx, call)).Kind)
	}
	// Output:
	// whatsapp delivered
	// slack delivered
	// email delivered
}

// What an answer means for the delivery.
func ExampleConnection_Classify() {
	sims := must(vendors.StartAll(context.Background(), vendors.Config{}))
	defer sims.Close()
	conn := connection(sims.VenueMaster)
	for _, status := range []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusUnprocessableEntity} {
		v := conn.Classify(nil, &event.Answer{Status: status})
		fmt.Println(status, v.Kind, v.Fault)
	}
	// Output:
	// 200 delivered false
	// 503 retry true
	// 401 pause false
	// 422 dead false
}

// A vendor's webhook: its signature, and what it says.
func ExampleReceiver() {
	ctx := context.Background()
	sims := must(vendors.StartAll(ctx, vendors.Config{}))
	defer sims.Close()
	receiver := connection(sims.VenueMaster).(adapter.Receiver)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := &adapter.Inbound{Header: r.Header, Body: must(io.ReadAll(r.Body))}
		if _, err := receiver.Verify(in, time.Now()); err != nil {
			fmt.Println("refused:", err)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		for _, m := range must(receiver.Decode(in)).Messages {
			fmt.Printf("%s %s\n", m.Type, m.Payload)
		}
	}))
	defer server.Close()
	hook := vendors.Webhook{Type: "capacity.changed", Data: map[string]any{"venue_id": "v1", "capacity": 110}}
	must(sims.VenueMaster.Send(ctx, server.URL, hook))
	sims.VenueMaster.Faults().SpoilWebhooks(vendors.WebhookFault{WrongSignature: true})
	must(sims.VenueMaster.Send(ctx, server.URL, hook))
	// Output:
	// capacity.changed {"capacity":110,"venueId":"v1"}
	// refused: no signature of version v1 fits the body and this integration's secret
}
