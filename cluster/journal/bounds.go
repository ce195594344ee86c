package journal

import "context"

// Bounds returns the sequences of the oldest event that the log still holds and of its newest one,
// over all channels. An empty log has first = last+1.
func (j *Journal) Bounds(ctx context.Context) (first, last uint64, err error) {
	info, err := j.streams[streamEvents].Info(ctx)
	if err != nil {
		return 0, 0, j.fail("reading the event log's bounds", err)
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}
