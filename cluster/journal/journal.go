package journal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// Journal is an open log. It is safe for concurrent use.
type Journal struct {
	cfg  Config
	log  zerolog.Logger
	id   string // tells this one's messages to other nodes from theirs
	path string // directory or URL, for messages
	mode string

	dir    *directory     // embedded only
	disk   *disk          // embedded only
	server *server.Server // embedded only
	marker marker
	epoch  string // written by Open only

	restoring bool // it is being filled from a backup

	// The server answers a reader in the goroutine that reads its connection, so a long read would
	// hold up whatever else goes over it.
	pub     *nats.Conn // publishes and acknowledges
	sub     *nats.Conn // receives work and live events
	query   *nats.Conn // asks; leases are renewed over it
	read    *nats.Conn // reads many messages at once
	js      jetstream.JetStream
	reader  jetstream.JetStream
	batches jetstream.JetStream // publishes
	writer  *publisher
	line    *line
	live    *live
	streams map[string]jetstream.Stream // written by Open only
	buckets map[string]*Bucket          // written by Open only

	undecodable atomic.Uint64
	recorded    signal                    // something was put into the record log here
	failed      atomic.Bool               // this node's part of the log does not work; of a cluster
	healed      signal                    // failed has changed
	elected     signal                    // a stream has a new leader
	moves       map[string]*atomic.Uint64 // how often each of those that shards read had
	resumed     signal                    // the receiving connection was lost and is back
	resumes     atomic.Uint64             // how often

	mu      sync.Mutex
	leases  *Leases // nil: not asked for
	shards  []place
	closed  chan struct{}
	leading sync.WaitGroup       // gatherLeads and watchServer
	asked   map[string]time.Time // gather's: when a leader was asked to let this node lead
	once    sync.Once
}

// Open opens the log, and makes it in an empty directory or account. It fails with a *StoreError
// that wraps ErrLocked, ErrForeign, ErrNewer or ErrUnavailable, or with a *ShardCountError.
func Open(ctx context.Context, cfg Config) (_ *Journal, err error) {
	j, err := newJournal(cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = j.shut()
		}
	}()
	size, err := j.reach(ctx)
	if err != nil {
		return nil, err
	}
	if j.cfg.Cluster != nil {
		err = j.openTogether(ctx, size)
	} else {
		err = j.ensureAssets(ctx, size)
	}
	if err == nil {
		err = j.measurePeers()
	}
	if err == nil && j.cfg.Cluster != nil && j.server != nil {
		err = j.tellCores()
	}
	if err != nil {
		return nil, err
	}
	if j.cfg.Cluster != nil && j.server != nil {
		j.awaitGathered(ctx)
		j.leading.Go(j.gatherLeads)
		j.leading.Go(j.watchServer)
	}
	return j, nil
}

func newJournal(cfg Config) (*Journal, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Journal{
		cfg: cfg, log: cfg.Logger, id: uuid.NewString(), path: redact(cfg.URL),
		streams: make(map[string]jetstream.Stream), buckets: make(map[string]*Bucket),
		shards: make([]place, cfg.Shards), closed: make(chan struct{}), asked: make(map[string]time.Time),
	}, nil
}

// reach starts the log's server, if it is this node's, and returns when it can be asked.
func (j *Journal) reach(ctx context.Context) (sizes, error) {
	size, err := j.start()
	if err == nil {
		err = j.connect()
	}
	if err == nil && j.cfg.Cluster != nil {
		err = j.awaitQuorum(ctx)
	}
	return size, err
}

// wanted is the marker of a log as this journal would make it.
func (j *Journal) wanted() marker {
	m := newMarker(j.mode, j.cfg)
	m.Restoring = j.restoring
	return m
}

