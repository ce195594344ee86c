package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Restore says what to restore, and how.
type Restore struct {
	// Open opens a file of the backup.
	Open func(file string) (io.ReadCloser, error)
	// UsedSince says that the log went on after it was backed up. The restored one begins another epoch then,
	// so that clients load their channels anew: they may know of events that are not in it.
	UsedSince bool
	// Finish, if not nil, is called when all is there, before other nodes open the log.
	Finish func(context.Context, *Journal) error
	// Told, if not nil, hears of progress.
	Told func(Progress)
}

// RestoreLog makes the log that cfg names from a backup, and closes it. The backup is checked before anything is
// touched. It fails with a *StoreError that wraps ErrNotEmpty where there is a log already, with ErrForeign
// or ErrNewer for what is no backup of this release, with a *ShardCountError, and as Open does. What it could not
// finish nobody can open, and it can be done again.
func RestoreLog(ctx context.Context, cfg Config, from Restore) (m Manifest, err error) {
	if m, err = from.check(); err != nil {
		return m, err
	}
	j, err := newJournal(cfg)
	if err != nil {
		return m, err
	}
	if m.Shards != j.cfg.Shards {
		return m, &ShardCountError{Path: "of the backup", Stored: m.Shards, Wanted: j.cfg.Shards}
	}
	j.restoring = true
	defer func() { err = errors.Join(err, j.shut()) }()
	size, err := j.reach(ctx)
	if err != nil {
		return m, err
	}
	if err := j.clear(ctx); err != nil {
		return m, err
	}
	return m, j.refill(ctx, size, m, from)
}

// check reads all of the backup.
func (from Restore) check() (Manifest, error) {
	data, err := from.read(ManifestFile)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: there is no whole backup: %w", ErrForeign, err)
	}
	m, err := ParseManifest(data)
	if err != nil {
		return m, err
	}
	for _, s := range m.Streams {
		if err := from.checkFile(s); err != nil {
			return m, err
		}
	}
	return m, nil
}

func (from Restore) read(file string) ([]byte, error) {
	r, err := from.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

func (from Restore) checkFile(s BackedUpStream) error {
	r, err := from.Open(s.File())
	if err != nil {
		return fmt.Errorf("%w: the backup lacks a file: %w", ErrForeign, err)
	}
	defer func() { _ = r.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != s.Bytes || got != s.SHA256 {
		return fmt.Errorf("%s: %w: it has %d bytes with the checksum %s, and was written with %d and %s; use another backup", s.File(), ErrForeign, n, got, s.Bytes, s.SHA256)
	}
	return nil
}

// clear makes sure that there is no log, and notes that one is being restored; what an earlier try has left
// is deleted.
func (j *Journal) clear(ctx context.Context) error {
	if j.mode != modeStandalone {
		// Whoever makes the marker makes the log. One that is there and is not of a restore is of nodes that serve.
		if err := j.makeMarkerBucket(ctx); err != nil {
			return err
		}
		if !j.marker.Restoring {
			return &StoreError{j.path, ErrNotEmpty, "stop its nodes and give them empty data folders; those that take part in the restore are started with log.awaitRestore"}
		}
	}
	for _, name := range append(backedUp(), streamOf(bucketShards)) {
		s, err := j.js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return j.storeError(err)
		}
		if !j.marker.Restoring && s.CachedInfo().State.LastSeq > 0 && name != streamOf(bucketShards) {
			return &StoreError{j.path, fmt.Errorf("%w: its stream %s has been written to", ErrNotEmpty, name), "restore into an empty data folder"}
		}
	}
	if j.marker.Restoring = true; j.mode == modeStandalone {
		if err := j.writeMarker(ctx); err != nil {
			return err
		}
	}
	for _, name := range append(backedUp(), streamOf(bucketShards)) {
		if err := j.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return j.storeError(fmt.Errorf("stream %s: %w", name, err))
		}
	}
	return nil
}

