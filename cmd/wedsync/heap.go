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

// keepHeap has garbage collected by the heap's size, until ctx ends. The runtime's fixed ratio of 100 %
// has a busy node of 50 MB collect several times a second, and one with 100,000 integrations take more
// memory than it has to. Whoever sets GOGC has their way.
func keepHeap(ctx context.Context) {
	if _, given := os.LookupEnv("GOGC"); given {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for set := 0; ; {
		metrics.Read(live)
		if ratio := gcRatio(live[0].Value.Uint64()); ratio != set {
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

// gcRatio is the ratio for a heap of which so many bytes live, in steps of 25: each change stops the
// process for a moment.
func gcRatio(live uint64) int {
	room := max(0, heapGoal-int64(live)) // #nosec G115 -- no heap has 2^63 bytes
	return int(min(maxRatio, max(minRatio, room*100/max(int64(live), 1)/25*25)))
}
