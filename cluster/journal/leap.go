package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/archive"
)

// epochLeap is how many sequences are left out where a log that went on is set back. Deliveries that are
// restored may be of events that are not: no other event is to get their sequences, or its deliveries would
// be taken for theirs.
const epochLeap = 1 << 20

// stateEntry is the first entry of a snapshot, as nats-server 2.15 writes it (stream_backup.go there).
const stateEntry = "state.json"

// leaping returns the snapshot with the next sequence put forward. It is to be closed.
func leaping(snapshot io.Reader, by uint64) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(leapTo(w, snapshot, by)) }()
	return r
}

func leapTo(to io.Writer, snapshot io.Reader, by uint64) (err error) {
	in := bufio.NewReaderSize(s2.NewReader(snapshot), snapshotChunk) // the archive's reader takes it as its own
	entries := archive.NewReader(in)
	head, err := entries.Next()
	if err != nil || head.Name != stateEntry {
		return fmt.Errorf("%w: the snapshot does not begin with its state; was it made by an older NATS server? %w", ErrForeign, err)
	}
	var state server.StreamState
	data, err := io.ReadAll(entries)
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err != nil {
		return fmt.Errorf("%w: the snapshot's state: %w", ErrForeign, err)
	}
	if state.FirstSeq = max(state.FirstSeq, 1); state.FirstSeq > state.LastSeq {
		state.FirstSeq += by // one past the last: it is empty
	}
	state.LastSeq += by
	data, err = json.Marshal(state)
	if err != nil {
		return err
	}
	out := s2.NewWriter(to)
	defer func() { err = errors.Join(err, out.Close()) }()
	head.PayloadSize = int64(len(data))
	entry := archive.NewWriter(out)
	if err := entry.WriteHeader(head); err != nil {
		return err
	}
	if _, err := entry.Write(data); err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return err
}
