package adapter_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func BenchmarkEncode(b *testing.B) {
	for _, vendor := range adapter.Vendors() {
		conn := connected(b, vendor)
		a, _ := adapter.Lookup(vendor)
		ev := a.Describe().Samples[0]
		b.Run(vendor, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Encode(&ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCall(b *testing.B) {
	for _, vendor := range adapter.Vendors() {
		conn := connected(b, vendor)
		a, _ := adapter.Lookup(vendor)
		ev := a.Describe().Samples[0]
		body, err := conn.Encode(&ev)
		if err != nil {
			b.Fatal(err)
		}
		d := &event.Delivery{ID: event.DeliveryID(ev.Channel, ev.ID, "int_1"), EventID: ev.ID, EventType: ev.Type, Body: body}
		now := time.Unix(1773480413, 0)
		b.Run(vendor, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Call(d, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReceive verifies and decodes a webhook of each vendor that sends any.
func BenchmarkReceive(b *testing.B) {
	set, err := vendors.StartAll(b.Context(), vendors.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = set.Close() }()
	for _, v := range set.All() {
		sim, sends := v.(vendors.Sender)
		if !sends {
			continue
		}
		a, err := adapter.Lookup(v.Name())
		if err != nil {
			b.Fatal(err)
		}
		conn, err := a.Connect(v.Integration(v.Name()))
		if err != nil {
			b.Fatal(err)
		}
		box := newInbox(b, conn)
		if _, err := sim.Send(b.Context(), box.URL, sim.Webhooks()[0]); err != nil {
			b.Fatal(err)
		}
		in, receiver, now := box.take()[0].in, conn.(adapter.Receiver), time.Now()
		b.Run(v.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := receiver.Verify(in, now); err != nil {
					b.Fatal(err)
				}
				if _, err := receiver.Decode(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