// refill puts the backup into the log.
func (j *Journal) refill(ctx context.Context, size sizes, m Manifest, from Restore) error {
	bounds := j.boundsOf(size)
	for _, s := range m.Streams {
		c := s.Config
		c.Replicas, c.MaxBytes, c.Placement = j.cfg.Replicas, max(bounds[s.Name], int64(s.State.Bytes)), nil
		c.Retention = server.LimitsPolicy // an earlier release had others
		var leap uint64
		if s.Name == streamEvents && (from.UsedSince || m.Online) {
			c.Metadata, leap = map[string]string{epochKey: uuid.NewString()}, epochLeap
		}
		if err := j.restoreStream(ctx, s, c, from, leap); err != nil {
			return j.storeError(fmt.Errorf("restoring %s: %w", s.Name, err))
		}
	}
	if err := j.ensureAssets(ctx, size); err != nil {
		return err
	}
	for name, data := range m.Shared {
		if b := j.buckets[bucketMarker]; b != nil {
			if _, err := b.Put(ctx, name, data); err != nil {
				return err
			}
		}
	}
	if err := j.awaitCopies(ctx); err != nil {
		return err
	}
	if from.Finish != nil {
		if err := from.Finish(ctx, j); err != nil {
			return err
		}
	}
	j.marker.Restoring = false
	return j.writeMarker(ctx)
}

// boundsOf are the sizes of all streams, by name.
func (j *Journal) boundsOf(s sizes) map[string]int64 {
	bounds := map[string]int64{}
	for _, c := range streamConfigs(j.cfg, s) {
		bounds[c.Name] = c.MaxBytes
	}
	for _, c := range bucketConfigs(j.cfg, s) {
		bounds[streamOf(c.Bucket)] = c.MaxBytes
	}
	return bounds
}

// restoreStream has JetStream make a stream of a snapshot (NATS documentation, "JetStream wire API
// reference", STREAM.RESTORE): each chunk is answered, and the one without data, at the end, with what came of it.
func (j *Journal) restoreStream(ctx context.Context, s BackedUpStream, c server.StreamConfig, from Restore, leap uint64) error {
	file, err := from.Open(s.File())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	t := NewTally(s.File(), from.Told)
	in := io.TeeReader(file, t)
	if leap > 0 {
		r := leaping(in, leap)
		defer func() { _ = r.Close() }()
		in = r
	}
	var begun server.JSApiStreamRestoreResponse
	if err := ask(ctx, j.read, fmt.Sprintf(server.JSApiStreamRestoreT, s.Name), server.JSApiStreamRestoreRequest{Config: c, State: s.State}, &begun); err != nil {
		return err
	}
	if begun.Error != nil {
		return refusal(begun.Error)
	}
	chunk := make([]byte, snapshotChunk)
	for {
		n, err := io.ReadFull(in, chunk)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		got, err := j.give(ctx, begun.DeliverSubject, chunk[:n])
		switch {
		case err != nil:
			return err
		case n == 0 && got.StreamInfo == nil:
			return fmt.Errorf("%w: the server does not say what came of it", ErrUnavailable)
		case n == 0:
			t.Done()
			return nil
		}
	}
}

// give sends a chunk and returns what was answered: nothing, or of the last one the stream.
func (j *Journal) give(ctx context.Context, subject string, chunk []byte) (got server.JSApiStreamCreateResponse, err error) {
	var m *nats.Msg
	err = bounded(ctx, restoreStall, func(ctx context.Context) error {
		for {
			// That another server listens there may be told later than it answers where.
			m, err = j.read.RequestWithContext(ctx, subject, chunk)
			if !errors.Is(err, nats.ErrNoResponders) || ctx.Err() != nil {
				return err
			}
			wait(ctx, 10*time.Millisecond)
		}
	})
	if err != nil || len(m.Data) == 0 {
		return got, err
	}
	if err := json.Unmarshal(m.Data, &got); err != nil {
		return got, err
	}
	return got, refusal(got.Error)
}

// restoreStall is longer than it takes to store what was sent, and to have it activated.
const restoreStall = 30 * time.Second
