package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/embedded"
)

// database is a ClickHouse that this process runs, so that it outlives the node.
type database struct {
	t      *testing.T
	cfg    embedded.Config
	server *embedded.Server
	dsn    string
}

// newDatabase starts one. Without an engine the test fails with what is to be done.
func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &database{t: t, cfg: embedded.Config{Dir: t.TempDir()}}
	d.start()
	d.dsn = d.server.DSN()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := d.server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return d
}

// start starts the engine: again on the port and the data that it had.
func (d *database) start() {
	d.t.Helper()
	ctx := within(d.t, 2*time.Minute)
	server, err := embedded.Start(ctx, d.cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	if d.dsn != "" && server.DSN() != d.dsn {
		d.t.Fatalf("the engine came back at another address")
	}
	d.server = server
}

// kill ends the engine with SIGKILL and keeps it from being started again.
func (d *database) kill() {
	d.t.Helper()
	if err := syscall.Kill(d.server.PID(), syscall.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	if err := d.server.Stop(within(d.t, time.Minute)); err != nil {
		d.t.Fatal(err)
	}
}

// ask connects to a ClickHouse for questions.
func ask(t *testing.T, dsn string) driver.Conn {
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

// recorded is what ClickHouse holds of an integration.
type recorded struct {
	Rows      uint64 `ch:"rows"`      // ended deliveries
	Different uint64 `ch:"different"` // of these, different ones
	Delivered uint64 `ch:"delivered"`
	Events    uint64 `ch:"events"` // different events
}

func recordedOf(ctx context.Context, conn driver.Conn, integration string) (recorded, error) {
	var r recorded
	err := conn.QueryRow(ctx, `
		SELECT count() AS rows, uniqExact(delivery_id, replay) AS different, countIf(outcome = 'delivered') AS delivered, uniqExact(event_id) AS events
		FROM deliveries WHERE integration = $1`, integration).ScanStruct(&r)
	return r, err
}

// checkRecords waits until ClickHouse holds as many deliveries of each sink as there were events, and
// fails unless each is there once, with its id, delivered, and every attempt once.
func checkRecords(ctx context.Context, t *testing.T, dsn string, accepted []int, sinks ...*sink) {
	t.Helper()
	total := uint64(0)
	for _, n := range accepted {
		total += uint64(n)
	}
	conn := ask(t, dsn)
	attemptsOf := func(ctx context.Context, id string) (all, places, successes uint64, err error) {
		err = conn.QueryRow(ctx, `
			SELECT count(), uniqExact(log_epoch, log_generation, log_seq, log_pos), uniqExactIf(delivery_id, verdict = 'delivered')
			FROM attempts WHERE integration = $1`, id).Scan(&all, &places, &successes)
		return all, places, successes, err
	}
	for _, s := range sinks { // a batch's tables are written side by side
		until(ctx, t, "records of "+s.id, func(ctx context.Context) (bool, string) {
			r, err := recordedOf(ctx, conn, s.id)
			_, _, successes, failed := attemptsOf(ctx, s.id)
			return err == nil && failed == nil && r.Rows >= total && successes >= total, fmt.Sprintf("%+v and %d attempts that succeeded of %d, %v", r, successes, total, errors.Join(err, failed))
		})
	}
	for _, s := range sinks {
		r, err := recordedOf(ctx, conn, s.id)
		if want := (recorded{total, total, total, total}); err != nil || r != want {
			t.Errorf("%s: ClickHouse holds %+v, want %+v: %v", s.id, r, want, err)
		}
		attempts, places, successes, err := attemptsOf(ctx, s.id)
		if err != nil || attempts != places || successes != total {
			t.Errorf("%s: ClickHouse holds %d attempts, %d of them once, for %d deliveries that succeeded; want %d: %v", s.id, attempts, places, successes, total, err)
		}
		checkIDs(ctx, t, conn, s, accepted)
	}
}

// checkIDs fails unless ClickHouse holds just the deliveries of the accepted events.
func checkIDs(ctx context.Context, t *testing.T, conn driver.Conn, s *sink, accepted []int) {
	t.Helper()
	rows, err := conn.Query(ctx, `SELECT delivery_id FROM deliveries WHERE integration = $1`, s.id)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = rows.Close() }()
	there := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Error(err)
			return
		}
		there[id] = true
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
		return
	}
	missing := 0
	for channel, last := range accepted {
		for n := 1; n <= last; n++ {
			if !there[event.DeliveryID(channelName(channel), eventID(channel, n), s.id)] {
				missing++
			}
		}
	}
	if missing > 0 {
		t.Errorf("%s: ClickHouse lacks %d deliveries", s.id, missing)
	}
}

// engineFlags have a node run the embedded engine itself, or fail.
func engineFlags(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("clickhouse"); err == nil {
		return []string{"--clickhouse", "embedded"}
	}
	library, err := filepath.Abs(filepath.Join("..", "js", "node_modules", "@chdb", "lib-linux-x64-gnu", "libchdb.so"))
	if err == nil {
		_, err = os.Stat(library)
	}
	if err != nil {
		t.Fatalf("the embedded ClickHouse is missing (%v); run: make deps", err)
	}
	return []string{"--clickhouse", "embedded", "--set", "clickhouse.library=" + library}
}
