package adapter_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
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
