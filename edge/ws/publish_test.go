package ws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
	"github.com/wedsync/wedsync/edge/ws"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, grant(t, "couple-7", 0, nil, []string{"supplier:dashboard:*"}))
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	command := fmt.Sprintf(`"publish":{"channel":%q,"data":{"type":"timeline.updated","payload":{"ceremony":"16:00"},"id":"m-1",`+
		`"occurredAt":"2026-06-13T14:00:00Z","correlationId":"corr-1","weddingId":"couple-7","traceparent":%q}}`, channel, trace)
	c.ok(command)
	c.ok(command) // the same id: once
	entries, err := n.journal.History(context.Background(), channel, 0, 10)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the log has %d events, %v; want 1", len(entries), err)
	}
	var ev event.Event
	if err := json.Unmarshal(entries[0].Data, &ev); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 6, 13, 14, 0, 0, 0, time.UTC)
	if ev.Source != "client:couple-7" || ev.ID != "m-1" || ev.Type != "timeline.updated" || !ev.OccurredAt.Equal(at) ||
		ev.CorrelationID != "corr-1" || ev.WeddingID != "couple-7" || ev.TraceParent != trace || string(ev.Payload) != `{"ceremony":"16:00"}` {
		t.Errorf("event %+v", ev)
	}
}

// Every refusal has a code, says what was wrong, and changes nothing.
func TestPublishRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, grant(t, "u", 0, []string{"**"}, []string{"a:*", "slo:**"}))
	data := `{"type":"timeline.updated","payload":{}}`
	for _, tt := range []struct {
		channel, data string
		code          uint32
		message       string
	}{
		{"b:1", data, ws.ErrPermissionDenied, "b:1"},
		{"a:1:2", data, ws.ErrPermissionDenied, "a:1:2"},
		{"a:*", data, ws.ErrUnknownChannel, "a:*"},
		{"", data, ws.ErrUnknownChannel, "empty"},
		{"slo:burn:slack", data, 403, problem.ChannelReserved},
		{"a:1", `null`, 422, problem.PayloadNotObject},
		{"a:1", `[1]`, 422, problem.FieldInvalid},
		{"a:1", `"x"`, 422, problem.FieldInvalid},
		{"a:1", `{"type":"timeline.updated","payload":{},"ocurredAt":"x"}`, 422, "ocurredAt"},
		{"a:1", `{"type":"timeline.updated","payload":{},"occurredAt":"yesterday"}`, 422, "yesterday"},
		{"a:1", `{"type":7,"payload":{}}`, 422, problem.FieldInvalid},
		{"a:1", `{"type":"Timeline Updated","payload":{}}`, 422, problem.TypeInvalid},
		{"a:1", `{"type":"timeline.updated"}`, 422, problem.PayloadNotObject},
		{"a:1", `{"type":"timeline.updated","payload":[1]}`, 422, problem.PayloadNotObject},
		{"a:1", fmt.Sprintf(`{"type":"timeline.updated","payload":{"x":%q}}`, strings.Repeat("x", event.MaxPayloadBytes)), 413, problem.PayloadTooLarge},
		{"a:1", `{"type":"timeline.updated","payload":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, 422, problem.PayloadTooDeep},
	} {
		r := c.do(fmt.Sprintf(`"publish":{"channel":%q,"data":%s}`, tt.channel, tt.data))
		if r.Error.GetCode() != tt.code || !strings.Contains(r.Error.GetMessage(), tt.message) || r.Error.Temporary {
			t.Errorf("publish %.80s on %q: %v, want %d with %q", tt.data, tt.channel, r.Error, tt.code, tt.message)
		}
	}
	if r := c.do(`"publish":{"channel":"a:1"}`); r.Error.GetCode() != 400 {
		t.Errorf("publish without data: %v, want 400", r.Error)
	}
	if _, last, err := n.journal.Bounds(context.Background()); last != 0 {
		t.Errorf("the log has %d events, %v; nothing was to be published", last, err)
	}
}

type publisherFunc func(context.Context, ingest.Draft) (ingest.Receipt, error)

func (f publisherFunc) Publish(ctx context.Context, d ingest.Draft) (ingest.Receipt, error) {
	return f(ctx, d)
}

// A user who publishes more than may be is told so on each of their connections, and others are not.
func TestPublishRate(t *testing.T) {
	t.Parallel()
	j, noon := openJournal(t), time.Now()
	in, err := ingest.New(ingest.Config{Log: j, PerSecond: 2, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, j, func(c *ws.Config) { c.Publisher = in })
	one, two, other := dialConnected(t, n, all(t)), dialConnected(t, n, all(t)), dialConnected(t, n, grant(t, "u", 0, nil, []string{"a"}))
	const command = `"publish":{"channel":"a","data":{"type":"x","payload":{}}}`
	one.ok(command)
	two.ok(command)
	for _, c := range []*rawConn{one, two} {
		if e := c.do(command).Error; e.GetCode() != 429 || !e.GetTemporary() || !strings.HasPrefix(e.GetMessage(), problem.PublishLimited) {
			t.Errorf("a third event gave %v", e)
		}
	}
	other.ok(command)
	if got := metric(t, n, "wedsync_ws_commands_total", "command", "publish", "code", "429"); got != 2 {
		t.Errorf("the metric counts %v", got)
	}
}

func TestPublisherErrors(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 1)
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.Publisher = publisherFunc(func(context.Context, ingest.Draft) (ingest.Receipt, error) {
			return ingest.Receipt{}, <-errs
		})
	})
	c := dialConnected(t, n, all(t))
	for _, tt := range []struct {
		err       error
		code      uint32
		temporary bool
		message   string
	}{
		{&ingest.Reject{Code: problem.LogFull, Status: 503, Detail: "come back"}, 503, true, "log_full: come back"},
		{fmt.Errorf("x: %w", &ingest.Reject{Code: problem.IDInvalid, Status: 422, Detail: "no"}), 422, false, "id_invalid: no"},
		{&ingest.Reject{Code: problem.Internal, Status: 500, Detail: "secret"}, ws.ErrInternal, true, "internal server error"},
		{errors.New("secret"), ws.ErrInternal, true, "internal server error"},
	} {
		errs <- tt.err
		r := c.do(`"publish":{"channel":"a","data":{"type":"x","payload":{}}}`)
		if e := r.Error; e.GetCode() != tt.code || e.GetTemporary() != tt.temporary || e.GetMessage() != tt.message {
			t.Errorf("%v became %v", tt.err, e)
		}
	}
}

// A command that panics costs its client the connection, and nobody else anything.
func TestPanic(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.Publisher = publisherFunc(func(context.Context, ingest.Draft) (ingest.Receipt, error) { panic("broken") })
	})
	other := dialConnected(t, n, all(t))
	c := dialConnected(t, n, all(t))
	c.send(`{"id":9,"publish":{"channel":"a","data":{"type":"x","payload":{}}}}`)
	c.wantClose(ws.CloseInternal)
	other.subscribe("a")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxRecover, c.MaxRecoverBytes = 4, 16<<10 })
	seqs := publishN(n, channel, 1, 6)
	end := n.publish("elsewhere", `{}`)
	c := dialConnected(t, n, grant(t, "u", 0, []string{"supplier:**", "big"}, nil))
	for _, tt := range []struct {
		query string
		want  []int
	}{
		{`"limit":2`, []int{1, 2}},
		{`"limit":0`, []int{}},
		{`"limit":-1`, []int{1, 2, 3, 4}},
		{`"limit":100`, []int{1, 2, 3, 4}},
		{`"limit":2,"reverse":true`, []int{6, 5}},
		{fmt.Sprintf(`"limit":2,"since":{"offset":%d}`, seqs[2]), []int{4, 5}},
		{fmt.Sprintf(`"limit":2,"since":{"offset":%d,"epoch":%q}`, seqs[4], n.journal.Epoch()), []int{6}},
	} {
		res := c.ok(fmt.Sprintf(`"history":{"channel":%q,%s}`, channel, tt.query)).History
		if got := numbers(t, res.Publications); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("history with %s: %v, want %v", tt.query, got, tt.want)
		}
		if res.Epoch != n.journal.Epoch() || res.Offset != end {
			t.Errorf("history with %s: at %d %s, want the log's end, %d", tt.query, res.Offset, res.Epoch, end)
		}
	}
	for _, tt := range []struct {
		channel, query string
		want           uint32
	}{
		{"elsewhere", `"limit":1`, ws.ErrPermissionDenied},
		{"a b", `"limit":1`, ws.ErrUnknownChannel},
		{"supplier:*", `"limit":1`, ws.ErrNotAvailable},
		{channel, `"limit":1,"reverse":true,"since":{"offset":0}`, ws.ErrBadRequest},
		{channel, `"limit":1,"since":{"offset":1,"epoch":"another"}`, ws.ErrUnrecoverable},
	} {
		r := c.do(fmt.Sprintf(`"history":{"channel":%q,%s}`, tt.channel, tt.query))
		if r.Error.GetCode() != tt.want {
			t.Errorf("history of %s with %s: %v, want error %d", tt.channel, tt.query, r, tt.want)
		}
	}
	// Bounded by size, but never to nothing.
	for range 3 {
		n.publish("big", fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 7<<10)))
	}
	if res := c.ok(`"history":{"channel":"big","limit":3}`).History; len(res.Publications) != 2 {
		t.Errorf("%d publications of 7 KiB in 16 KiB, want 2", len(res.Publications))
	}
	n.publish("big", fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 60<<10)))
	if res := c.ok(`"history":{"channel":"big","limit":3,"reverse":true}`).History; len(res.Publications) != 1 {
		t.Errorf("%d publications, want the large one alone", len(res.Publications))
	}
}
