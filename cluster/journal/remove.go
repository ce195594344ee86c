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
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	body := []byte(`{` + how + `"seq":` + strconv.FormatUint(seq, 10) + `}`)
	m, err := j.query.RequestWithContext(ctx, "$JS.API.STREAM.MSG.DELETE."+stream, body)
	if err == nil {
		err = removed(m.Data)
	}
	if errors.Is(kindOf(err), ErrNotFound) {
		return nil
	}
	return j.fail(fmt.Sprintf("deleting %s %d", stream, seq), err)
}

func removed(answer []byte) error {
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Success bool                `json:"success"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return err
	}
	if a.Error != nil {
		return a.Error
	}
	if !a.Success {
		return errors.New("the log did not delete it")
	}
	return nil
}
