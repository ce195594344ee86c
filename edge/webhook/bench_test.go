package webhook_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// BenchmarkWebhook is the whole way over a real connection: verified, cleaned, durable in a real log,
// remembered, answered. The signing is paid too.
func BenchmarkWebhook(b *testing.B) {
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { benchmarkWebhook(b, clients, 0) })
	}
	// Latency counts from when a webhook was due, so that a stall shows in all that it held up.
	b.Run("paced=1000", func(b *testing.B) { benchmarkWebhook(b, 64, time.Millisecond) })
}

func benchmarkWebhook(b *testing.B, clients int, every time.Duration) {
	b.Helper()
	n := start(b, nil)
	n.venue(b, func(in *event.Integration) { in.Limits.WebhooksPerHour = 100_000_000 })
	body := []byte(capacity(`,"reason":"Fire inspection: the west door stays closed","previous_capacity":140`))
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	work := make(chan time.Time, 4096)
	for client := range clients {
		wg.Go(func() {
			for i := 0; ; i++ {
				due, ok := <-work
				if !ok {
					return
				}
				h := sign(b, venueSecret, fmt.Sprintf("msg_%d_%d", client, i), time.Now(), body)
				if every == 0 {
					due = time.Now()
				}
				a := n.do(b, http.MethodPost, venuePath, h, body)
				d := time.Since(due)
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
	used := cpu()
	begin := time.Now()
	for i := range b.N {
		due := begin.Add(time.Duration(i) * every)
		if wait := time.Until(due); wait > 0 {
			<-time.After(wait)
		}
		work <- due
	}
	close(work)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-used).Microseconds())/float64(b.N), "cpu-us/op")
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
}

// cpu is what the process has used, client and log included: it says more than time on a busy machine.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
