package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/edge/ingest"
)

// plain300 is 300 bytes as a planner's page sends them.
const plain300 = `{"coupleId":"c-4711","ceremonyTime":"2026-06-20T16:00:00+02:00","venue":{"name":"Old Mill","guests":120},` +
	`"schedule":[{"at":"15:00","what":"Guests arrive"},{"at":"16:00","what":"Ceremony"},{"at":"18:30","what":"Dinner & speeches"}],` +
	`"notes":"Tom and Anna moved it, please confirm the photographer"}`

const marked300 = `{"coupleId":"c-4711","ceremonyTime":"2026-06-20T16:00:00+02:00","venue":{"name":"<b>Old Mill</b>","guests":120},` +
	`"schedule":[{"at":"15:00","what":"Guests arrive"},{"at":"16:00","what":"Ceremony"},{"at":"18:30","what":"Dinner &amp; speeches"}],` +
	`"notes":"<p>Tom and Anna moved it, please confirm</p>"}`

func BenchmarkPublish(b *testing.B) {
	spaced := strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(plain300)
	for _, c := range []struct{ name, payload string }{
		{"plain", plain300},
		{"spaced", spaced},
		{"accents", strings.Replace(plain300, "Old Mill", "Café Zoë חתונה", 1)},
		{"markup", marked300},
		{"256KiB", `{"a":["` + strings.Repeat(strings.Repeat("guest ", 1000)+`","`, 43) + `"]}`},
		{"worst64KiB", `{"a":"` + strings.Repeat("&amp;lt;<i", 6500) + `>"}`},
		{"worst256KiB", `{"a":["` + strings.Repeat(strings.Repeat("&amp;lt;<i", 6500)+`>","`, 4) + `"]}`},
		{"1000 keys", manyKeys(1000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := newIngest(b, ingest.Config{Log: nowhere{}})
			d := draft(c.payload)
			b.ReportAllocs()
			b.SetBytes(int64(len(c.payload)))
			for b.Loop() {
				if _, err := in.Publish(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPublishTraced is what traces add to a publish: where there are none, where the sender's is not
// recorded, where it is.
func BenchmarkPublishTraced(b *testing.B) {
	const sent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
	on := tracing.New(sdktrace.NewTracerProvider())
	for _, c := range []struct {
		name, parent string
		tracer       *tracing.Tracer
	}{
		{"off", sent + "1", nil},
		{"not sampled", sent + "0", on},
		{"sampled", sent + "1", on},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := newIngest(b, ingest.Config{Log: nowhere{}, Tracer: c.tracer})
			d := draft(plain300)
			d.TraceParent = c.parent
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.Publish(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func manyKeys(n int) string {
	m := map[string]int{}
	for i := range n {
		m["key"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = i
	}
	b, _ := json.Marshal(m)
	return string(b)
}
