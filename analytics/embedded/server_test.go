package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
