package journal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Of a snapshot on its way. The server sends on when it has heard of what it sent before, and gives up
// after five seconds without.
const (
	snapshotChunk  = 256 << 10
	snapshotWindow = 8 << 20
	snapshotStall  = 15 * time.Second
)

// Progress is how far a backup, or what is restored from one, has come.
type Progress struct {
	File  string
	Bytes int64 // of the file so far
	Done  bool  // with this file
}

// Backup copies the log into files, the manifest as the last of them: create begins the next file, which
// has what is written until the next call. online says that the log goes on meanwhile, and afterwards. A log
// that nobody writes to meanwhile is copied as it is; of one that goes on, the copy has what was in it when the
// backup began, and of what was under way it may have what was done already, and is done again. told, if
// not nil, hears of progress.
func (j *Journal) Backup(ctx context.Context, online bool, create func(file string) (io.Writer, error), told func(Progress)) error {
	m := Manifest{
		Format: backupFormat, Made: time.Now().UTC().Truncate(time.Second), Node: j.cfg.Node, Mode: j.mode, Epoch: j.epoch,
		Shards: j.marker.Shards, Online: online, Shared: map[string][]byte{},
	}
	for _, name := range backedUp() {
		s, err := j.backUp(ctx, name, create, told)
		if err != nil {
			return j.fail("backing up "+name, err)
		}
		m.Streams = append(m.Streams, s)
	}
	if err := j.readSharedInto(ctx, m.Shared); err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	w, err := create(ManifestFile)
	if err == nil {
		_, err = w.Write(append(data, '\n'))
	}
	return err
}

// backUp copies one stream.
func (j *Journal) backUp(ctx context.Context, name string, create func(string) (io.Writer, error), told func(Progress)) (BackedUpStream, error) {
	w, err := create(snapshotFile(name))
	if err != nil {
		return BackedUpStream{}, err
	}
	t := NewTally(snapshotFile(name), told)
	sum := sha256.New()
	s, err := j.snapshot(ctx, name, io.MultiWriter(w, sum, t))
	if err != nil {
		return s, err
	}
	t.Done()
	s.Bytes, s.SHA256 = t.bytes, hex.EncodeToString(sum.Sum(nil))
	return s, nil
}

// Tally counts the bytes of a file, which are written to it, and tells of them.
type Tally struct {
	file  string
	bytes int64
	told  func(Progress)
}

// NewTally begins a file; told may be nil.
func NewTally(file string, told func(Progress)) *Tally { return &Tally{file: file, told: told} }

// Write counts and never fails.
func (t *Tally) Write(p []byte) (int, error) {
	t.bytes += int64(len(p))
	if t.told != nil {
		t.told(Progress{File: t.file, Bytes: t.bytes})
	}
	return len(p), nil
}

// Done tells that this is all of the file.
func (t *Tally) Done() {
	if t.told != nil {
		t.told(Progress{File: t.file, Bytes: t.bytes, Done: true})
	}
}

// snapshot writes JetStream's snapshot of a stream (NATS documentation, "JetStream wire API reference",
// STREAM.SNAPSHOT): chunks that are acknowledged one by one, and one without data at the end, whose
// status says how it went.
func (j *Journal) snapshot(ctx context.Context, name string, to io.Writer) (BackedUpStream, error) {
	out := BackedUpStream{Name: name}
	chunks, err := j.read.SubscribeSync(nats.NewInbox())
	if err != nil {
		return out, err
	}
	defer func() { _ = chunks.Unsubscribe() }()
	var begun server.JSApiStreamSnapshotResponse
	err = ask(ctx, j.read, fmt.Sprintf(server.JSApiStreamSnapshotT, name), server.JSApiStreamSnapshotRequest{
		DeliverSubject: chunks.Subject, ChunkSize: snapshotChunk, WindowSize: snapshotWindow,
	}, &begun)
	if err == nil {
		err = refusal(begun.Error)
	}
	if err != nil {
		return out, err
	}
	if begun.Config == nil || begun.State == nil {
		return out, fmt.Errorf("the log's server says nothing of the stream: %w", ErrForeign)
	}
	out.Config, out.State = *begun.Config, *begun.State
	for {
		var m *nats.Msg
		err := bounded(ctx, snapshotStall, func(ctx context.Context) (err error) {
			m, err = chunks.NextMsgWithContext(ctx)
			return err
		})
		if err != nil {
			return out, err
		}
		if len(m.Data) == 0 {
			if status := m.Header.Get("Status"); status != "" && status != "204" {
				return out, fmt.Errorf("%w: the server gave up: %s %s", ErrUnavailable, status, m.Header.Get("Description"))
			}
			return out, nil
		}
		if _, err := to.Write(m.Data); err != nil {
			return out, err
		}
		if m.Reply != "" {
			if err := m.Respond(nil); err != nil {
				return out, err
			}
		}
	}
}

// ask sends a request of JetStream's API that nats.go has no function for, and reads the answer.
func ask(ctx context.Context, nc *nats.Conn, subject string, request, answer any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return bounded(ctx, apiTimeout, func(ctx context.Context) error {
		m, err := nc.RequestWithContext(ctx, subject, data)
		if err != nil {
			return err
		}
		return json.Unmarshal(m.Data, answer)
	})
}

func refusal(e *server.ApiError) error {
	if e == nil {
		return nil
	}
	return &jetstream.APIError{Code: e.Code, ErrorCode: jetstream.ErrorCode(e.ErrCode), Description: e.Description}
}

// readSharedInto adds what the nodes share beside the marker.
func (j *Journal) readSharedInto(ctx context.Context, shared map[string][]byte) error {
	b := j.buckets[bucketMarker]
	if b == nil {
		return nil
	}
	keys, err := b.kv.ListKeys(ctx)
	if err != nil {
		return b.fail("listing", "", err)
	}
	for key := range keys.Keys() {
		if key == markerKey {
			continue
		}
		v, err := b.Get(ctx, key)
		if err != nil {
			return err
		}
		shared[key] = v.Data
	}
	return ctx.Err() // the list ends without a word then
}
