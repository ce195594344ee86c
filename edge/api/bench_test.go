package api_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/ingest"
)

// nowhere takes every event at once.
type nowhere struct{}

func (nowhere) Append(context.Context, *event.Event) (journal.Appended, error) {
	return journal.Appended{Seq: 1}, nil
}

// BenchmarkPublishHandler is what a publish costs beside the connection and the log.
func BenchmarkPublishHandler(b *testing.B) {
	const body = `{"type":"timeline.updated","payload":{"coupleId":"c-4711","ceremonyTime":"2026-06-20T16:00:00+02:00","venue":{"name":"Old Mill","guests":120},` +
		`"schedule":[{"at":"15:00","what":"Guests arrive"},{"at":"16:00","what":"Ceremony"}],"notes":"Tom and Anna moved it"}}`
	in, err := ingest.New(ingest.Config{Log: nowhere{}})
	must(b, err)
	n := start(b, nil)
	a, err := api.New(api.Config{
		Keys: n.keys, Answers: n.answers, Publisher: in, History: n.journal, Members: cluster.NewSolo("n1"), Drain: drained, Dead: n.journal, Integrations: n.registry, Controls: n.registry,
		Mappings: n.registry, Engine: n.engine, Auditor: n,
	})
	must(b, err)
	mux := http.NewServeMux()
	a.Mount(mux)
	r := httptest.NewRequest(http.MethodPost, publishPath, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+apiKey)
	r.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		req := *r
		req.Body = readCloser{strings.NewReader(body)}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, &req)
		if w.Code != http.StatusAccepted {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// BenchmarkPublish is the whole way over real connections into a real log.
func BenchmarkPublish(b *testing.B) {
	const payload = `{"type":"timeline.updated","payload":{"coupleId":"c-4711","ceremonyTime":"2026-06-20T16:00:00+02:00","venue":{"name":"Old Mill","guests":120},` +
		`"schedule":[{"at":"15:00","what":"Guests arrive"},{"at":"16:00","what":"Ceremony"}],"notes":"Tom and Anna moved it"}}`
	for _, clients := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			n := start(b, nil)
			work := make(chan struct{})
			var mu sync.Mutex
			var took []time.Duration
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range work {
						begin := time.Now()
						a := n.do(b, http.MethodPost, publishPath, payload)
						d := time.Since(begin)
						if a.status != 202 {
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
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpu()-used).Microseconds())/float64(b.N), "cpu-us/op")
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}

// cpu is what the process has used, client and log included: it says more than time on a busy machine.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
