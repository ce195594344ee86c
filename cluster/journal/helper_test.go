package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	// A server of a cluster that ends while it still opens a copy of a stream leaves this loop of it, and the clock that
	// stores share (nats-server 2.15.2).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// within bounds every wait of a test; reaching it is a failure.
const within = 30 * time.Second

// open opens an embedded log in a directory of its own and closes it when the test ends.
func open(tb testing.TB, change ...func(*journal.Config)) *journal.Journal {
	tb.Helper()
	cfg := journal.Config{Dir: tb.TempDir(), Logger: logger(tb)}
	for _, c := range change {
		c(&cfg)
	}
	return openWith(tb, cfg)
}

func openWith(tb testing.TB, cfg journal.Config) *journal.Journal {
	tb.Helper()
	j, err := journal.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatalf("opening the log: %v", err)
	}
	tb.Cleanup(func() { closeJournal(tb, j) })
	return j
}

func closeJournal(tb testing.TB, j *journal.Journal) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := j.Close(ctx); err != nil {
		tb.Errorf("closing the log: %v", err)
	}
}

func logger(tb testing.TB) zerolog.Logger {
	tb.Helper()
	return zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.WarnLevel)
}

// natsServer is an external NATS server, which the test can stop and start again.
type natsServer struct {
	*natstest.Server
	tb testing.TB
}

func startNATS(tb testing.TB) *natsServer {
	tb.Helper()
	return &natsServer{natstest.Serve(tb), tb}
}

func (n *natsServer) start() { n.Start() }

func (n *natsServer) stop() { n.Stop() }

func (n *natsServer) url() string { return n.URL() }

// put writes bytes of no meaning into the log behind its back.
func (n *natsServer) put(subject, data string) {
	n.tb.Helper()
	nc, err := nats.Connect(n.url())
	if err != nil {
		n.tb.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request(subject, []byte(data), within); err != nil {
		n.tb.Fatalf("putting %q into %s: %v", data, subject, err)
	}
}

// eachMode runs a test on an embedded log and on one in an external server.
func eachMode(t *testing.T, test func(t *testing.T, j *journal.Journal)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, open(t))
	})
	t.Run("external", func(t *testing.T) {
		t.Parallel()
		test(t, openWith(t, journal.Config{URL: startNATS(t).url(), Logger: logger(t)}))
	})
}

func newEvent(channel string) *event.Event {
	now := time.Now()
	return &event.Event{
		V: event.Version, ID: uuid.Must(uuid.NewV7()).String(), Channel: channel, Type: "timeline.updated",
		Payload:    []byte(`{"coupleId":"c1","ceremony":"16:00","note":"` + strings.Repeat("x", 200) + `"}`),
		OccurredAt: now, AcceptedAt: now, Source: "client:test", CorrelationID: "corr",
	}
}

func newDelivery(seq uint64, integration string) *event.Delivery {
	id := fmt.Sprint("event-", seq)
	return &event.Delivery{
		V: event.Version, ID: event.DeliveryID("supplier:dashboard:1", id, integration), EventID: id, EventSeq: seq,
		EventType: "timeline.updated", Channel: "supplier:dashboard:1", Integration: integration, Vendor: "slack",
		Category: event.SlackNotifications, AcceptedAt: time.Now(), RoutedAt: time.Now(),
		Body: []byte(`{"text":"` + strings.Repeat("x", 300) + `"}`),
	}
}

func newRecord(target string) *event.Record {
	return &event.Record{V: event.Version, Node: "n1", Audit: &event.Audit{At: time.Now(), Action: "test", Target: target}}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func mustAppend(tb testing.TB, j *journal.Journal, ev *event.Event) journal.Appended {
	tb.Helper()
	a, err := j.Append(tb.Context(), ev)
	if err != nil {
		tb.Fatalf("Append(%s): %v", ev.Channel, err)
	}
	return a
}

// mustShard claims a shard's lease and takes the shard over.
func mustShard(tb testing.TB, j *journal.Journal, n int) *journal.Shard {
	tb.Helper()
	s, err := j.Shard(tb.Context(), n, mustClaim(tb, j, journal.ShardLease(n)))
	if err != nil {
		tb.Fatalf("Shard(%d): %v", n, err)
	}
	return s
}

func mustClaim(tb testing.TB, j *journal.Journal, name string) *journal.Lease {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	l, err := j.Leases().Claim(ctx, name)
	if err != nil {
		tb.Fatalf("Claim(%s): %v", name, err)
	}
	return l
}

// events reads n events to route, in as many calls as it takes.
func events(tb testing.TB, s *journal.Shard, n int) []*journal.RoutedEvent {
	tb.Helper()
	return take(tb, n, s.NextEvents)
}

func deliveries(tb testing.TB, s *journal.Shard, n int) []*journal.Work {
	tb.Helper()
	return take(tb, n, s.NextDeliveries)
}

func take[T any](tb testing.TB, n int, next func(context.Context, int) ([]T, error)) []T {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	var all []T
	for len(all) < n {
		items, err := next(ctx, n-len(all))
		if err != nil {
			tb.Fatalf("after %d of %d: %v", len(all), n, err)
		}
		if len(items) == 0 || len(items) > n-len(all) {
			tb.Fatalf("%d items, want 1 to %d", len(items), n-len(all))
		}
		all = append(all, items...)
	}
	return all
}

// nothing fails the test if next gives anything soon.
func nothing[T any](tb testing.TB, next func(context.Context, int) ([]T, error)) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 100*time.Millisecond)
	defer cancel()
	if items, err := next(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		tb.Fatalf("got %d items, %v; want nothing", len(items), err)
	}
}

func receive[T any](tb testing.TB, from <-chan T) T {
	tb.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		tb.Fatal("nothing came")
		panic("unreachable")
	}
}

func status(tb testing.TB, j *journal.Journal) journal.Status {
	tb.Helper()
	s, err := j.Status(tb.Context())
	if err != nil {
		tb.Fatalf("Status: %v", err)
	}
	return s
}

func stream(tb testing.TB, j *journal.Journal, name string) journal.StreamStatus {
	tb.Helper()
	for _, s := range status(tb, j).Streams {
		if s.Name == name {
			return s
		}
	}
	tb.Fatalf("there is no stream %s", name)
	return journal.StreamStatus{}
}

func fill(tb testing.TB, j *journal.Journal, events, channels int) {
	tb.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := int(n.Add(1)); i <= events; i = int(n.Add(1)) {
				if _, err := j.Append(tb.Context(), newEvent(fmt.Sprintf("supplier:dashboard:%d", i%channels))); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
