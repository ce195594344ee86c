package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

const (
	manyIntegrations = 100_000
	manyMappings     = 10_000
)

// fill stores 100,000 integrations with secrets, two of each of 50,000 suppliers, and 10,000
// mappings, directly in the buckets.
func fill(b *testing.B, store registry.Store, sealer *registry.Sealer) {
	b.Helper()
	var next atomic.Int64
	var writers sync.WaitGroup
	for range 16 {
		writers.Go(func() {
			for i := int(next.Add(1)) - 1; i < manyIntegrations; i = int(next.Add(1)) - 1 {
				if err := fillOne(store, sealer, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	for i := range manyMappings {
		m := event.Mapping{
			V: 1, ID: fmt.Sprintf("map-%05d", i), Pattern: fmt.Sprintf("tenant%d:dashboard:{supplierId}", i),
			Types: []string{"timeline.updated", "guest_count.changed"}, Targets: []event.Target{{Category: event.PhotographyCRM}},
		}
		if i == 0 {
			m.Pattern = "supplier:dashboard:{supplierId}"
			m.Targets = append(m.Targets, event.Target{Category: event.SlackNotifications}, event.Target{Category: event.EmailService})
		}
		data, err := json.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := store.Config.Put(b.Context(), "mapping."+m.ID, data); err != nil {
			b.Fatal(err)
		}
	}
}

func fillOne(store registry.Store, sealer *registry.Sealer, i int) error {
	in := studio(fmt.Sprintf("studio-%06d", i), fmt.Sprint(i/2))
	in.V, in.Name, in.Category, in.Channel = 1, fmt.Sprintf("Studio number %d", i), event.PhotographyCRM, "supplier:updates:{supplierId}"
	secrets := event.Secrets{"signing": {event.SecretOf(secretA)}, "webhook": {event.SecretOf(secretB)}}
	if i%2 == 1 {
		in.Vendor, in.Category, in.Settings = "slack", event.SlackNotifications, json.RawMessage(`{}`)
		secrets = event.Secrets{"webhook_url": {event.SecretOf("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX")}}
	}
	data, err := json.Marshal(in)
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(in.ID, secrets)
	if err != nil {
		return err
	}
	if _, err := store.Config.Put(context.Background(), "integration."+in.ID, data); err != nil {
		return err
	}
	_, err = store.Secrets.Put(context.Background(), "integration."+in.ID, sealed)
	return err
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkMemory reports what an integration takes: configured only, looked up, and connected.
func BenchmarkMemory(b *testing.B) {
	store, sealer := registry.Store{Config: newMemory(), Secrets: newMemory()}, newSealer(b)
	fill(b, store, sealer)
	for b.Loop() {
		before := heap()
		r, err := registry.Open(b.Context(), registry.Config{Store: store, Sealer: sealer, Logger: zerolog.Nop()})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric((heap()-before)/manyIntegrations, "B/configured")
		for i := range manyIntegrations {
			id := fmt.Sprintf("studio-%06d", i)
			lookup(b, r, id)
		}
		b.ReportMetric((heap()-before)/manyIntegrations, "B/looked-up")
		for i := range manyIntegrations {
			if _, err := lookup(b, r, fmt.Sprintf("studio-%06d", i)).Connection(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((heap()-before)/manyIntegrations, "B/connected")
		r.Close()
	}
}

// BenchmarkOpen loads 100,000 integrations and their secrets from a real log.
func BenchmarkOpen(b *testing.B) {
	store, sealer := storeOf(b, openJournal(b, b.TempDir())), newSealer(b)
	fill(b, store, sealer)
	for b.Loop() {
		r, err := registry.Open(b.Context(), registry.Config{Store: store, Sealer: sealer, Logger: zerolog.Nop()})
		if err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
}

// BenchmarkResolve has 100,000 integrations and 10,000 mappings. A hit finds two integrations.
func BenchmarkResolve(b *testing.B) {
	store, sealer := registry.Store{Config: newMemory(), Secrets: newMemory()}, newSealer(b)
	fill(b, store, sealer)
	r := open(b, store, sealer, zerolog.Nop())
	channels := make([]string, 1000)
	for i := range channels {
		channels[i] = fmt.Sprintf("supplier:dashboard:%d", i*50)
	}
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		ev := &event.Event{Type: "timeline.updated"}
		for i := 0; b.Loop(); i++ {
			ev.Channel = channels[i%len(channels)]
			if got := r.Resolve(ev); len(got) != 2 {
				b.Fatalf("%d matches", len(got))
			}
		}
	})
	b.Run("hit-parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			ev := &event.Event{Type: "timeline.updated"}
			for i := 0; pb.Next(); i++ {
				ev.Channel = channels[i%len(channels)]
				if got := r.Resolve(ev); len(got) != 2 {
					b.Errorf("%d matches", len(got))
				}
			}
		})
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		ev := &event.Event{Channel: "form:response:12", Type: "timeline.updated"}
		for b.Loop() {
			if r.Resolve(ev) != nil {
				b.Fatal("a match")
			}
		}
	})
	b.Run("lookup", func(b *testing.B) {
		for b.Loop() {
			if _, ok := r.Lookup("studio-000042"); !ok {
				b.Fatal("not there")
			}
		}
	})
}

// BenchmarkPut stores integrations durably and sees each of them.
func BenchmarkPut(b *testing.B) {
	r := open(b, storeOf(b, openJournal(b, b.TempDir())), newSealer(b), zerolog.Nop())
	b.Run("one-by-one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			put(b, r, studio(fmt.Sprintf("s-%d", i), fmt.Sprint(i)))
		}
	})
	b.Run("32-at-once", func(b *testing.B) {
		var n atomic.Int64
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				i := n.Add(1)
				if _, err := r.Put(b.Context(), studio(fmt.Sprintf("p-%d", i), fmt.Sprint(i))); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkExpressions resolves an event by a mapping with a condition and two fields.
func BenchmarkExpressions(b *testing.B) {
	r := open(b, registry.Store{Config: newMemory(), Secrets: newMemory()}, newSealer(b), zerolog.Nop())
	put(b, r, studio("s", ""))
	m := mapped("m", `payload.guests > 100 and vars.supplierId == "42"`, map[string]string{
		"notes": `"for " + vars.supplierId`, "names": `map(payload.schedule, .title)`,
	})
	if _, err := r.PutMapping(b.Context(), m); err != nil {
		b.Fatal(err)
	}
	ev := eventOf(`{"coupleId":"c1","guests":120,"ceremonyTime":"2027-06-12T16:00:00+02:00","schedule":[{"title":"a"},{"title":"b"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if got := r.Resolve(ev); len(got) != 1 {
			b.Fatalf("%d matches", len(got))
		}
	}
}
