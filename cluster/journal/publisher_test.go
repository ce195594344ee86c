package journal_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/wedsync/wedsync/cluster/journal"
)

func connect(t *testing.T, n *natsServer) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(n.url(), nats.MaxReconnects(0), nats.DisconnectErrHandler(func(*nats.Conn, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// silent answers what is published to a subject only when it is told to.
func silent(t *testing.T, nc *nats.Conn, subject string) chan *nats.Msg {
	t.Helper()
	asked := make(chan *nats.Msg, 2*journal.MaxUnderway)
	if _, err := nc.ChanSubscribe(subject, asked); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return asked
}

// publisherTo returns a publisher whose messages to "quiet" come out of asked, unanswered.
func publisherTo(t *testing.T) (n *natsServer, p journal.Publisher, asked chan *nats.Msg) {
	t.Helper()
	n = startNATS(t)
	asked = silent(t, connect(t, n), "quiet")
	p, err := journal.NewPublisher(connect(t, n))
	if err != nil {
		t.Fatal(err)
	}
	return n, p, asked
}

func TestPublisher(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	nc := connect(t, n)
	asked := silent(t, connect(t, n), "quiet")
	p, err := journal.NewPublisher(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Publish(t.Context(), "nobody", ""); !errors.Is(journal.KindOf(err), journal.ErrUnavailable) {
		t.Errorf("nobody takes it: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, "quiet", "id"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v, want the context's error", err)
	}
	late := receive(t, asked)
	if late.Header.Get("Nats-Msg-Id") != "id" {
		t.Errorf("the message has headers %v", late.Header)
	}

	// An answer that comes too late must reach nobody, least of all the next caller.
	type answer struct {
		at  journal.Appended
		err error
	}
	next := make(chan answer, 1)
	go func() {
		at, err := p.Publish(t.Context(), "quiet", "")
		next <- answer{at, err}
	}()
	msg := receive(t, asked)
	for _, reply := range []struct{ to, data string }{
		{late.Reply, `{"stream":"S","seq":1}`},
		{late.Reply + "x!", `{"stream":"S","seq":2}`},
		{msg.Reply, `{"stream":"S","seq":3}`},
	} {
		if err := nc.Publish(reply.to, []byte(reply.data)); err != nil {
			t.Fatal(err)
		}
	}
	if a := receive(t, next); a.err != nil || a.at.Seq != 3 {
		t.Errorf("the next caller is told %+v, %v; want 3", a.at, a.err)
	}
	go func() {
		at, err := p.Publish(t.Context(), "quiet", "")
		next <- answer{at, err}
	}()
	if err := nc.Publish(receive(t, asked).Reply, []byte("what?")); err != nil {
		t.Fatal(err)
	}
	if a := receive(t, next); a.err == nil || !strings.Contains(a.err.Error(), "what?") {
		t.Errorf("an answer that is none: %+v, %v", a.at, a.err)
	}
}

func TestPublisherIsBounded(t *testing.T) {
	t.Parallel()
	_, p, asked := publisherTo(t)
	for range journal.MaxUnderway {
		if err := p.Start(t.Context(), "quiet"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, "quiet", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one too many: %v, want that it waits for its context", err)
	}
	waiting := make(chan error, 1)
	go func() { _, err := p.Publish(t.Context(), "quiet", ""); waiting <- err }()
	p.Close()
	if err := receive(t, waiting); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("closed while it waits: %v, want ErrClosed", err)
	}
	for range journal.MaxUnderway {
		receive(t, asked)
	}
	if len(asked) != 0 {
		t.Error("more were sent than there are places")
	}
	if _, err := p.Publish(t.Context(), "quiet", ""); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after it was closed: %v, want ErrClosed", err)
	}
}

func TestPublisherGivesUp(t *testing.T) {
	t.Parallel()
	_, p, asked := publisherTo(t)
	defer p.Close()
	overdue, recent := make(chan error, 1), make(chan error, 1)
	go func() { _, err := p.Publish(t.Context(), "quiet", "overdue"); overdue <- err }()
	receive(t, asked)
	between := time.Now()
	go func() { _, err := p.Publish(t.Context(), "quiet", "recent"); recent <- err }()
	last := receive(t, asked)
	p.GiveUp(between)
	if err := receive(t, overdue); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("overdue: %v, want ErrUnavailable", err)
	}
	if err := last.Respond([]byte(`{"stream":"S","seq":4}`)); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, recent); err != nil {
		t.Errorf("one that is not overdue is given up as well: %v", err)
	}
}

// What a stream's leader was sent before it ceased to be one is tried again; what waits behind it is sent then, and
// other streams have nothing to do with it.
func TestPublisherWhenALeaderMoves(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	nc := connect(t, n)
	events, records := silent(t, nc, "ev.>"), silent(t, nc, "rec")
	p, err := journal.NewPublisher(connect(t, n))
	must(t, err)
	defer p.Close()
	p.Gather()
	sent, behind, other := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	publish := func(subject string, done chan error) { _, err := p.Publish(t.Context(), subject, ""); done <- err }
	go publish("rec", other)
	last := receive(t, records)
	go publish("ev.0.a", sent)
	receive(t, events)
	p.Moved("EV")
	if err := receive(t, sent); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("what was sent to the leader before: %v, want ErrUnavailable", err)
	}
	go publish("ev.0.a", behind)
	for done, m := range map[chan error]*nats.Msg{behind: receive(t, events), other: last} {
		must(t, m.Respond([]byte(`{"stream":"S","seq":4}`)))
		if err := receive(t, done); err != nil {
			t.Errorf("%s: %v", m.Subject, err)
		}
	}
}

