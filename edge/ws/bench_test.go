package ws_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// reader counts publications off a socket at little cost: it walks the frames' headers and counts
// the newlines that join publications in a message.
type reader struct {
	conn  net.Conn
	buf   []byte
	head  []byte // of a header that is not complete
	left  uint64 // of the frame's payload
	count atomic.Int64
}

func (r *reader) run(progress func()) {
	for {
		n, err := r.conn.Read(r.buf)
		if err != nil {
			return
		}
		if got := r.feed(r.buf[:n]); got > 0 {
			r.count.Add(got)
			progress()
		}
	}
}

func (r *reader) feed(b []byte) (n int64) {
	for len(b) > 0 {
		if r.left > 0 {
			part := b[:min(uint64(len(b)), r.left)]
			n += int64(bytes.Count(part, []byte{'\n'}))
			r.left -= uint64(len(part))
			b = b[len(part):]
			continue
		}
		r.head = append(r.head, b[0])
		b = b[1:]
		if len(r.head) < 2 {
			continue
		}
		switch size := r.head[1]; {
		case size < 126:
			r.left = uint64(size)
		case size == 126 && len(r.head) == 4:
			r.left = uint64(binary.BigEndian.Uint16(r.head[2:]))
		case size == 127 && len(r.head) == 10:
			r.left = binary.BigEndian.Uint64(r.head[2:])
		default:
			continue
		}
		r.head = r.head[:0]
		n++
	}
	return n
}

// subscribers connects n clients to the channel and reads what they get; progress is called by each
// reader after it counted.
func subscribers(b *testing.B, node *node, n int, progress func()) []*reader {
	b.Helper()
	token := all(b)
	readers := make([]*reader, n)
	var done sync.WaitGroup
	b.Cleanup(done.Wait)
	for i := range readers {
		c := dialConnected(b, node, token)
		c.subscribe(channel)
		_ = c.conn.SetDeadline(time.Time{})
		readers[i] = &reader{conn: c.conn, buf: make([]byte, 16<<10)}
		b.Cleanup(func() { _ = c.conn.Close() })
		done.Go(func() { readers[i].run(progress) })
	}
	return readers
}

// slowest returns how many publications every subscriber has.
func slowest(readers []*reader) int64 {
	low := readers[0].count.Load()
	for _, r := range readers[1:] {
		low = min(low, r.count.Load())
	}
	return low
}

// BenchmarkFanOut publishes into the real log as fast as all subscribers of one channel can follow,
// each on a socket of its own; the subscribers run on the same machine.
func BenchmarkFanOut(b *testing.B) {
	for _, clients := range []int{100, 1000} {
		b.Run(fmt.Sprintf("subscribers=%d/bytes=256", clients), func(b *testing.B) {
			node := startNode(b, openJournal(b))
			payload := fmt.Sprintf(`{"note":%q}`, strings.Repeat("x", 256-len(`{"note":""}`)))
			more := make(chan struct{}, 1)
			readers := subscribers(b, node, clients, func() {
				select {
				case more <- struct{}{}:
				default:
				}
			})
			// No more than so many publications are under way, so that queues stay short.
			const window = 32
			b.ResetTimer()
			start, spent := time.Now(), cpuTime()
			for sent := int64(0); sent < int64(b.N); {
				if low := slowest(readers); sent-low >= window {
					<-more
					continue
				}
				burst := min(32, int64(b.N)-sent)
				publishAll(b, node, payload, int(burst))
				sent += burst
			}
			for slowest(readers) < int64(b.N) {
				<-more
			}
			took, messages := time.Since(start), float64(b.N)*float64(clients)
			b.ReportMetric(messages/took.Seconds(), "msgs/s")
			b.ReportMetric(float64((cpuTime()-spent).Nanoseconds())/messages, "cpu-ns/msg") // both sides; does not suffer from what else runs
			b.ReportMetric(float64(b.N)/took.Seconds(), "events/s")
			b.ReportMetric(metric(b, node, "wedsync_ws_frames_total")/metric(b, node, "wedsync_ws_messages_total"), "frames/write")
		})
	}
}

// cpuTime returns what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func publishAll(b *testing.B, node *node, payload string, n int) {
	b.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := node.journal.Append(context.Background(), newEvent(channel, "timeline.updated", payload)); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkLatency publishes at a steady 100 events a second to 1,000 subscribers (100,000 messages
// a second) and reports how long an event takes to reach the last of them.
func BenchmarkLatency(b *testing.B) {
	const clients, gap = 1000, 10 * time.Millisecond
	node := startNode(b, openJournal(b))
	payload := fmt.Sprintf(`{"note":%q}`, strings.Repeat("x", 256-len(`{"note":""}`)))
	var arrived atomic.Int64
	whole := make(chan time.Time, 1<<16)
	subscribers(b, node, clients, func() { // one publication is under way at a time
		if arrived.Add(1)%clients == 0 {
			whole <- time.Now()
		}
	})
	tick := time.NewTicker(gap)
	defer tick.Stop()
	var took []time.Duration
	b.ResetTimer()
	for range b.N {
		<-tick.C
		start := time.Now()
		publishAll(b, node, payload, 1)
		took = append(took, (<-whole).Sub(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
