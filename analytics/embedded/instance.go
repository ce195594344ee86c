package embedded

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"
)

// launcher starts instances of one engine on one directory.
type launcher struct {
	engine engine
	files  files
	lock   *os.File
	memory int64
	log    zerolog.Logger
}

// instance is one process of the engine that has answered.
type instance struct {
	process *process
	conn    driver.Conn
	dsn     string
	port    int
	version string
}

// launch starts the engine on a port and waits until it answers or ends.
func (l launcher) launch(ctx context.Context, port int) (*instance, error) {
	password, err := l.files.password()
	if err != nil {
		return nil, err
	}
	if err := l.files.configure(l.memory, password); err != nil {
		return nil, err
	}
	in := &instance{dsn: dsn(port, password), port: port}
	options, err := clickhouse.ParseDSN(in.dsn)
	if err != nil {
		return nil, err
	}
	options.Auth.Database = "default" // the DSN's is not there yet
	options.DialTimeout = time.Second
	options.MaxOpenConns = 1
	if in.conn, err = clickhouse.Open(options); err != nil {
		return nil, err
	}
	if in.process, err = startProcess(l.engine, arguments(l.files, port), l.lock, l.log); err != nil {
		_ = in.conn.Close()
		return nil, err
	}
	err = in.answer(ctx)
	if err == nil {
		err = l.files.writeEndpoint(endpoint{DSN: in.dsn, Port: port, Version: in.version, PID: in.process.pid})
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
