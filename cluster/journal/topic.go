package journal

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

const (
	topicPrefix = "node."
	askSuffix   = ".ask"
	// fromHeader tells a journal's own messages from those of others, leftHeader how many follow in an answer.
	fromHeader = "From"
	leftHeader = "Left"
)

// Topic is what the nodes tell each other over the log's connection, outside of all streams: at most once, in
// the order of each, and nobody keeps it. It is safe for concurrent use.
type Topic struct {
	j     *Journal
	name  string
	heard *nats.Subscription
	asked *nats.Subscription
}

// Join begins to hear what the others tell of a topic: heard is called with each message, and may keep it. It
// asks what there is to know, first: what the first node to answer says, if any does before ctx ends, is given
// to heard, too. From then on present answers those that join, in messages of at most MaxTold bytes. Both
// functions must be safe for concurrent use.
func (j *Journal) Join(ctx context.Context, name string, heard func([]byte), present func() [][]byte) (*Topic, error) {
	if err := j.alive(); err != nil {
		return nil, err
	}
	t, doing := &Topic{j: j, name: topicPrefix + name}, "joining the topic "+name
	var err error
	if t.heard, err = j.sub.Subscribe(t.name, func(m *nats.Msg) {
		if m.Header.Get(fromHeader) != j.id {
			heard(m.Data)
		}
	}); err != nil {
		return nil, j.fail(doing, err)
	}
	if err := t.ask(ctx, heard); err != nil {
		j.log.Warn().Err(err).Str("topic", name).Msg("no other node was asked what there is to know")
	}
	if t.asked, err = j.sub.Subscribe(t.name+askSuffix, func(m *nats.Msg) { t.answer(m.Reply, present()) }); err != nil {
		t.Leave()
		return nil, j.fail(doing, err)
	}
	return t, nil
}

// MaxTold is how large a message of a topic may be, in bytes.
const MaxTold = 256 << 10

// Tell gives a message to all others. It does not wait until they have it.
func (t *Topic) Tell(data []byte) error { return t.send(t.name, data, 0) }

// Leave ends hearing and answering.
func (t *Topic) Leave() {
	for _, s := range []*nats.Subscription{t.heard, t.asked} {
		if s != nil {
			_ = s.Unsubscribe() // it ends with the connection anyway
		}
	}
}

func (t *Topic) send(subject string, data []byte, left int) error {
	if len(data) > MaxTold {
		return fmt.Errorf("telling of %s: %w: %d bytes, at most %d are allowed", t.name, ErrTooLarge, len(data), MaxTold)
	}
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{fromHeader: {t.j.id}, leftHeader: {strconv.Itoa(left)}}}
	return t.j.fail("telling of "+t.name, t.j.pub.PublishMsg(m))
}

func (t *Topic) answer(to string, messages [][]byte) {
	if len(messages) == 0 {
		messages = [][]byte{nil}
	}
	for i, data := range messages {
		if err := t.send(to, data, len(messages)-1-i); err != nil {
			t.j.log.Warn().Err(err).Msg("another node was not answered")
			return
		}
	}
}

// ask has the first one to answer tell all it knows.
func (t *Topic) ask(ctx context.Context, heard func([]byte)) error {
	nc := t.j.sub
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := nc.PublishRequest(t.name+askSuffix, inbox, nil); err != nil {
		return err
	}
	for first, left := "", 1; left > 0; {
		m, err := sub.NextMsgWithContext(ctx)
		if ctx.Err() != nil || errors.Is(err, nats.ErrNoResponders) {
			return nil
		}
		if err != nil {
			return err
		}
		from := m.Header.Get(fromHeader)
		if first == "" {
			first = from
		}
		if from != first {
			continue
		}
		if left, err = strconv.Atoi(m.Header.Get(leftHeader)); err != nil {
			return fmt.Errorf("header %s: %w", leftHeader, err)
		}
		if len(m.Data) > 0 {
			heard(m.Data)
		}
	}
	return nil
}
