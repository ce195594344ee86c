package edge

import (
	"context"
	"errors"
	"fmt"
	stdlog "log" //nolint:depguard // net/http complains to a *log.Logger; what it says goes to zerolog
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
)

// Server is the node's HTTP server. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	log      zerolog.Logger
	metrics  metrics
	http     *http.Server
	draining atomic.Bool
	idle     atomic.Int64 // connections between two requests

	mu      sync.Mutex
	started bool
	listens net.Listener  // nil before Start
	done    chan struct{} // closed when serving has ended
	err     error         // why, if not by Shutdown; set before done is closed
}

// headerSlack is how many times as many bytes of headers as are allowed are read, so that the guard can
// say what is wrong. Beyond that net/http answers a bare 431 and hangs up.
const headerSlack = 4

// New returns a server that does not listen yet, or an error that names what is wrong with the
// configuration.
func New(cfg Config) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, fmt.Errorf("edge: metrics: %w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Logger, metrics: m, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	if cfg.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{ErrorLog: promLog{cfg.Logger}}))
	}
	if cfg.WebSocket != nil {
		mux.Handle("GET /connection/websocket", cfg.WebSocket)
	}
	for _, mount := range cfg.Mounts {
		mount(mux)
	}
	s.http = &http.Server{
		Handler:           newGuard(mux, cfg, m, &s.draining),
		ReadHeaderTimeout: cfg.ReadHeaderTimeout, ReadTimeout: cfg.ReadTimeout,
		WriteTimeout: cfg.WriteTimeout, IdleTimeout: cfg.IdleTimeout,
		MaxHeaderBytes: headerSlack * cfg.MaxHeaderBytes,
		ConnContext:    markExcess,
		ConnState:      s.connState,
		ErrorLog:       stdlog.New(httpLog{cfg.Logger}, "", 0),
	}
	return s, nil
}

// Start listens and serves in the background. It returns the address it listens on, which tells the
// port that was taken for port 0. It can be called once.
func (s *Server) Start(ctx context.Context) (net.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return nil, errors.New("edge: the server was started before")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("edge: %w; choose another Addr, or stop what listens there", err)
	}
	s.started, s.listens = true, l
	go func() {
		defer close(s.done)
		err := s.http.Serve(newLimited(l, s.cfg.MaxConns, s.metrics))
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) { // which Shutdown does
			s.err = fmt.Errorf("edge: serving ended: %w", err)
		}
	}()
	return l.Addr(), nil
}

// Wait blocks until the server has ended, and returns why: nil after Shutdown.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Drain makes /readyz answer 503, so that no new clients are sent here, and each answer the last one of its
// connection. Everything is served on.
func (s *Server) Drain() { s.draining.Store(true) }

// Shutdown drains, stops listening, and waits for the requests under way. When ctx ends first it cuts
// them off and returns ctx's error. It can be called more than once, and before Start.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	s.linger(ctx)
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	s.mu.Lock()
	if !s.started {
		s.started = true // too late for Start
		close(s.done)
	}
	s.mu.Unlock()
	<-s.done
	return err
}

// lingerLook is how often linger looks whether there is still a connection to wait for.
const lingerLook = 5 * time.Millisecond

// linger stops listening and waits for clients to use the connections that they keep once more, and so to be
// told that it was the last time. To close one at once may lose a request that is on its way.
func (s *Server) linger(ctx context.Context) {
	s.mu.Lock()
	l := s.listens
	s.mu.Unlock()
	if l == nil {
		return
	}
	_ = l.Close()
	<-s.done
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Linger)
	defer cancel()
	look := time.NewTicker(lingerLook)
	defer look.Stop()
	for s.idle.Load() > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// connState is http.Server.ConnState: it counts connections between two requests.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	k, ok := c.(*counted)
	if idle := state == http.StateIdle; ok && idle != k.idle {
		k.idle = idle
		if idle {
			s.idle.Add(1)
		} else {
			s.idle.Add(-1)
		}
	}
}

// httpLog takes net/http's own complaints, which are about misbehaving clients.
type httpLog struct{ zerolog.Logger }

func (l httpLog) Write(p []byte) (int, error) {
	l.Debug().Str("from", "net/http").Msg(string(p))
	return len(p), nil
}

type promLog struct{ zerolog.Logger }

func (l promLog) Println(v ...any) { l.Error().Msg(fmt.Sprint(v...)) }
