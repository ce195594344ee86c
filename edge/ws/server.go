package ws

import (
	"context"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lxzan/gws"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/edge/problem"
)

// Server serves Path. It is safe for concurrent use.
type Server struct {
	cfg         Config
	log         zerolog.Logger
	authority   *authority
	metrics     *metrics
	hub         *hub
	application http.Client // that answers calls
	upgrader    *gws.Upgrader
	protobuf    *gws.Upgrader // of who asks for subprotocolProtobuf
	writers     *writers

	mu       sync.Mutex
	clients  map[*client]struct{}
	places   places
	stopping bool
	readers  sync.WaitGroup // one for each place
}

var _ http.Handler = (*Server)(nil)

// New returns a server, or an error that names what is wrong with the configuration. Shutdown ends it.
func New(cfg Config) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	a, err := newAuthority(cfg)
	if err != nil {
		return nil, err
	}
	h, err := newHub(cfg, m)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:       cfg,
		log:       cfg.Logger,
		authority: a,
		metrics:   m,
		hub:       h,
		writers:   newWriters(),
		clients:   make(map[*client]struct{}),
		places:    places{byAddr: make(map[netip.Addr]int), byUser: make(map[string]int)},
	}
	if cfg.Insecure {
		s.log.Warn().Msg("websocket clients need no token and may do everything: this is for development only")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck // it is nothing else
	transport.MaxIdleConnsPerHost = rpcConns
	s.application.Transport = transport
	s.upgrader, s.protobuf = s.newUpgrader(), s.newUpgrader(subprotocolProtobuf)
	return s, nil
}

// rpcConns to the application are kept open between calls.
const rpcConns = 64

// subprotocolProtobuf is what the SDKs ask for that speak protobuf; who cannot may write ?format=protobuf
// (centrifuge-js and centrifuge-go).
const subprotocolProtobuf = "centrifuge-protobuf"

func (s *Server) newUpgrader(subprotocols ...string) *gws.Upgrader {
	return gws.NewUpgrader(events{s}, &gws.ServerOption{
		ReadMaxPayloadSize:  s.cfg.MaxMessageBytes,
		WriteMaxPayloadSize: math.MaxInt32, // queues and replies are bounded already
		HandshakeTimeout:    s.cfg.ConnectTimeout,
		// Without contexts that outlive a message: they take 32 KiB of each client.
		PermessageDeflate: gws.PermessageDeflate{Enabled: s.cfg.Deflate, Threshold: compressFrom},
		SubProtocols:      subprotocols,
		Logger:            silent{},
		NewSession:        func() gws.SessionStorage { return &session{} },
	})
}

// ServeHTTP upgrades the request to a WebSocket connection and returns; the connection goes on. What
// cannot be upgraded is answered with a problem (RFC 9457).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := s.refuse(r)
	from := s.addressOf(r)
	if p == nil {
		p = s.reserve(from)
	}
	if p != nil {
		s.refused(w, r, p)
		return
	}
	upgrader, speaks := s.upgrader, wireJSON
	if slices.Contains(strings.FieldsFunc(r.Header.Get("Sec-WebSocket-Protocol"), isListSeparator), subprotocolProtobuf) {
		upgrader, speaks = s.protobuf, wireProtobuf
	}
	if r.URL.Query().Get("format") == "protobuf" {
		speaks = wireProtobuf
	}
	to, upgraded := s.upgrade(upgrader, w, r)
	if !upgraded {
		s.vacate(from)
		return
	}
	to.wire = speaks
	c := s.admitted(to, speaks, from)
	sessionOf(to.conn).client = c
	go to.conn.ReadLoop() // until closed
}

// refused answers a request for a connection that is not to be.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	s.metrics.refused.WithLabelValues(p.Code).Inc()
	s.log.Debug().Str("code", p.Code).Str("from", r.RemoteAddr).Str("origin", r.Header.Get("Origin")).Msg("connection refused")
	problem.Write(w, r, p)
}

