package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// BenchmarkWebhook is the whole way over a real connection: verified, cleaned, durable in a real log,
// remembered, answered. The signing is paid too.
func BenchmarkWebhook(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			n := start(b, nil)
			n.venue(b, func(in *event.Integration) { in.Limits.WebhooksPerHour = 100_000_000 })
			body := []byte(capacity(`,"reason":"Fire inspection: the west door stays closed","previous_capacity":140`))
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			work := make(chan int)
			for range clients {
				wg.Go(func() {
					for i := range work {
						h := sign(b, venueSecret, fmt.Sprintf("msg_%d", i), time.Now(), body)
						start := time.Now()
						a := n.do(b, http.MethodPost, venuePath, h, body)
						d := time.Since(start)
						if a.status != http.StatusAccepted {
							b.Errorf("%d %s", a.status, a.body)
						}
						mu.Lock()
						took = append(took, d)
						mu.Unlock()
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				work <- i
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}
