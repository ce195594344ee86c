package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/Shopify/toxiproxy/v2"

	"github.com/wedsync/wedsync/analytics/embedded"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/history"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// recordsFor is the longest time that records may take to get to ClickHouse.
const recordsFor = time.Minute

// database is the ClickHouse of the nodes. It listens on loopback, where they reach it by a proxy.
type database struct {
	cfg    embedded.Config
	server *embedded.Server
	proxy  *toxiproxy.Proxy
	conn   driver.Conn
	dsn    string // for nodes
}

func openDatabase(ctx context.Context, dir, host string) (_ *database, err error) {
	d := &database{cfg: embedded.Config{Dir: filepath.Join(dir, "clickhouse")}}
	if d.server, err = embedded.Start(ctx, d.cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	at, err := url.Parse(d.server.DSN())
	if err != nil {
		return nil, err
	}
	if d.proxy, err = startProxy(newProxies(), at.Host, host); err != nil {
		return nil, err
	}
	at.Host = d.proxy.Listen
	d.dsn = at.String()
	d.conn, err = history.Open(d.server.DSN())
	return d, err
}

func (d *database) close() {
	if d.conn != nil {
		_ = d.conn.Close()
	}
	if d.proxy != nil {
		d.proxy.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = d.server.Stop(ctx)
}

// databaseAway ends ClickHouse with SIGKILL and starts it again on its data some time later.
func databaseAway(ctx context.Context, s *stage, rng *rand.Rand) ([]int, error) {
	d := s.database
	if err := syscall.Kill(d.server.PID(), syscall.SIGKILL); err != nil {
		return nil, err
	}
	err := d.server.Stop(ctx) // it would start it again at once
	if err == nil {
		err = nodeproc.Sleep(ctx, time.Duration(5+rng.IntN(10))*time.Second)
	}
	if err != nil {
		return nil, err
	}
	before := d.server.DSN()
	if d.server, err = embedded.Start(ctx, d.cfg); err == nil && d.server.DSN() != before {
		err = errors.New("ClickHouse came back at another address")
	}
	return nil, err
}

// rows waits until ClickHouse has so many ended deliveries and nothing more has come for a second, but not for longer
// than recordsFor, and returns what it has of each channel then.
func (d *database) rows(ctx context.Context, deliveries int) (map[string][]checker.Row, error) {
	end := time.Now().Add(recordsFor)
	var last uint64
	for time.Now().Before(end) {
		var ended, all uint64
		err := d.conn.QueryRow(ctx, `
			SELECT uniqExact(delivery_id), count() + (SELECT count() FROM attempts) FROM deliveries`).Scan(&ended, &all)
		if err == nil && ended >= uint64(deliveries) && all == last { // #nosec G115 -- it is a length
			break
		}
		last = all
		if err := nodeproc.Sleep(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	return history.Rows(ctx, d.conn) // the checker says what is missing
}
