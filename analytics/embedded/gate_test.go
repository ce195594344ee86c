package embedded_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/analytics/embedded"
)

// Whoever has not got the password can do nothing, neither at the gate nor behind it.
func TestStrangersAreKeptOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	ours := open(t, s.DSN(), "", "")
	exec1(t, ours, "CREATE DATABASE d", "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
	for user, password := range map[string]string{"wedsync": "guess", "default": "", "nobody": ""} {
		var exception *clickhouse.Exception
		if err := open(t, s.DSN(), user, password).Ping(t.Context()); !errors.As(err, &exception) || exception.Code != 516 {
			t.Errorf("%s with a wrong password: %v, want it refused", user, err)
		}
	}
	behind := strings.Replace(s.DSN(), portOf(s.DSN()), s.EnginePort(), 1)
	stranger := open(t, behind, "default", "")
	for _, query := range []string{
		"SELECT count() FROM d.t", "DROP TABLE d.t", "CREATE DATABASE e", "SELECT * FROM file('/etc/passwd', 'LineAsString')",
		"KILL QUERY WHERE 1 ASYNC", "SYSTEM SHUTDOWN", "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
	} {
		err := stranger.Exec(t.Context(), query)
		var exception *clickhouse.Exception
		if !errors.As(err, &exception) || exception.Code != 497 { // ACCESS_DENIED
			t.Errorf("%s as a stranger: %v, want it denied", query, err)
		}
	}
	if n := count(t, ours); n != 0 {
		t.Errorf("%d rows", n)
	}
	for _, name := range []string{"password", "config.xml", "users.xml", "endpoint.json"} {
		if info, err := os.Stat(filepath.Join(dir, "clickhouse", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, mode %v; want 0600", name, err, info.Mode())
		}
	}
}

func portOf(dsn string) string {
	return must(url.Parse(dsn)).Port()
}

// What ends clickhouse-local when it comes from a client does not reach it.
func TestGate(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir()})
	address := "127.0.0.1:" + portOf(s.DSN())
	send := func(data string) func(*testing.T) {
		return func(t *testing.T) {
			t.Helper()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte(data)); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, conn)
		}
	}
	for name, do := range map[string]func(*testing.T){
		"nothing":      send(""),
		"garbage":      send("\xff\x17garbage\x00\x01\x02"),
		"HTTP":         send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"half a hello": send("\x00\x06client\x01"),
		"a long text":  send("\x00\xff\xff\xff\xff\x07"),
		"an unknown database": func(t *testing.T) {
			t.Helper()
			var exception *clickhouse.Exception
			err := openAt(t, s.DSN(), "nowhere").Ping(t.Context())
			if !errors.As(err, &exception) || exception.Code != 81 {
				t.Errorf("an unknown database: %v", err)
			}
		},
		"a reset in the middle of an answer": func(t *testing.T) {
			t.Helper()
			resetting(t, s.DSN(), "SELECT number, sleepEachRow(0.01) FROM numbers(1000) SETTINGS max_block_size = 1")
		},
		"a reset with an unread answer": func(t *testing.T) {
			t.Helper()
			resetting(t, s.DSN(), "SELECT number FROM numbers(100000000)")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 3 {
				do(t)
			}
			exec1(t, open(t, s.DSN(), "", ""), "SELECT 1")
		})
	}
	t.Cleanup(func() { // when the subtests are done, and before the engine is stopped
		if s.Restarts() != 0 {
			t.Errorf("the engine was started again %d times", s.Restarts())
		}
	})
}

func openAt(t *testing.T, dsn, database string) driver.Conn {
	t.Helper()
	options := must(clickhouse.ParseDSN(dsn))
	options.Auth.Database = database
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// resetting begins a query, reads a little of its answer and resets the connection.
func resetting(t *testing.T, dsn, query string) {
	t.Helper()
	options := must(clickhouse.ParseDSN(dsn))
	var raw *net.TCPConn
	options.DialContext = func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			raw = conn.(*net.TCPConn)
		}
		return conn, err
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	rows.Next()
	_ = raw.SetLinger(0)
	_ = raw.Close()
	_ = rows.Close()
}
