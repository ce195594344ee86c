package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	streamEvents  = "EV"
	streamWork    = "DL"
	streamDead    = "DEAD"
	streamRecords = "REC"

	bucketConfig  = "config"
	bucketSecrets = "secrets"
	bucketShards  = "shards"
	bucketRouted  = "routed"
	bucketSeen    = "seen"
	bucketAnswers = "answers"
	bucketClients = "clients"
	bucketSyncs   = "syncs"
	bucketMarker  = "wedsync" // of a log that nodes share

	dedupWindow = 10 * time.Minute
	deadAge     = 30 * 24 * time.Hour
	seenAge     = 8 * 24 * time.Hour
	answerAge   = 24 * time.Hour
	clientAge   = 400 * 24 * time.Hour // as long as analytics keeps deliveries
	syncAge     = 7 * 24 * time.Hour
)

func streamConfigs(cfg Config, s sizes) []jetstream.StreamConfig {
	base := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true,
		Duplicates: dedupWindow, MaxMsgs: -1, MaxConsumers: -1, Replicas: cfg.Replicas,
	}
	events, work, dead, records := base, base, base, base

	events.Name, events.Subjects = streamEvents, []string{"ev.*.>"}
	events.MaxAge, events.MaxBytes = cfg.EventAge, s.events
	// The shard is dropped: who listens to a channel need not know it.
	events.RePublish = &jetstream.RePublish{Source: "ev.*.>", Destination: "live.>"}

	work.Name, work.Subjects = streamWork, []string{"dl.*.*", "park.*.*", "wait.*.*.*.*.*.*"}
	work.MaxBytes, work.AllowAtomicPublish = s.work, true

	dead.Name, dead.Subjects = streamDead, []string{"dead.*"}
	dead.MaxAge, dead.MaxBytes = deadAge, s.dead

	records.Name, records.Subjects, records.MaxBytes = streamRecords, []string{recordSubject}, s.records

	// Buckets, but that what they hold can be overwritten and deleted, which JetStream's own do not allow.
	clients, syncs := base, base
	clients.Name, clients.Subjects, clients.MaxAge, clients.MaxBytes = streamOf(bucketClients), []string{keysOf(bucketClients)}, clientAge, s.clients
	syncs.Name, syncs.Subjects, syncs.MaxAge, syncs.MaxBytes = streamOf(bucketSyncs), []string{keysOf(bucketSyncs)}, syncAge, s.syncs
	clients.MaxMsgsPerSubject, syncs.MaxMsgsPerSubject = 1, 1
	return []jetstream.StreamConfig{events, work, dead, records, clients, syncs}
}

func bucketConfigs(cfg Config, s sizes) []jetstream.KeyValueConfig {
	buckets := []jetstream.KeyValueConfig{
		{Bucket: bucketConfig, History: 10, MaxBytes: s.config},
		{Bucket: bucketSecrets, History: 1, MaxBytes: s.secrets},
		{Bucket: bucketShards, History: 1, MaxBytes: s.shards},
		{Bucket: bucketRouted, History: 1, MaxBytes: s.routed},
		{Bucket: bucketSeen, History: 1, MaxBytes: s.seen, TTL: seenAge},
		{Bucket: bucketAnswers, History: 1, MaxBytes: s.answers, TTL: answerAge},
	}
	for i := range buckets {
		buckets[i].Storage, buckets[i].Replicas = jetstream.FileStorage, cfg.Replicas
	}
	return buckets
}

func eventsOf(shard int) string { return "ev." + strconv.Itoa(shard) + ".>" }
func workOf(shard int) string   { return "dl." + strconv.Itoa(shard) + ".*" }

// ensureAssets makes what is missing and brings the rest to its configuration.
func (j *Journal) ensureAssets(ctx context.Context, s sizes) error {
	if j.mode != modeStandalone {
		if err := j.makeMarkerBucket(ctx); err != nil {
			return err
		}
	}
	for _, c := range streamConfigs(j.cfg, s) {
		if err := j.ensureStream(ctx, c); err != nil {
			return j.storeError(fmt.Errorf("stream %s: %w", c.Name, err))
		}
	}
	for _, c := range bucketConfigs(j.cfg, s) {
		if err := j.ensureBucket(ctx, c); err != nil {
			return j.storeError(fmt.Errorf("bucket %s: %w", c.Bucket, err))
		}
	}
	if err := j.useOverwritten(ctx); err != nil {
		return err
	}
	if j.mode == modeCluster {
		return j.noteAssets(ctx)
	}
	return nil
}

