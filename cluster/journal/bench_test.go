package journal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// meter starts measuring; the function it returns reports a rate and the processor time of one
// operation, which tells more than the rate where others use the machine.
func meter(b *testing.B) func(rate string) {
	b.Helper()
	cpu := cpuTime(b)
	b.ReportAllocs()
	b.ResetTimer()
	return func(rate string) {
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), rate)
		b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/op")
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64, 1024} {
		for _, channels := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("callers=%d/channels=%d", callers, channels), func(b *testing.B) {
				j := open(b)
				ev := newEvent("")
				report := meter(b)
				var n atomic.Int64
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for n.Add(1) <= int64(b.N) {
							e := *ev
							e.ID = uuid.Must(uuid.NewV7()).String()
							e.Channel = fmt.Sprintf("supplier:dashboard:%d", rand.IntN(channels))
							if _, err := j.Append(b.Context(), &e); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				report("appends/s")
			})
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	j := open(b)
	const integrations = 100
	var done sync.WaitGroup
	done.Add(b.N)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for n := range j.Shards() {
		s := mustShard(b, j, n)
		go func() {
			for {
				works, err := s.NextDeliveries(ctx, 256)
				if err != nil {
					return
				}
				for _, w := range works {
					if err := w.Ack(); err != nil {
						b.Error(err)
					}
					done.Done()
				}
			}
		}()
	}
	report := meter(b)
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := j.Enqueue(b.Context(), newDelivery(uint64(i), fmt.Sprintf("int%d", i%integrations))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	done.Wait()
	report("deliveries/s")
}

func BenchmarkHistoryLast(b *testing.B) {
	j := open(b)
	fill(b, j, 100_000, 1000)
	b.ResetTimer()
	for range b.N {
		es, err := j.HistoryLast(b.Context(), fmt.Sprintf("supplier:dashboard:%d", rand.IntN(1000)), 10)
		if err != nil || len(es) != 10 {
			b.Fatal(len(es), err)
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	j := open(b)
	fill(b, j, 100_000, 1000)
	b.ResetTimer()
	for range b.N {
		es, err := j.History(b.Context(), fmt.Sprintf("supplier:dashboard:%d", rand.IntN(1000)), 50_000, 10)
		if err != nil || len(es) != 10 {
			b.Fatal(len(es), err)
		}
	}
}

// What a look for missed events costs an edge with 10,000 channels, by how many have news.
func BenchmarkNews(b *testing.B) {
	j := open(b)
	const channels = 10_000
	var all []string
	for i := range channels {
		all = append(all, fmt.Sprintf("supplier:dashboard:%d", i))
	}
	fill(b, j, 3*channels, channels)
	for _, changed := range []uint64{0, 100, 1000, channels} {
		b.Run(fmt.Sprint(changed), func(b *testing.B) {
			for b.Loop() {
				newest, _, err := j.News(b.Context(), all, 3*channels-changed)
				if err != nil || len(newest) != int(changed) {
					b.Fatalf("%d have news, %v", len(newest), err)
				}
			}
		})
	}
}
