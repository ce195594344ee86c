package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	gate     *gate
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
	s, err := launch(ctx, e, f, lock, cfg)
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("embedded ClickHouse (%s): %w", e.path, err)
	}
	go s.supervise(s.current)
	return s, nil
}

// launch brings up the first instance and opens the gate to it.
func launch(ctx context.Context, e engine, f files, lock *os.File, cfg Config) (*Server, error) {
	password, err := f.password()
	if err != nil {
		return nil, err
	}
	if err := f.configure(cfg.Memory, password); err != nil {
		return nil, err
	}
	preferred := 0
	if last, err := f.readEndpoint(); err == nil {
		preferred = last.Port
	}
	g, err := openGate(ctx, cfg.Port, preferred, password)
	if err != nil {
		return nil, err
	}
	l := launcher{engine: e, files: f, lock: lock, password: password, log: cfg.Logger}
	in, err := l.launch(ctx)
	if err != nil {
		g.close()
		return nil, err
	}
	s := &Server{
		launcher: l, gate: g, dsn: dsn(g.port(), password), version: in.version, log: cfg.Logger,
		done: make(chan struct{}), current: in,
	}
	if err := f.writeEndpoint(endpoint{DSN: s.dsn, Port: g.port(), Version: in.version, PID: in.process.pid}); err != nil {
		g.close()
		in.process.kill()
		in.wait()
		return nil, err
	}
	g.lead(in)
	s.ctx, s.cancel = context.WithCancel(context.Background())
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
	defer s.gate.close()
	pause := firstPause
	for {
		since := time.Now()
		in.wait()
		s.gate.lead(nil)
		if s.ctx.Err() != nil {
			return
		}
		if time.Since(since) > livedWell {
			pause = firstPause
		}
		s.log.Warn().Err(in.process.err).Msg("embedded ClickHouse ended and is started again; records wait in the log")
		next, err := s.relaunch(&pause)
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
func (s *Server) relaunch(pause *time.Duration) (*instance, error) {
	for try := 1; ; try++ {
		select {
		case <-s.ctx.Done():
			return nil, nil
		case <-time.After(*pause):
		}
		*pause = min(*pause*2, maxPause)
		ctx, cancel := context.WithTimeout(s.ctx, launchLimit)
		in, err := s.launcher.launch(ctx)
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
		s.gate.lead(in)
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
// returns when the engine has ended, and may be called again.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	first, in := !s.stopping, s.current
	s.stopping = true
	s.mu.Unlock()
	s.cancel()
	if first {
		s.gate.close()
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
