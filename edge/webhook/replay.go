package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/problem"
)

// logRemembers is how long the log itself drops events of a webhook with an id that it has.
const logRemembers = 10 * time.Minute

// eventID derives an event's id from what the vendor calls the message: "whk_" and 32 hex digits.
func eventID(integration, message string) string {
	sum := sha256.Sum256([]byte(integration + "\x00" + message))
	return "whk_" + hex.EncodeToString(sum[:16])
}

// messageID tells the message at i from all others of the integration: by its own id, else by the
// webhook's and its place in it, else, where the protocol has no ids, by what the webhook says.
func (b *batch) messageID(i int) string {
	if id := b.Messages[i].ID; id != "" {
		return id
	}
	id := b.id
	if id == "" {
		sum := sha256.Sum256(b.body)
		id = "sha256:" + hex.EncodeToString(sum[:])
	}
	if len(b.Messages) == 1 {
		return id
	}
	return id + "\x00" + strconv.Itoa(i)
}

// recall tells whether an event of that id was appended before the time that the log remembers.
func (h *Handler) recall(ctx context.Context, id string) (seq uint64, known bool, err error) {
	v, err := h.cfg.Seen.Get(ctx, id)
	switch {
	case errors.Is(err, journal.ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, forgetful(err)
	}
	seq, _ = strconv.ParseUint(string(v.Data), 10, 64)
	return seq, true, nil
}

// remember keeps the id of an event that was appended.
func (h *Handler) remember(ctx context.Context, id string, seq uint64) error {
	_, err := h.cfg.Seen.Create(ctx, id, strconv.AppendUint(nil, seq, 10))
	if err == nil || errors.Is(err, journal.ErrConflict) {
		return nil
	}
	return forgetful(err)
}

// forgetful answers so that the sender comes again: whether it came before cannot be told, or could
// not be told the next time.
func forgetful(err error) error {
	switch {
	case errors.Is(err, journal.ErrFull):
		return problem.New(problem.LogFull, "the event log has no room").After(30 * time.Second).Because(err)
	case errors.Is(err, journal.ErrClosed):
		return problem.New(problem.ShuttingDown, "the node is stopping; send it again").After(5 * time.Second).Because(err)
	}
	return problem.New(problem.LogUnavailable, "the event log did not answer in time; send it again").After(time.Second).Because(err)
}
