package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// ErrLocked is what Start returns, wrapped, while another engine uses the directory.
var ErrLocked = errors.New("the directory is in use by another embedded ClickHouse")

// Server is an engine that runs, and is started again when it ends unasked. Its methods are safe for
// concurrent use.
type Server struct {
	launcher launcher
	dsn      string
	version  string
	log      zerolog.Logger

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	done   chan struct{}
	err    error // read after done is closed

	mu       sync.Mutex
	current  *instance
	restarts int
	stopping bool
}

// Start starts an engine on the directory and returns when it answers. It looks for the engine in
// Config.Library, LibraryEnv, the PATH (clickhouse), node_modules and loadtest/js/node_modules from
// the working directory and from the program's directory upwards, and in the data directory.
//
// Errors: ErrNotAvailable, ErrLocked, or why the engine did not come up.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e, err := newSearch(cfg).find(ctx)
	if err != nil {
		return nil, err
	}
	f, err := newFiles(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded ClickHouse: %w", err)
	}
	lock, err := waitLock(ctx, f, cfg.LockWait)
	if err != nil {
		return nil, err
	}
	l := launcher{engine: e, files: f, lock: lock, memory: cfg.Memory, log: cfg.Logger}
	in, err := l.onPort(ctx, cfg.Port)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("embedded ClickHouse (%s): %w", e.path, err)
	}
	s := &Server{
		launcher: l, dsn: in.dsn, version: in.version, log: cfg.Logger,
		done: make(chan struct{}), current: in,
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go s.supervise(in)
	return s, nil
}

// waitLock waits for an engine whose node was killed to end; the kernel has told it to.
func waitLock(ctx context.Context, f files, wait time.Duration) (*os.File, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		lock, err := f.lock()
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-deadline.C:
			who := ""
			if e, err := f.readEndpoint(); err == nil {
				who = fmt.Sprintf(" (process %d)", e.PID)
			}
			return nil, fmt.Errorf("%w%s: %s; stop the other node or use another data directory", ErrLocked, who, f.dir)
		}
	}
}

// portTries bounds how often a free port was taken by somebody else before the engine had it.
const portTries = 5

// onPort launches on the port; with 0, on the directory's last one or another that is free.
func (l launcher) onPort(ctx context.Context, port int) (*instance, error) {
	if port != 0 {
		return l.launch(ctx, port)
	}
	last := 0
	if before, err := l.files.readEndpoint(); err == nil {
		last = before.Port
	}
	for try := 1; ; try++ {
		port, err := freePort(last)
		if err != nil {
			return nil, err
		}
		in, err := l.launch(ctx, port)
		if err == nil || try == portTries || !strings.Contains(err.Error(), "Address already in use") {
			return in, err
		}
		last = 0
	}
}

// freePort returns the preferred port if it is free, else another. Somebody may take it at once.
func freePort(preferred int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(preferred)))
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return 0, err
		}
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// How an engine that ended is started again: after a pause that doubles each time, and from the
// beginning when it has lived for long enough. It is given up when it will not come up at all.
const (
	firstPause  = 50 * time.Millisecond
	maxPause    = time.Second
	livedWell   = time.Minute
	launchLimit = 2 * time.Minute
	launchTries = 5
)

// supervise waits for the engine to end, and starts it again until Stop.
func (s *Server) supervise(in *instance) {
	defer close(s.done)
	defer s.cancel()
	defer s.launcher.lock.Close() //nolint:errcheck // it was only locked
	pause := firstPause
	for {
		since := time.Now()
		in.wait()
		if s.ctx.Err() != nil {
			return
		}
		if time.Since(since) > livedWell {
			pause = firstPause
		}
		s.log.Warn().Err(in.process.err).Msg("embedded ClickHouse ended and is started again; records wait in the log")
		next, err := s.relaunch(in.port, &pause)
		if err != nil {
			s.err = fmt.Errorf("embedded ClickHouse ended and cannot be started again: %w", err)
			return
		}
		if next == nil {
			return
		}
		in = next
	}
}

// relaunch returns the next instance, nil when Stop was called, or why it will not come up.
func (s *Server) relaunch(port int, pause *time.Duration) (*instance, error) {
	for try := 1; ; try++ {
		select {
		case <-s.ctx.Done():
			return nil, nil
		case <-time.After(*pause):
		}
		*pause = min(*pause*2, maxPause)
		ctx, cancel := context.WithTimeout(s.ctx, launchLimit)
		in, err := s.launcher.launch(ctx, port)
		cancel()
		switch {
		case err == nil && s.adopt(in):
			return in, nil
		case s.ctx.Err() != nil:
			return nil, nil
		case try == launchTries:
			return nil, err
		}
	}
}

// adopt makes the instance the current one, or ends it if Stop was called meanwhile.
func (s *Server) adopt(in *instance) bool {
	s.mu.Lock()
	stopping := s.stopping
	if !stopping {
		s.current = in
		s.restarts++
	}
	s.mu.Unlock()
	if stopping {
		in.process.kill()
		in.wait()
	}
	return !stopping
}

// DSN is what analytics.Open takes. It stays the same while the server lives, and an engine started
// again on the directory has it, too, unless somebody else has its port by then.
func (s *Server) DSN() string { return s.dsn }

// Version is the engine's, such as "26.7.2.1".
func (s *Server) Version() string { return s.version }

// PID is the process id of the engine as it runs now.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current.process.pid
}

// Restarts is how often the engine ended unasked and was started again.
func (s *Server) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Done is closed when the engine has ended for good: after Stop, or when it would not start again.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil until Done is closed, and after Stop; else it says why the engine is gone.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the engine in order, or kills it when ctx ends first; nothing is lost either way. It
// returns when the engine has ended, and may be called again. The engine waits up to 5 s for
// connections that are still open, so close those first.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	first, in := !s.stopping, s.current
	s.stopping = true
	s.mu.Unlock()
	s.cancel()
	if first {
		in.shutdown(ctx)
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		in.process.kill()
		<-s.done
		return fmt.Errorf("embedded ClickHouse was killed, it did not stop: %w", ctx.Err())
	}
}