func TestPublisherLosesItsConnection(t *testing.T) {
	t.Parallel()
	n, p, asked := publisherTo(t)
	defer p.Close()
	failed := make(chan error, 1)
	go func() { _, err := p.Publish(t.Context(), "quiet", ""); failed <- err }()
	receive(t, asked)
	begun := time.Now()
	n.stop()
	if err := receive(t, failed); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if _, err := p.Publish(t.Context(), "quiet", ""); !errors.Is(journal.KindOf(err), journal.ErrUnavailable) {
		t.Errorf("without a connection: %v, want ErrUnavailable", err)
	}
}

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	api := func(code int, errCode jetstream.ErrorCode, text string) error {
		return &jetstream.APIError{Code: code, ErrorCode: errCode, Description: text}
	}
	for _, tc := range []struct{ err, want error }{
		{api(400, 10002, "resource limits exceeded for account"), journal.ErrFull},
		{api(503, 10023, "insufficient resources"), journal.ErrFull},
		{api(500, 10028, "insufficient memory resources available"), journal.ErrFull},
		{api(500, 10047, "insufficient storage resources available"), journal.ErrFull},
		{api(503, 10077, "maximum bytes exceeded"), journal.ErrFull},
		{api(503, 10077, "maximum messages exceeded"), journal.ErrFull},
		{api(503, 10077, "message too large"), journal.ErrTooLarge},
		{api(503, 10077, "store is closed"), journal.ErrUnavailable},
		{api(400, 10054, "message size exceeds maximum allowed"), journal.ErrTooLarge},
		{api(400, 10071, "wrong last sequence: 3"), journal.ErrConflict},
		{api(400, 10164, "wrong last sequence"), journal.ErrConflict},
		{api(404, 10037, "no message found"), journal.ErrNotFound},
		{api(400, 10043, "sequence 2 not found"), journal.ErrNotFound},
		{api(500, 10057, "deleted message"), journal.ErrNotFound},
		{api(500, 10057, "input/output error"), journal.ErrUnavailable},
		{api(503, 10039, "JetStream not enabled for account"), journal.ErrUnavailable},
		{api(400, 10025, "bad request"), nil},
		{api(409, 10158, "duplicate message id is in process"), journal.ErrUnavailable},
		{&net.OpError{Op: "write", Err: errors.New("broken pipe")}, journal.ErrUnavailable},
		{nats.ErrMaxPayload, journal.ErrTooLarge},
		{nats.ErrTimeout, journal.ErrUnavailable},
		{context.DeadlineExceeded, journal.ErrUnavailable},
		{context.Canceled, nil},
		{jetstream.ErrKeyNotFound, journal.ErrNotFound},
		{jetstreamext.ErrNoMessages, journal.ErrNotFound},
		{errors.New("else"), nil},
	} {
		if got := journal.KindOf(tc.err); !errors.Is(got, tc.want) {
			t.Errorf("%v is taken for %v, want %v", tc.err, got, tc.want)
		}
	}
}

func TestServerLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := journal.NewServerLog(zerolog.New(&out))
	l.Noticef("notice %d", 1)
	l.Debugf("debug %d", 2)
	l.Tracef("trace %d", 3)
	l.Warnf("warning %d", 4)
	l.Errorf("error %d", 5)
	want := `{"level":"warn","message":"warning 4"}` + "\n" + `{"level":"error","message":"error 5"}` + "\n"
	if out.String() != want {
		t.Errorf("it wrote\n%swant\n%s", out.String(), want)
	}
}
