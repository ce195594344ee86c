package analytics_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/embedded"
)

func TestMain(m *testing.M) {
	embedded.MaybeRunChild()
	maybeRecord()
	code := m.Run()
	engine.stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// engine is the ClickHouse that the tests share; each has a database of its own.
var engine sharedEngine

type sharedEngine struct {
	once   sync.Once
	server *embedded.Server
	dir    string
	err    error
}

func (e *sharedEngine) start(t testing.TB) *embedded.Server {
	t.Helper()
	e.once.Do(func() {
		//nolint:usetesting // it outlives the test that needs it first
		if e.dir, e.err = os.MkdirTemp("", "wedsync-analytics-"); e.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		e.server, e.err = embedded.Start(ctx, embedded.Config{Dir: e.dir})
	})
	if e.err != nil {
		t.Fatalf("these tests need a ClickHouse: %v", e.err)
	}
	return e.server
}

func (e *sharedEngine) stop() {
	if e.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = e.server.Stop(ctx)
	}
	_ = os.RemoveAll(e.dir)
}

// ownEngine starts an engine that the test may kill.
func ownEngine(t *testing.T) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := embedded.Start(ctx, embedded.Config{Dir: filepath.Join(t.TempDir(), "data")})
	if err != nil {
		t.Fatalf("this test needs a ClickHouse: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.Stop(ctx)
	})
	return s
}

// freshDSN is of a database on the shared engine that is not there yet.
func freshDSN(t testing.TB) string {
	t.Helper()
	return withDatabase(t, engine.start(t).DSN(), "t_"+name())
}

func openStore(t testing.TB, dsn string) *analytics.Store {
	t.Helper()
	s, err := analytics.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newStore returns a migrated store on a database of its own, and a bare connection to that.
func newStore(t testing.TB) (*analytics.Store, driver.Conn) {
	t.Helper()
	dsn := freshDSN(t)
	s := openStore(t, dsn)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, connect(t, dsn)
}

func connect(t testing.TB, dsn string) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
