package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The size to which the heap may grow before it is collected, and the least and the most garbage that may
// be in it, in percent of what lives.
const (
	heapGoal = 300 << 20 // bytes
	minRatio = 75
	maxRatio = 400
)

// collectEvery is as often as garbage is worth collecting: less of it than is made in that time may lie about.
const collectEvery = 2 * time.Second

// keepHeap has garbage collected by the heap's size and by how much there is, until ctx ends. The runtime's fixed
// ratio of 100 % has a busy node of 50 MB collect several times a second, and one with 100,000 integrations take more
// memory than it has to. Whoever sets GOGC has their way.
func keepHeap(ctx context.Context) {
	if _, given := os.LookupEnv("GOGC"); given {
		return
	}
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	pace := pace{}
	for set := 0; ; {
		metrics.Read(heap)
		garbage := uint64(collectEvery.Seconds()) * pace.of(heap[1].Value.Uint64())
		if ratio := gcRatio(heap[0].Value.Uint64(), garbage); ratio != set {
			debug.SetGCPercent(ratio)
			set = ratio
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// pace is how many bytes are allocated a second. It rises at once and falls by half in some 20 s, so that the ratio
// does not change with each lull.
type pace struct{ total, peak uint64 }

// of is called once a second with all that was ever allocated.
func (p *pace) of(total uint64) uint64 {
	p.peak = max(total-p.total, p.peak-p.peak/32)
	p.total = total
	return p.peak
}

// gcRatio is the ratio for a heap of which so many bytes live and which may hold so much garbage, in steps of 25: each
// change stops the process for a moment.
func gcRatio(live, garbage uint64) int {
	room := min(garbage, heapGoal-min(live, heapGoal))
	return int(min(maxRatio, max(minRatio, room*100/max(live, 1)/25*25))) // #nosec G115 -- at most maxRatio
}
