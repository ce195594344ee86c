package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ParkedIntegrations returns the integrations of a shard that have deliveries parked, sorted. Its
// next owner has to look after those although nothing new may ever arrive for them.
func (j *Journal) ParkedIntegrations(ctx context.Context, shard int) ([]string, error) {
	prefix := fmt.Sprintf("park.%d.", shard)
	info, err := j.streams[streamWork].Info(ctx, jetstream.WithSubjectFilter(prefix+">"))
	if err != nil {
		return nil, j.fail("looking for parked deliveries", err)
	}
	ids := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		ids = append(ids, strings.TrimPrefix(subject, prefix))
	}
	slices.Sort(ids)
	return ids, nil
}

// LastWork returns the position of the newest delivery that is before an integration in the work
// queue, given out or not; 0 when there is none. After a take-over, what was given out before comes
// again up to there.
func (j *Journal) LastWork(ctx context.Context, integration string) (uint64, error) {
	last, err := j.newest(ctx, streamWork, j.workSubjectOf(integration))
	return last, j.fail("looking for the newest delivery of "+integration, err)
}
