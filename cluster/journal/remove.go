package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// remove deletes one message; it is no error that there is none. Stream.DeleteMsg of nats.go loses
// the error's code, which is what tells the two apart.
func (j *Journal) remove(ctx context.Context, stream string, seq uint64) error {
	return j.removeAs(ctx, stream, seq, `"no_erase":true,`)
}

// overwrite is how removeAs leaves nothing of the message's bytes in the store.
const overwrite = ""

func (j *Journal) removeAs(ctx context.Context, stream string, seq uint64, how string) error {
	answer, err := j.ofMessage(ctx, "DELETE", stream, how, seq)
	if err == nil {
		err = removed(answer)
	}
	if errors.Is(kindOf(err), ErrNotFound) {
		return nil
	}
	return j.fail(fmt.Sprintf("deleting %s %d", stream, seq), err)
}

func removed(answer []byte) error {
	var a struct {
		Success bool `json:"success"`
	}
	if err := refused(answer); err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if !a.Success {
		return errors.New("the log did not delete it")
	}
	return nil
}

// HasEvent reports whether the log still holds the event with that sequence. It asks the stream's leader,
// which is never behind.
func (j *Journal) HasEvent(ctx context.Context, seq uint64) (bool, error) {
	answer, err := j.ofMessage(ctx, "GET", streamEvents, "", seq)
	if err == nil {
		err = refused(answer)
	}
	if errors.Is(kindOf(err), ErrNotFound) {
		return false, nil
	}
	return err == nil, j.fail(fmt.Sprintf("looking for %s %d", streamEvents, seq), err)
}

// ofMessage has the leader of a stream do something with one message, by JetStream's API of that name.
func (j *Journal) ofMessage(ctx context.Context, api, stream, how string, seq uint64) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return j.ofLeader(ctx, "MSG."+api+"."+stream, how+`"seq":`+strconv.FormatUint(seq, 10))
}

// ofLeader asks what the leader of a stream answers, by JetStream's API of streams. While nobody leads the cluster's
// administration, the other servers say at once that they cannot; that does not count while the leader may still answer.
func (j *Journal) ofLeader(ctx context.Context, api, what string) (answer []byte, err error) {
	subject, body := "$JS.API.STREAM."+api, []byte("{"+what+"}")
	m, err := j.query.RequestWithContext(ctx, subject, body)
	if err != nil {
		return nil, err
	}
	if !j.replicated() || !leaderless(m.Data) {
		return m.Data, nil
	}
	inbox := j.query.NewInbox()
	sub, err := j.query.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := j.query.PublishRequest(subject, inbox, body); err != nil {
		return nil, err
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, err
		}
		if !leaderless(m.Data) {
			return m.Data, nil
		}
	}
}

// leaderless reports whether an answer says that nobody leads the cluster's administration.
func leaderless(answer []byte) bool {
	var api *jetstream.APIError
	return errors.As(refused(answer), &api) && api.ErrorCode == codeNotAvailable
}

// refused is the error in an answer of JetStream's API.
func refused(answer []byte) error {
	var a struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if a.Error != nil {
		return a.Error
	}
	return nil
}
