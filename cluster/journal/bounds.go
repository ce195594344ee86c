package journal

import "context"

// Bounds returns the sequences of the oldest event that the log still holds and of its newest one,
// over all channels. An empty log has first = last+1.
func (j *Journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	info, err := j.streams[streamEvents].Info(ctx)
	if err != nil {
		return 0, 0, j.fail("reading the event log's bounds", err)
	}
	if info.State.Msgs == 0 { // one that was never written to says 0 and 0
		return info.State.LastSeq + 1, info.State.LastSeq, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}
