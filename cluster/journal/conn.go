package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// apiTimeout bounds requests to JetStream whose context has no deadline.
const apiTimeout = 10 * time.Second

// A server that was stopped, or is cut off, closes no connection. It is left for another one when it has not
// answered for two pings, or does not take the connection in time.
const (
	dialTimeout = 3 * time.Second
	pingEvery   = 2 * time.Second
)

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
	metrics, err := newLineMetrics(j.cfg.Metrics)
	if err != nil {
		return err
	}
	if j.writer, err = newPublisher(j.pub); err != nil {
		return err
	}
	if j.cfg.Replicas > 1 {
		j.writer.gathers = make(map[string]*gather)
	}
	j.line = &line{out: j.writer, patience: j.cfg.Patience, lost: j.lost, metrics: metrics, hurried: make(chan struct{})}
	j.moves = map[string]*atomic.Uint64{streamEvents: {}, streamWork: {}}
	j.live = newLive(j.sub, j.line, j.log)
	if j.cfg.Replicas == 1 {
		return nil // nobody elects leaders
	}
	return j.watchElections()
}

// watchElections tells who is concerned of new leaders.
func (j *Journal) watchElections() error {
	_, err := j.sub.Subscribe(streamElected+"*", func(m *nats.Msg) {
		j.moved(m.Subject[len(streamElected):])
	})
	return err
}

// moved is called when a stream has another leader. What was asked of the one before may never be answered.
func (j *Journal) moved(stream string) {
	j.writer.moved(stream)
	if n := j.moves[stream]; n != nil {
		n.Add(1)
	}
	j.elected.notify()
}

// streamElected is where JetStream tells of a new leader; the stream follows (JSAdvisoryStreamLeaderElectedPre in
// nats-server's jetstream_api.go).
const streamElected = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."

func (j *Journal) dial(use string, more ...nats.Option) (*nats.Conn, error) {
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
	urls := j.cfg.URL
	if j.server != nil {
		opts = append(opts, nats.InProcessServer(j.server))
	} else {
		opts = append(opts, nats.Timeout(dialTimeout), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(2))
	}
	if c := j.cfg.Cluster; c != nil && j.server == nil {
		urls = strings.Join(c.Servers, ",")
		opts = append(opts, nats.RetryOnFailedConnect(true))
		if c.TLS != nil {
			opts = append(opts, nats.Secure(c.TLS))
		}
	}
	return nats.Connect(urls, append(opts, more...)...)
}

// makeMarkerBucket makes the marker that nodes with one log share, unless there is one, and reads it.
func (j *Journal) makeMarkerBucket(ctx context.Context) error {
	kv, err := j.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucketMarker, Storage: jetstream.FileStorage, History: 1, MaxBytes: mib, Replicas: j.cfg.Replicas,
	})
	if err != nil {
		return j.storeError(fmt.Errorf("bucket %s: %w", bucketMarker, err))
	}
	data, err := json.Marshal(j.wanted())
	if err != nil {
		return err
	}
	if _, err := kv.Create(ctx, markerKey, data); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return j.storeError(err)
	}
	return j.readMarker(ctx)
}

func (j *Journal) readMarker(ctx context.Context) error {
	if err := j.useBucket(ctx, bucketMarker); err != nil {
		return err
	}
	stored, err := j.buckets[bucketMarker].Get(ctx, markerKey)
	if err != nil {
		return err
	}
	if j.marker, err = parseMarker(j.path, stored.Data); err != nil {
		return err
	}
	return j.marker.check(j.path, j.wanted())
}

// noteAssets tells the other nodes that the assets are there.
func (j *Journal) noteAssets(ctx context.Context) error {
	if j.marker.Assets >= assets {
		return nil
	}
	j.marker.Assets = assets
	return j.writeMarker(ctx)
}

// writeMarker replaces the marker with what it is to be now.
func (j *Journal) writeMarker(ctx context.Context) error {
	if j.mode == modeStandalone {
		return j.dir.write(j.marker)
	}
	data, err := json.Marshal(j.marker)
	if err == nil {
		_, err = j.buckets[bucketMarker].Put(ctx, markerKey, data)
	}
	return err
}

const markerKey = "marker"
