package journal

import (
	"context"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Status is how the log stands.
type Status struct {
	Epoch       string         `json:"epoch"`
	Store       string         `json:"store"` // directory or URL
	Mode        string         `json:"mode"`  // "standalone", "cluster" or "external"
	Streams     []StreamStatus `json:"streams"`
	Shards      []ShardStatus  `json:"shards"`
	DiskFree    int64          `json:"diskFree,omitempty"` // bytes left where the embedded store is
	Undecodable uint64         `json:"undecodable"`        // stored records that could not be read, since Open
	LiveMissed  uint64         `json:"liveMissed"`         // live entries dropped because a listener was too slow, since Open
}

// StreamStatus is how one stream stands; "KV_..." is a bucket.
type StreamStatus struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes uint64 `json:"maxBytes"`
	FirstSeq uint64 `json:"firstSeq"`
	LastSeq  uint64 `json:"lastSeq"`
}

// ShardStatus is how much a shard has before it, what was given out and not acknowledged included.
type ShardStatus struct {
	Shard       int    `json:"shard"`
	RouteLag    uint64 `json:"routeLag"`    // events
	DeliveryLag uint64 `json:"deliveryLag"` // deliveries, parked ones apart
}

// statusAtOnce is of how many shards the log is asked at once.
const statusAtOnce = 16

// Status asks the log how it stands. It takes some milliseconds; once a second is fine.
func (j *Journal) Status(ctx context.Context) (Status, error) {
	s := Status{
		Epoch: j.Epoch(), Store: j.path, Mode: j.mode,
		Undecodable: j.undecodable.Load(), LiveMissed: j.live.missed(),
		Shards: make([]ShardStatus, j.cfg.Shards),
	}
	if j.disk != nil {
		s.DiskFree = j.disk.look()
	}
	streams := j.js.ListStreams(ctx)
	for info := range streams.Info() {
		if j.owns(info.Config.Name) {
			s.Streams = append(s.Streams, streamStatus(info))
		}
	}
	if err := streams.Err(); err != nil {
		return Status{}, j.fail("reading the log's status", err)
	}
	slices.SortFunc(s.Streams, func(a, b StreamStatus) int { return strings.Compare(a.Name, b.Name) })
	g, asking := errgroup.WithContext(ctx)
	g.SetLimit(statusAtOnce)
	for i := range s.Shards {
		g.Go(func() error {
			shard := &s.Shards[i]
			shard.Shard = i
			var err error
			if shard.RouteLag, err = j.routeLag(asking, i); err == nil {
				shard.DeliveryLag, err = j.countFrom(asking, streamWork, workOf(i), 1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return Status{}, j.fail("reading the log's status", err)
	}
	return s, nil
}

func (j *Journal) owns(stream string) bool {
	bucket, isBucket := strings.CutPrefix(stream, "KV_")
	return j.streams[stream] != nil || isBucket && j.buckets[bucket] != nil
}

func streamStatus(info *jetstream.StreamInfo) StreamStatus {
	return StreamStatus{
		Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
		MaxBytes: uint64(max(info.Config.MaxBytes, 0)), FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq,
	}
}