func isListSeparator(r rune) bool { return r == ',' || r == ' ' }

// refuse returns why the handshake is not gone into, or nil.
func (s *Server) refuse(r *http.Request) *problem.Problem {
	switch {
	case r.Method != http.MethodGet:
		p := problem.New(problem.MethodNotAllowed, "a WebSocket is opened with GET")
		p.Allow = http.MethodGet
		return p
	case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
		return problem.New(problem.UpgradeRequired,
			"send Upgrade: websocket and what else RFC 6455 wants, or use a Centrifuge SDK")
	case !s.originAllowed(r):
		return s.foreign(r)
	}
	return nil
}

func (s *Server) foreign(r *http.Request) *problem.Problem {
	return problem.New(problem.OriginNotAllowed,
		"pages of origin %.200q may not connect; add it to the allowed origins", r.Header.Get("Origin"))
}

// upgrade takes the connection over. Where that failed, the peer knows it.
func (s *Server) upgrade(u *gws.Upgrader, w http.ResponseWriter, r *http.Request) (socket, bool) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Error().Err(err).Msg("websocket: the HTTP server cannot hand over its connection")
		problem.Write(w, r, problem.Of(err))
		return socket{}, false
	}
	p := newPipe(conn)
	upgraded, err := u.UpgradeFromConn(p, p.reader(buf.Reader), r)
	if err != nil {
		s.log.Debug().Err(err).Str("from", r.RemoteAddr).Msg("websocket handshake failed")
		return socket{}, false
	}
	compress := s.cfg.Deflate && strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate") // as gws has it
	return socket{conn: upgraded, pipe: p, compress: compress}, true
}

// admitted gives the reserved place to a client.
func (s *Server) admitted(to transport, speaks wire, from netip.Addr) *client {
	c := newClient(s, to, speaks, from)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c] = struct{}{}
	s.metrics.connections.Set(float64(len(s.clients)))
	if s.stopping {
		c.out.close(CloseShutdown)
	}
	return c
}

func (s *Server) forget(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	s.giveBack(c.from)
	if c.seated {
		drop(s.places.byUser, c.info.User)
	}
	s.metrics.connections.Set(float64(len(s.clients)))
}

// dismissBeat is between two groups of clients that are told to come back elsewhere.
const dismissBeat = 20 * time.Millisecond

// dismiss closes clients, spread over Config.DrainTime, so that they do not all come to the other nodes at once.
func (s *Server) dismiss(ctx context.Context, all []*client) {
	beats := int(max(s.cfg.DrainTime/dismissBeat, 1))
	tick := time.NewTicker(dismissBeat)
	defer tick.Stop()
	for i := range beats {
		for _, c := range all[len(all)*i/beats : len(all)*(i+1)/beats] {
			c.out.close(CloseShutdown)
		}
		if len(all)*(i+1)/beats == len(all) || ctx.Err() != nil {
			all = all[len(all)*(i+1)/beats:]
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	for _, c := range all { // there is no time left
		c.out.close(CloseShutdown)
	}
}

// Shutdown refuses new connections, tells every client to come back elsewhere (CloseShutdown), spread over
// Config.DrainTime, and waits until all are gone. When ctx ends first, what is left is cut off, and its error returned.
// Calling it again waits again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	var all []*client
	if !s.stopping {
		all = slices.Collect(maps.Keys(s.clients)) // in no order
	}
	s.stopping = true
	s.mu.Unlock()
	s.dismiss(ctx, all)

	gone := make(chan struct{})
	go func() {
		s.readers.Wait()
		s.hub.stop()
		s.authority.close()
		s.application.CloseIdleConnections()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.hub.cancel()
	s.mu.Lock()
	for c := range s.clients {
		c.out.to.cut()
	}
	s.mu.Unlock()
	<-gone
	return ctx.Err()
}
