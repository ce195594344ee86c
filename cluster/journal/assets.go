package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

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
	bucketSeen    = "seen"
	bucketAnswers = "answers"
	bucketClients = "clients"
	bucketSyncs   = "syncs"
	bucketMarker  = "wedsync" // external servers only

	dedupWindow = 10 * time.Minute
	ackWait     = 10 * time.Minute
	deadAge     = 30 * 24 * time.Hour
	seenAge     = 8 * 24 * time.Hour
	answerAge   = 24 * time.Hour
	clientAge   = 400 * 24 * time.Hour // as long as analytics keeps deliveries
	syncAge     = 7 * 24 * time.Hour
)

func streamConfigs(cfg Config, s sizes) []jetstream.StreamConfig {
	base := jetstream.StreamConfig{
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true,
		Duplicates: dedupWindow, MaxMsgs: -1, MaxConsumers: -1, Replicas: 1,
	}
	events, work, dead, records := base, base, base, base

	events.Name, events.Subjects = streamEvents, []string{"ev.*.>"}
	events.MaxAge, events.MaxBytes = cfg.EventAge, s.events
	// The shard is dropped: who listens to a channel need not know it.
	events.RePublish = &jetstream.RePublish{Source: "ev.*.>", Destination: "live.>"}

	work.Name, work.Subjects = streamWork, []string{"dl.*.*", "park.*.*", "wait.*.*.*.*.*.*"}
	work.Retention, work.MaxBytes, work.AllowAtomicPublish = jetstream.WorkQueuePolicy, s.work, true

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

func bucketConfigs(s sizes) []jetstream.KeyValueConfig {
	file := jetstream.FileStorage
	return []jetstream.KeyValueConfig{
		{Bucket: bucketConfig, Storage: file, History: 10, MaxBytes: s.config},
		{Bucket: bucketSecrets, Storage: file, History: 1, MaxBytes: s.secrets},
		{Bucket: bucketShards, Storage: file, History: 1, MaxBytes: s.shards},
		{Bucket: bucketSeen, Storage: file, History: 1, MaxBytes: s.seen, TTL: seenAge},
		{Bucket: bucketAnswers, Storage: file, History: 1, MaxBytes: s.answers, TTL: answerAge},
	}
}

func routeConsumer(shard int) string   { return "route_" + strconv.Itoa(shard) }
func deliverConsumer(shard int) string { return "deliver_" + strconv.Itoa(shard) }

func consumerConfig(name, filter string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: -1, DeliverPolicy: jetstream.DeliverAllPolicy,
	}
}

// ensureAssets makes what is missing and brings the rest to its configuration. freshEvents reports
// that there was no event log.
func (j *Journal) ensureAssets(ctx context.Context, s sizes) (freshEvents bool, err error) {
	for _, c := range streamConfigs(j.cfg, s) {
		fresh, err := j.ensureStream(ctx, c)
		if err != nil {
			return false, j.storeError(fmt.Errorf("stream %s: %w", c.Name, err))
		}
		freshEvents = freshEvents || fresh && c.Name == streamEvents
	}
	for _, c := range bucketConfigs(s) {
		if err := j.ensureBucket(ctx, c); err != nil {
			return false, j.storeError(fmt.Errorf("bucket %s: %w", c.Bucket, err))
		}
	}
	for _, name := range []string{bucketClients, bucketSyncs} {
		kv, err := j.js.KeyValue(ctx, name)
		if err != nil {
			return false, j.storeError(fmt.Errorf("bucket %s: %w", name, err))
		}
		j.buckets[name] = &Bucket{j: j, kv: kv}
	}
	for shard := range j.cfg.Shards {
		if err := j.ensureConsumers(ctx, shard); err != nil {
			return false, j.storeError(err)
		}
	}
	return freshEvents, nil
}

func (j *Journal) ensureStream(ctx context.Context, c jetstream.StreamConfig) (fresh bool, err error) {
	s, err := j.js.Stream(ctx, c.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		fresh = true
		s, err = j.js.CreateStream(ctx, c)
	case err == nil:
		c.MaxBytes = keepBytes(c.MaxBytes, s.CachedInfo())
		s, err = j.js.UpdateStream(ctx, c)
	}
	if err != nil {
		return false, err
	}
	j.streams[c.Name] = s
	return fresh, nil
}

// keepBytes never lets a stream's bound fall below what it holds: JetStream would delete the
// difference, oldest first.
func keepBytes(wanted int64, info *jetstream.StreamInfo) int64 {
	return max(wanted, int64(info.State.Bytes))
}

func (j *Journal) ensureBucket(ctx context.Context, c jetstream.KeyValueConfig) error {
	if s, err := j.js.Stream(ctx, "KV_"+c.Bucket); err == nil {
		c.MaxBytes = keepBytes(c.MaxBytes, s.CachedInfo())
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

func (j *Journal) ensureConsumers(ctx context.Context, shard int) error {
	n := strconv.Itoa(shard)
	route := consumerConfig(routeConsumer(shard), "ev."+n+".>")
	if _, err := j.js.CreateOrUpdateConsumer(ctx, streamEvents, route); err != nil {
		return fmt.Errorf("consumer %s: %w", route.Durable, err)
	}
	deliver := consumerConfig(deliverConsumer(shard), "dl."+n+".*")
	if _, err := j.js.CreateOrUpdateConsumer(ctx, streamWork, deliver); err != nil {
		return fmt.Errorf("consumer %s: %w", deliver.Durable, err)
	}
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