// start opens the directory and runs the embedded server, if that is the mode.
func (j *Journal) start() (sizes, error) {
	j.mode = modeStandalone
	if j.cfg.URL != "" {
		j.mode = modeExternal
	}
	if c := j.cfg.Cluster; c != nil {
		j.mode, j.path = modeCluster, strings.Join(c.Servers, ",")
	}
	if j.cfg.Dir == "" {
		return chooseSizes(j.cfg, j.path, 0)
	}
	j.path = j.cfg.Dir
	var err error
	m := j.wanted()
	m.Restoring = m.Restoring && j.mode == modeStandalone // of a log that nodes share, their marker says it
	if j.dir, err = openDirectory(j.cfg, m); err != nil {
		return sizes{}, err
	}
	j.path, j.marker = j.dir.path, j.dir.marker
	const access = "check that this user may read all of it"
	if j.disk, err = newDisk(j.path); err != nil {
		return sizes{}, &StoreError{j.path, err, access}
	}
	room, err := j.disk.room()
	if err != nil {
		return sizes{}, &StoreError{j.path, err, access}
	}
	size, err := chooseSizes(j.cfg, j.path, room)
	if err != nil {
		return sizes{}, err
	}
	j.server, err = startServer(j.cfg, j.dir)
	return size, err
}

// Epoch identifies the event log: sequences are comparable only within one epoch.
func (j *Journal) Epoch() string { return j.epoch }

// Shards returns how many shards the log has, for good.
func (j *Journal) Shards() int { return j.marker.Shards }

// ShardOf returns the shard of a channel name or an integration id.
func (j *Journal) ShardOf(id string) int { return shardOf(id, j.cfg.Shards) }

// Close gives unacknowledged work back to the log, ends the embedded server and unlocks the
// directory. Calls under way fail with ErrClosed. It can be called more than once. When ctx ends
// first Close returns its error, and what is left goes on in the background.
func (j *Journal) Close(ctx context.Context) error {
	var err error
	j.once.Do(func() {
		close(j.closed)
		done := make(chan error, 1)
		go func() { done <- j.shut() }()
		select {
		case err = <-done:
		case <-ctx.Done():
			err = fmt.Errorf("closing the log: %w", ctx.Err())
		}
	})
	return err
}

// shut ends whatever Open had started.
func (j *Journal) shut() error {
	var closing sync.WaitGroup
	for i := range j.shards {
		closing.Go(j.shards[i].close) // with what was acknowledged
	}
	closing.Wait()
	j.mu.Lock()
	leases := j.leases
	j.mu.Unlock()
	if leases != nil {
		leases.close()
	}
	j.leading.Wait()
	j.handOver()
	if j.writer != nil {
		j.writer.close()
		j.line.close()
	}
	for _, nc := range []*nats.Conn{j.pub, j.sub, j.query, j.read} {
		if nc == nil {
			continue
		}
		if nc.IsConnected() {
			_ = nc.FlushTimeout(time.Second)
		}
		nc.Close()
	}
	if j.live != nil {
		j.live.close()
	}
	if j.server != nil {
		stopServer(j.server)
	}
	if j.dir != nil {
		return j.dir.close()
	}
	return nil
}

// lost reports that the embedded log has stopped itself and will not come back.
func (j *Journal) lost() bool { return j.server != nil && !j.server.JetStreamEnabled() }

// alive returns ErrClosed after Close, so that no call fails with what closing did to it.
func (j *Journal) alive() error {
	select {
	case <-j.closed:
		return ErrClosed
	default:
		return nil
	}
}

// fail is wrap for a call that may have been cut short by Close.
func (j *Journal) fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	if j.alive() != nil {
		return fmt.Errorf("%s: %w", doing, ErrClosed)
	}
	err = wrap(doing, err)
	if errors.Is(err, ErrUnavailable) && j.lost() {
		return fmt.Errorf("%w; %w", err, ErrStopped)
	}
	return err
}

// bad counts and logs a stored record that cannot be read. Its bytes are left out: they may be
// personal.
func (j *Journal) bad(stream string, seq uint64, subject string, err error) {
	j.undecodable.Add(1)
	j.log.Error().Err(err).Str("stream", stream).Uint64("seq", seq).Str("subject", subject).
		Msg("a stored record cannot be read and is passed over")
}
