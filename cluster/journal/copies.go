package journal

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Copies returns how many whole copies there are of each stream at the least, on nodes that answer. Less than
// Config.Replicas are there while a node is away, or has yet to take over what it missed.
func (j *Journal) Copies(ctx context.Context) (int, error) {
	least := math.MaxInt
	for _, name := range append(backedUp(), streamOf(bucketShards)) {
		s, err := j.js.Stream(ctx, name)
		if err != nil {
			return 0, j.fail("asking for the copies of "+name, err)
		}
		least = min(least, copiesOf(s.CachedInfo()))
	}
	return least, nil
}

func copiesOf(info *jetstream.StreamInfo) int {
	copies := 1
	if info.Cluster != nil {
		for _, r := range info.Cluster.Replicas {
			if r.Current && !r.Offline {
				copies++
			}
		}
	}
	return copies
}

// awaitCopies waits until every node that is to have a copy of a stream has all of it.
func (j *Journal) awaitCopies(ctx context.Context) error {
	for {
		copies, err := j.Copies(ctx)
		switch {
		case err == nil && copies >= j.cfg.Replicas:
			return nil
		case err != nil && !passing(err):
			return j.storeError(err)
		case ctx.Err() != nil:
			return j.storeError(fmt.Errorf("there are %d of %d copies: %w", copies, j.cfg.Replicas, ctx.Err()))
		}
		wait(ctx, 200*time.Millisecond)
	}
}
