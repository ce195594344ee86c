package actors_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// BenchmarkDelivery measures an event's way from the log to a vendor's answer and its record: append,
// route, encode, enqueue, sign, POST, record, acknowledge. The vendor shares the process.
func BenchmarkDelivery(b *testing.B) {
	const integrations, publishers = 64, 32
	n := start(b)
	var got atomic.Int64
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	b.Cleanup(s.Close)
	for i := range integrations {
		n.connect(fmt.Sprint("i", i), &sink{Server: s})
	}
	payload := json.RawMessage(`{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00","venue":"Château de Vaux, Orangerie","notes":"Grandmother Odile needs step-free access; no drone before 17:00.","schedule":[{"time":"14:30","title":"First look in the garden"},{"time":"16:00","title":"Ceremony"}]}`)
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				now := time.Now().UTC()
				_, err := n.journal.Append(b.Context(), &event.Event{
					V: 1, ID: fmt.Sprint("e", i), Channel: fmt.Sprintf("supplier:dashboard:i%d:x", i%integrations), Type: "timeline.updated",
					Payload: payload, OccurredAt: now, AcceptedAt: now, Source: "api",
				})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}
