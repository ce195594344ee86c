package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// newsPage is how many channels are asked about at once; JetStream answers up to 1,024 (nats-server 2.15,
// getDirectMulti), and newsBytes bounds the answer.
const (
	newsPage  = 1000
	newsBytes = 8 * mib
)

// Resumed is closed when the connection over which live events come was lost and is back.
func (j *Journal) Resumed() <-chan struct{} { return j.resumed.wait() }

// News tells which of the channels have events above a sequence, and the sequence of each one's newest. It
// is complete up to the sequence that it returns, which is the end of the log but where a copy of it is behind.
func (j *Journal) News(ctx context.Context, channels []string, after uint64) (newest map[string]uint64, upTo uint64, err error) {
	const doing = "looking for news"
	tip, err := j.tip(ctx)
	if err != nil {
		return nil, after, j.fail(doing, err)
	}
	newest = map[string]uint64{}
	if tip.Seq <= after {
		return newest, after, nil
	}
	upTo = tip.Seq
	for page := range slices.Chunk(channels, newsPage) {
		subjects := make([]string, 0, len(page)+1)
		for _, c := range page {
			subjects = append(subjects, j.eventSubject(c))
		}
		to, err := j.newsOf(ctx, append(subjects, tip.Subject), after, newest)
		if err != nil {
			return nil, after, j.fail(doing, err)
		}
		upTo = min(upTo, to)
	}
	if c := channelOfEvent(tip.Subject); !slices.Contains(channels, c) {
		delete(newest, c)
	}
	return newest, max(upTo, after), nil
}

// newsOf asks one copy of the log for the newest events of subjects (ADR-31, multi_last). A copy that has none
// of them is behind, as the log's last event is among them; it returns up to where it is known to be.
func (j *Journal) newsOf(ctx context.Context, subjects []string, after uint64, newest map[string]uint64) (upTo uint64, err error) {
	body, err := json.Marshal(map[string]any{"multi_last": subjects, "seq": after + 1, "max_bytes": newsBytes})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	inbox := j.read.NewInbox()
	sub, err := j.read.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := j.read.PublishRequest("$JS.API.DIRECT.GET."+streamEvents, inbox, body); err != nil {
		return 0, err
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return 0, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			seq, err := headerNumber(m.Header, "Nats-Sequence")
			if err != nil {
				return 0, err
			}
			channel := channelOfEvent(m.Header.Get("Nats-Subject"))
			newest[channel] = max(newest[channel], seq)
		case "204":
			return endOfNews(m.Header)
		case "404":
			return after, nil
		default:
			return 0, fmt.Errorf("%w: it answers %s %s", ErrUnavailable, status, m.Header.Get("Description"))
		}
	}
}

// endOfNews returns up to where an answer is complete: where the copy ends, or the last event told of where
// there were too many.
func endOfNews(h nats.Header) (uint64, error) {
	if h.Get("Nats-Num-Pending") != "0" {
		return headerNumber(h, "Nats-Last-Sequence")
	}
	return headerNumber(h, "Nats-UpTo-Sequence")
}

// stored is a message as the leader of a stream has it.
type stored struct {
	Subject string `json:"subject"`
	Seq     uint64 `json:"seq"`
	Data    []byte `json:"data"`
}

// tip returns the last event of the log, or the last position without a subject that anything has where that
// event was deleted.
func (j *Journal) tip(ctx context.Context) (stored, error) {
	m, err := j.leaders(ctx, streamEvents, `"last_by_subj":">"`)
	if !errors.Is(kindOf(err), ErrNotFound) {
		return m, err
	}
	_, last, err := j.bounds(ctx, streamEvents)
	return stored{Subject: "ev.none", Seq: last}, err
}

// newest returns the sequence of the newest message of a subject, or of those that it selects; 0: there is none.
func (j *Journal) newest(ctx context.Context, stream, subject string) (uint64, error) {
	m, err := j.leaders(ctx, stream, `"last_by_subj":`+strconv.Quote(subject))
	if errors.Is(kindOf(err), ErrNotFound) {
		return 0, nil
	}
	return m.Seq, err
}

// leaders asks the leader of a stream, which is never behind, for one message.
func (j *Journal) leaders(ctx context.Context, stream, which string) (stored, error) {
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message stored              `json:"message"`
	}
	err := j.line.ask(ctx, tryTimeout, func(ctx context.Context) error {
		answer, err := j.ofLeader(ctx, "MSG.GET."+stream, which)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(answer, &a); err != nil {
			return err
		}
		if a.Error != nil {
			return a.Error
		}
		return nil
	})
	return a.Message, err
}