// useOverwritten opens the buckets that are made as streams.
func (j *Journal) useOverwritten(ctx context.Context) error {
	for _, name := range []string{bucketClients, bucketSyncs} {
		if err := j.useBucket(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) useBucket(ctx context.Context, name string) error {
	kv, err := j.js.KeyValue(ctx, name)
	if err != nil {
		return j.storeError(fmt.Errorf("bucket %s: %w", name, err))
	}
	j.buckets[name] = &Bucket{j: j, kv: kv}
	return nil
}

// epochKey names the event log's identity among what its stream says of itself: so a log that was lost
// and made anew has another one, and one that was restored has its own.
const epochKey = "wedsync.epoch"

// assets is the release of what is made here, higher with each change that the log of a cluster is to be
// brought to. A node of an older release leaves what it finds as it is.
const assets = 2

func (j *Journal) ensureStream(ctx context.Context, c jetstream.StreamConfig) error {
	s, err := j.js.Stream(ctx, c.Name)
	if c.Name == streamEvents {
		c.Metadata = map[string]string{epochKey: uuid.NewString()}
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		s, err = j.js.CreateStream(ctx, c)
		if err == nil && c.Name == streamEvents { // how far another log was routed says nothing of this one
			if err = j.js.DeleteStream(ctx, streamOf(bucketRouted)); errors.Is(err, jetstream.ErrStreamNotFound) {
				err = nil
			}
		}
	case err == nil && s.CachedInfo().Config.Retention != c.Retention:
		s, err = j.remakeStream(ctx, c, s.CachedInfo())
	case err == nil:
		if c.Name == streamEvents {
			c.Metadata[epochKey] = cmp.Or(s.CachedInfo().Config.Metadata[epochKey], j.marker.Epoch, c.Metadata[epochKey])
		}
		c.MaxBytes = j.keepBytes(c.Name, c.MaxBytes, s.CachedInfo())
		s, err = j.js.UpdateStream(ctx, c)
	}
	if err != nil {
		return err
	}
	j.use(s)
	return nil
}

// remakeStream replaces a stream of an earlier release, which JetStream cannot turn into what this one needs.
func (j *Journal) remakeStream(ctx context.Context, c jetstream.StreamConfig, old *jetstream.StreamInfo) (jetstream.Stream, error) {
	if old.State.Msgs > 0 {
		return nil, fmt.Errorf("%w: an earlier release has left %d deliveries in it; have that deliver them, or restore a backup of the log into an empty data folder", ErrForeign, old.State.Msgs)
	}
	if err := j.js.DeleteStream(ctx, c.Name); err != nil {
		return nil, err
	}
	return j.js.CreateStream(ctx, c)
}

// use takes a stream for what it is from now on.
func (j *Journal) use(s jetstream.Stream) {
	c := s.CachedInfo().Config
	if c.Name == streamEvents {
		j.epoch = c.Metadata[epochKey]
	}
	j.streams[c.Name] = s
}

// keepBytes never lets a stream's bound fall below what it holds: JetStream would delete the difference,
// oldest first. In a cluster the nodes' disks differ, and what the first one chose stays, unless the
// operator says otherwise.
func (j *Journal) keepBytes(stream string, wanted int64, info *jetstream.StreamInfo) int64 {
	if j.mode == modeCluster && j.cfg.bytesOf(stream) == 0 {
		wanted = info.Config.MaxBytes
	}
	return max(wanted, int64(info.State.Bytes))
}

func (j *Journal) ensureBucket(ctx context.Context, c jetstream.KeyValueConfig) error {
	if s, err := j.js.Stream(ctx, streamOf(c.Bucket)); err == nil {
		c.MaxBytes = j.keepBytes(streamOf(c.Bucket), c.MaxBytes, s.CachedInfo())
	} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	kv, err := j.js.CreateOrUpdateKeyValue(ctx, c)
	if err != nil {
		return err
	}
	j.buckets[c.Bucket] = &Bucket{j: j, kv: kv}
	return nil
}

// storeError says what to do about an asset that could not be made.
func (j *Journal) storeError(err error) error {
	kind := kindOf(err)
	do := "see the log of the NATS server"
	switch {
	case errors.Is(kind, ErrFull):
		do = "free disk space, raise MaxStore, or lower the sizes of the streams"
	case errors.Is(kind, ErrUnavailable):
		do = "check that JetStream is enabled and answers"
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		do = "give wedsync a NATS account of its own"
	}
	if kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return &StoreError{j.path, err, do}
}
