package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// apiTimeout bounds requests to JetStream whose context has no deadline.
const apiTimeout = 10 * time.Second

// connect opens the connections and what runs over them.
func (j *Journal) connect() error {
	var err error
	for use, nc := range map[string]**nats.Conn{"write": &j.pub, "receive": &j.sub, "query": &j.query, "read": &j.read} {
		if *nc, err = j.dial(use); err != nil {
			return &StoreError{j.path, fmt.Errorf("%w: %w", ErrUnavailable, err), "check that the NATS server runs and that the URL is right"}
		}
	}
	back := j.sub.ReconnectHandler()
	j.sub.SetReconnectHandler(func(nc *nats.Conn) {
		back(nc)
		j.resumes.Add(1)
		j.resumed.notify()
	})
	if j.js, err = jetstream.New(j.query, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		return err
	}
	if j.reader, err = jetstream.New(j.read, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		return err
	}
	if j.batches, err = jetstream.New(j.pub, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		return err
	}
	if j.writer, err = newPublisher(j.pub); err != nil {
		return err
	}
	j.live = newLive(j.sub, j.log)
	return nil
}

func (j *Journal) dial(use string) (*nats.Conn, error) {
	log := j.log.With().Str("component", "log").Str("connection", use).Logger()
	opts := []nats.Option{
		nats.Name(j.cfg.Node + " " + use),
		nats.Timeout(apiTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		// Without a connection a publish fails at once, instead of being sent some time later.
		nats.ReconnectBufSize(-1),
		nats.NoCallbacksAfterClientClose(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn().Err(err).Msg("the connection to the log was lost") }),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info().Msg("connected to the log again") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrSlowConsumer) {
				log.Error().Err(err).Msg("the connection to the log reports an error")
			}
		}),
	}
	if j.server != nil {
		opts = append(opts, nats.InProcessServer(j.server))
	}
	return nats.Connect(j.cfg.URL, opts...)
}

// openMarkerBucket reads the marker of an external log, or makes it.
func (j *Journal) openMarkerBucket(ctx context.Context) error {
	kv, err := j.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucketMarker, Storage: jetstream.FileStorage, History: 1, MaxBytes: mib,
	})
	if err != nil {
		return j.storeError(fmt.Errorf("bucket %s: %w", bucketMarker, err))
	}
	j.buckets[bucketMarker] = &Bucket{j: j, kv: kv}
	m := newMarker(modeExternal, j.cfg)
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = kv.Create(ctx, markerKey, data)
	switch {
	case err == nil:
		j.marker = m
		return nil
	case !errors.Is(err, jetstream.ErrKeyExists):
		return j.storeError(err)
	}
	stored, err := kv.Get(ctx, markerKey)
	if err != nil {
		return j.storeError(err)
	}
	if j.marker, err = parseMarker(j.path, stored.Value()); err != nil {
		return err
	}
	return j.marker.check(j.path, modeExternal, j.cfg.Shards)
}

const markerKey = "marker"

func (j *Journal) writeMarker(ctx context.Context, m marker) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = j.buckets[bucketMarker].kv.Put(ctx, markerKey, data)
	return err
}
