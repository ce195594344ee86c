package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/analytics/embedded"
)

func start(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := embedded.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *embedded.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func open(t *testing.T, dsn, user, password string) driver.Conn {
	t.Helper()
	options, err := clickhouse.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	options.Auth.Database = "default"
	if user != "" {
		options.Auth.Username, options.Auth.Password = user, password
	}
	conn, err := clickhouse.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func exec1(t *testing.T, conn driver.Conn, queries ...string) {
	t.Helper()
	for _, query := range queries {
		if err := conn.Exec(t.Context(), query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

func count(t *testing.T, conn driver.Conn) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM d.t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("waited too long for %s", what)
	}
}

func TestDataAndDSNOutliveAStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	if !strings.HasPrefix(s.Version(), "2") {
		t.Errorf("version %q", s.Version())
	}
	conn := open(t, s.DSN(), "", "") // stays open while the engine stops
	exec1(t, conn, "CREATE DATABASE d", "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n",
		"INSERT INTO d.t SELECT number FROM numbers(1000)")
	if s.Err() != nil {
		t.Errorf("a running engine has error %v", s.Err())
	}
	stop(t, s)
	await(t, "Done", s.Done())
	if s.Err() != nil {
		t.Errorf("Stop left the error %v", s.Err())
	}
	stop(t, s) // again

	again := start(t, embedded.Config{Dir: dir})
	if again.DSN() != s.DSN() {
		t.Errorf("the DSN changed from %s to %s", s.DSN(), again.DSN())
	}
	if n := count(t, open(t, again.DSN(), "", "")); n != 1000 {
		t.Errorf("%d rows, want 1000", n)
	}
}

// A killed engine comes back, on the same DSN and with its data.
func TestKilledEngineComesBack(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir()})
	conn := open(t, s.DSN(), "", "")
	exec1(t, conn, "CREATE DATABASE d", "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n",
		"INSERT INTO d.t SELECT number FROM numbers(1000)")
	for n := range 3 {
		if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		restarted(t, s, n+1)
		if n := count(t, open(t, s.DSN(), "", "")); n != 1000 {
			t.Errorf("%d rows, want 1000", n)
		}
	}
	if s.Err() != nil {
		t.Errorf("error %v of an engine that runs", s.Err())
	}
}

func restarted(t *testing.T, s *embedded.Server, times int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for s.Restarts() < times {
		select {
		case <-tick.C:
		case <-s.Done():
			t.Fatalf("the engine is gone: %v", s.Err())
		case <-deadline:
			t.Fatalf("%d restarts, want %d", s.Restarts(), times)
		}
	}
}

// What cannot be started again is given up, with an error that says why.
func TestEngineThatCannotComeBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	if err := os.WriteFile(filepath.Join(dir, "clickhouse", "config.xml"), []byte("<broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "Done", s.Done())
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "config.xml") && !strings.Contains(err.Error(), "SAXParse") {
		t.Errorf("error %v, want what keeps it from starting", err)
	}
	stop(t, s)
	if _, err := embedded.Find(dir); !errors.Is(err, embedded.ErrNotRunning) {
		t.Errorf("Find: %v", err)
	}
}

// Stop while the engine is being started again.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir()})
	for n := range 4 {
		if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if n < 3 {
			restarted(t, s, n+1)
		}
	}
	stop(t, s)
	await(t, "Done", s.Done())
	if s.Err() != nil {
		t.Errorf("error %v after Stop", s.Err())
	}
}

// The parent is killed with -9, three times; its engine must go, too, and let go of the directory.
func TestDiesWithItsParent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 {
		parent := exec.Command(os.Args[0])
		parent.Env = append(os.Environ(), parentEnv+"="+dir)
		out, err := parent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("the parent says %q", line)
		}
		dsn, err := embedded.Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		exec1(t, open(t, dsn, "", ""), "SELECT 1")

		_ = parent.Process.Kill()
		_ = parent.Wait()
		s := start(t, embedded.Config{Dir: dir})
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !zombie(pid) {
			t.Errorf("engine %d lives on: %v", pid, err)
		}
		stop(t, s)
	}
}

