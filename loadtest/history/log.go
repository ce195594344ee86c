package history

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// page is how many events of a history are read at once.
const page = 1000

// Behind asks a node for a channel's events behind a sequence; more tells that others may follow. id gives an
// event the name that the checker knows it by. The log's first event is not among them: 0 would ask for the newest.
func Behind(ctx context.Context, c *nodeproc.Client, channel string, after uint64, id func(event []byte) string) (entries []checker.Entry, more bool, err error) {
	var answer struct {
		Events []struct {
			Seq   uint64
			Event json.RawMessage
		}
		Next uint64
	}
	path := fmt.Sprintf("/api/channels/%s/history?limit=%d&after=%d", channel, page, max(after, 1))
	if err := c.Call(ctx, http.MethodGet, path, nil, &answer); err != nil {
		return nil, false, err
	}
	for _, e := range answer.Events {
		entries = append(entries, checker.Entry{EventID: id(e.Event), Seq: e.Seq})
	}
	return entries, answer.Next != 0, nil
}

// Log asks a node for all of a channel's events.
func Log(ctx context.Context, c *nodeproc.Client, channel string, id func(event []byte) string) ([]checker.Entry, error) {
	var all []checker.Entry
	for after, more := uint64(0), true; more; {
		var entries []checker.Entry
		var err error
		if entries, more, err = Behind(ctx, c, channel, after, id); err != nil {
			return nil, fmt.Errorf("reading the log of %s: %w", channel, err)
		}
		all = append(all, entries...)
		if more {
			after = entries[len(entries)-1].Seq
		}
	}
	return all, nil
}
