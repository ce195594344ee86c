package embedded

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"
)

// launcher starts instances of one engine on one directory.
type launcher struct {
	engine   engine
	files    files
	lock     *os.File
	password string
	log      zerolog.Logger
}

// instance is one process of the engine that has answered.
type instance struct {
	process *process
	conn    driver.Conn
	port    int
	version string
}

// portTries bounds how often a free port was taken by somebody else before the engine had it.
const portTries = 5

// launch starts the engine on a free port and waits until it answers or ends.
func (l launcher) launch(ctx context.Context) (*instance, error) {
	for try := 1; ; try++ {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		in, err := l.launchOn(ctx, port)
		if err == nil || try == portTries || !strings.Contains(err.Error(), "Address already in use") {
			return in, err
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close() //nolint:errcheck // it took nothing
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func (l launcher) launchOn(ctx context.Context, port int) (*instance, error) {
	options, err := clickhouse.ParseDSN(dsn(port, l.password))
	if err != nil {
		return nil, err
	}
	options.Auth.Database = "default" // the other is not there yet
	options.DialTimeout = time.Second
	options.MaxOpenConns = 4
	in := &instance{port: port}
	if in.conn, err = clickhouse.Open(options); err != nil {
		return nil, err
	}
	if in.process, err = startProcess(l.engine, arguments(l.files, port), l.lock, l.log); err != nil {
		_ = in.conn.Close()
		return nil, err
	}
	err = in.answer(ctx)
	if err == nil {
		err = in.conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+database)
	}
	if err != nil {
		in.process.kill()
		in.wait()
		return nil, err
	}
	return in, nil
}

// answer waits until the engine answers to the directory's password, so that a stranger on the port
// is not taken for it.
func (in *instance) answer(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := in.conn.QueryRow(ctx, "SELECT version()").Scan(&in.version)
		if err == nil {
			return nil
		}
		select {
		case <-in.process.done:
			return in.process.err
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w (%w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (in *instance) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(in.port)) }

func (in *instance) hasDatabase(ctx context.Context, name string) (bool, error) {
	if name == "" || name == "default" || name == database {
		return true, nil
	}
	var n uint64
	err := in.conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = $1", name).Scan(&n)
	return n > 0, err
}

// shutdown asks the engine to end, or kills it where it cannot be asked.
func (in *instance) shutdown(ctx context.Context) {
	// The engine ends when the statement that keeps it does.
	if err := in.conn.Exec(ctx, "KILL QUERY WHERE user != $1 AND query = $2 ASYNC", user, keeper); err != nil {
		in.process.kill()
	}
	_ = in.conn.Close() // the engine waits for its connections to be closed
}

// wait waits for the end of the process and lets go of what was held for it.
func (in *instance) wait() {
	<-in.process.done
	_ = in.process.stdin.Close()
	_ = in.conn.Close()
}