// zombie reports whether the process has ended and waits for whoever adopted it.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestOneEngineADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := embedded.Find(dir); !errors.Is(err, embedded.ErrNotRunning) {
		t.Errorf("Find on an empty directory: %v", err)
	}
	s := start(t, embedded.Config{Dir: dir})
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, LockWait: 50 * time.Millisecond})
	if !errors.Is(err, embedded.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(s.PID())) {
		t.Errorf("a second engine: %v, want ErrLocked with the process id %d", err, s.PID())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := embedded.Start(ctx, embedded.Config{Dir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second engine with a deadline: %v", err)
	}
	if dsn, err := embedded.Find(dir); err != nil || dsn != s.DSN() {
		t.Errorf("Find gives %q, %v; want %q", dsn, err, s.DSN())
	}
	stop(t, s)
	if _, err := embedded.Find(dir); !errors.Is(err, embedded.ErrNotRunning) {
		t.Errorf("Find after Stop: %v", err)
	}
}

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
	_, port, _ := strings.Cut(strings.TrimSuffix(dsn, "/wedsync"), "@127.0.0.1:")
	return port
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
	conn, err := clickhouse.Open(must(clickhouse.ParseDSN(strings.TrimSuffix(dsn, "wedsync") + database)))
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

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = embedded.Start(ctx, embedded.Config{Dir: t.TempDir(), Port: port})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) || ctx.Err() != nil {
		t.Errorf("start on a taken port: %v, want an error that names it", err)
	}
}

func TestLastPortTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, embedded.Config{Dir: dir})
	stop(t, s)
	l, err := net.Listen("tcp", "127.0.0.1:"+portOf(s.DSN()))
	if err != nil {
		t.Skip("somebody else has the port already:", err)
	}
	defer l.Close()
	again := start(t, embedded.Config{Dir: dir})
	if again.DSN() == s.DSN() {
		t.Error("the engine says it has the port that we have")
	}
}

func TestStopByForce(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.Stop(ctx)
	await(t, "Done", s.Done())
	if s.Err() != nil {
		t.Errorf("error %v after Stop", s.Err())
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(broken, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		cfg  embedded.Config
		want string
	}{
		"no directory":      {t.Context(), embedded.Config{}, "Dir is empty"},
		"bad port":          {t.Context(), embedded.Config{Dir: "x", Port: 70000}, "70000"},
		"too little memory": {t.Context(), embedded.Config{Dir: "x", Memory: 1000}, "1000"},
		"bad wait":          {t.Context(), embedded.Config{Dir: "x", LockWait: -1}, "LockWait"},
		"broken library":    {t.Context(), embedded.Config{Dir: t.TempDir(), Library: broken}, broken},
		"missing library":   {t.Context(), embedded.Config{Dir: t.TempDir(), Library: "/no/libchdb.so"}, "/no/libchdb.so"},
		"a file, not a dir": {t.Context(), embedded.Config{Dir: file}, file},
		"context ended":     {ended, embedded.Config{Dir: t.TempDir()}, context.Canceled.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := embedded.Start(c.ctx, c.cfg)
			if err == nil {
				stop(t, s)
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q in it", err, c.want)
			}
		})
	}
}

// What the engine takes while it idles: the bound is generous, the value is logged.
func TestMemory(t *testing.T) {
	t.Parallel()
	s := start(t, embedded.Config{Dir: t.TempDir()})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			t.Log("RSS", strings.TrimSpace(rest))
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil || kb > 400<<10 {
				t.Errorf("RSS %s, want at most 400 MiB", rest)
			}
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestEngineErrorsAreLogged(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	s := start(t, embedded.Config{Dir: t.TempDir(), Logger: zerolog.New(&log)})
	if err := open(t, s.DSN(), "", "").Exec(t.Context(), "SELECT no_such_function()"); err == nil {
		t.Fatal("no error")
	}
	stop(t, s)
	if text := log.String(); !strings.Contains(text, "no_such_function") || strings.Contains(text, "@ 0x") {
		t.Errorf("the log should have the error and no stack frames:\n%s", text)
	}
}
