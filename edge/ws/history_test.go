package ws_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ws"
)

// A channel is paged in both directions, among others that have more, and each page ends where the next one begins.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	const events, page = 300, 70
	for i := range events { // rare at first, and dense in the end
		for range max(0, 40-i) {
			n.publish("noise:"+fmt.Sprint(i%3), `{}`)
		}
		n.publish(channel, fmt.Sprintf(`{"n":%d}`, i))
	}
	c := dialConnected(t, n, all(t))
	for _, reverse := range []bool{false, true} {
		since, seen := "", 0
		for {
			h := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":%d,"reverse":%t%s}`, channel, page, reverse, since)).History
			for _, p := range h.Publications {
				want := seen
				if reverse {
					want = events - 1 - seen
				}
				if got := number(t, p.Data); got != want {
					t.Fatalf("reverse %t: got %d, want %d", reverse, got, want)
				}
				seen++
			}
			if len(h.Publications) < page {
				break
			}
			since = fmt.Sprintf(`,"since":{"offset":%d,"epoch":%q}`, h.Publications[page-1].Offset, h.Epoch)
		}
		if seen != events {
			t.Errorf("reverse %t: %d of %d events", reverse, seen, events)
		}
	}
	for since, code := range map[string]uint32{`{"offset":0}`: ws.ErrBadRequest, `{"offset":5,"epoch":"x"}`: ws.ErrUnrecoverable} {
		if r := c.do(fmt.Sprintf(`"history":{"channel":%q,"limit":1,"reverse":true,"since":%s}`, channel, since)); r.Error.GetCode() != code {
			t.Errorf("since %s: %v, want error %d", since, r, code)
		}
	}
	far := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":1,"reverse":true,"since":{"offset":18446744073709551615}}`, channel)).History
	if len(far.Publications) != 1 || number(t, far.Publications[0].Data) != events-1 {
		t.Errorf("before the end of time: %v", far)
	}
	if h := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":5,"reverse":true,"since":{"offset":1}}`, channel)).History; len(h.Publications) != 0 {
		t.Errorf("before the first one: %v", h)
	}
}

// weighed notes how much of the log was read at once.
type weighed struct {
	ws.Log
	most, sum atomic.Int64
}

func (l *weighed) note(entries []journal.Entry) {
	size := int64(0)
	for _, e := range entries {
		size += int64(len(e.Data))
	}
	l.sum.Add(size)
	l.most.Store(max(l.most.Load(), size)) // of one connection's commands, one after the other
}

func (l *weighed) History(ctx context.Context, channel string, after uint64, limit int) ([]journal.Entry, error) {
	entries, err := l.Log.History(ctx, channel, after, limit)
	l.note(entries)
	return entries, err
}

func (l *weighed) HistoryLast(ctx context.Context, channel string, limit int) ([]journal.Entry, error) {
	entries, err := l.Log.HistoryLast(ctx, channel, limit)
	l.note(entries)
	return entries, err
}

// However many are asked for, little more is read than fits into one answer.
func TestHistoryReadsWhatItTells(t *testing.T) {
	t.Parallel()
	log := &weighed{}
	const events, most = 300, 64 << 10
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		log.Log, c.Log, c.MaxRecoverBytes = c.Log, log, most
	})
	payload := `{"text":"` + strings.Repeat("x", 4<<10) + `"}`
	var last uint64
	for range events {
		last = n.publish(channel, payload)
	}
	c := dialConnected(t, n, all(t))
	for _, how := range []string{`"since":{"offset":1}`, `"reverse":true`, fmt.Sprintf(`"reverse":true,"since":{"offset":%d}`, last)} {
		log.most.Store(0)
		h := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":-1,%s}`, channel, how)).History
		if n := len(h.Publications); n < 10 || n > 20 {
			t.Errorf("%s: %d publications", how, n)
		}
		if got := log.most.Load(); got == 0 || got > 4*most {
			t.Errorf("%s: %d bytes were read at once for an answer of %d", how, got, most)
		}
	}
	log.sum.Store(0)
	if r := dialConnected(t, n, all(t)).recover(channel, 1, n.journal.Epoch()); r.Recovered {
		t.Errorf("recovered %d publications", len(r.Publications))
	}
	if got := log.sum.Load(); got == 0 || got > 4*most {
		t.Errorf("%d bytes were read to find that more than %d were missed", got, most)
	}
}
