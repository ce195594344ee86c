package ws

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/problem"
)

// Where clients come that cannot have WebSockets, and only listen. The addresses and what is spoken there are those
// of Centrifugo's one-way transports (centrifugal.dev/docs/transports/uni_sse and uni_http_stream).
const (
	PathSSE    = "/connection/uni_sse"
	PathStream = "/connection/uni_http_stream"
)

// connectParam is where GET requests have their connect command.
const connectParam = "cf_connect"

// Mount serves PathSSE and PathStream. A GET request has its connect command in connectParam, a POST request in its
// body. Its subs name what is subscribed to, beside what the token's subs claim names.
func (s *Server) Mount(mux *http.ServeMux) {
	mux.HandleFunc(PathSSE, func(w http.ResponseWriter, r *http.Request) { s.serveStream(w, r, true) })
	mux.HandleFunc(PathStream, func(w http.ResponseWriter, r *http.Request) { s.serveStream(w, r, false) })
}

// stream is the answer to a request that does not end: server-sent events, or JSON, one a line.
type stream struct {
	w    http.ResponseWriter
	rc   *http.ResponseController
	sse  bool
	wire wire

	mu   sync.Mutex
	over bool          // nothing is written any more
	done chan struct{} // closed then
}

var _ transport = (*stream)(nil)

// The parts of an event that has no id (html.spec.whatwg.org, section 9.2.6).
var (
	dataField = []byte("data: ")
	newline   = []byte("\n")
)

func (t *stream) send(frames [][]byte) (func() error, error) {
	return func() error { return t.flush(frames) }, nil
}

// flush writes frames, and waits until they are on their way.
func (t *stream) flush(frames [][]byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return http.ErrHandlerTimeout
	}
	err := t.write(frames)
	if err == nil {
		err = t.rc.Flush()
	}
	if err != nil {
		t.stop()
	}
	return err
}

func (t *stream) write(frames [][]byte) error {
	for _, f := range frames {
		parts := [][]byte{f}
		if t.wire == wirePush {
			if parts = [][]byte{f[1:], newline}; t.sse {
				parts = [][]byte{dataField, f[1:], newline, newline}
			}
		}
		for _, p := range parts {
			if _, err := t.w.Write(p); err != nil { //nolint:gosec // NDJSON or an event stream, which no browser shows as a page
				return err
			}
		}
	}
	return nil
}

// end tells the code in a push, as there is no close frame.
func (t *stream) end(code CloseCode) {
	_ = t.flush([][]byte{t.wire.encode(&protocol.Reply{Push: &protocol.Push{
		Disconnect: &protocol.Disconnect{Code: uint32(code), Reason: code.Reason()},
	}})})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop()
}

// silence reports whether nothing was written, and has nothing be written any more.
func (t *stream) silence() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.over
	t.stop()
	return !was
}

// stop is called with mu held.
func (t *stream) stop() {
	if !t.over {
		t.over = true
		close(t.done)
	}
}

func (t *stream) expire(at time.Time) { _ = t.rc.SetWriteDeadline(at) }

// cut frees a writer that is stuck, and lets no further one begin.
func (t *stream) cut() {
	select {
	case <-t.done:
		return // what was written last may still be on its way
	default:
	}
	t.expire(time.Unix(1, 0))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stop()
}

// serveStream answers for as long as the client listens.
func (s *Server) serveStream(w http.ResponseWriter, r *http.Request, sse bool) {
	if s.preflight(w, r) {
		return
	}
	from := s.addressOf(r)
	who, asked, p := s.listener(w, r)
	if p == nil {
		p = s.reserve(from)
	}
	if p != nil {
		s.refused(w, r, p)
		return
	}
	t := &stream{w: w, rc: http.NewResponseController(w), sse: sse, wire: wirePush, done: make(chan struct{})}
	_, only := single(who, asked)
	if only && sse {
		t.wire = wireSSE
	}
	_ = t.rc.SetReadDeadline(time.Time{}) // the server's own are for answers that end
	_ = t.rc.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	if sse {
		w.Header().Set("Content-Type", "text/event-stream")
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would gather what is sent
	c := s.admitted(t, t.wire, from)
	defer func() {
		t.cut()
		c.closed(r.Context().Err())
	}()
	ctx, cancel := context.WithTimeout(s.hub.ctx, s.cfg.CommandTimeout)
	refused := c.letIn(ctx, who, 0, asked)
	cancel()
	s.metrics.command("connect", refused.GetCode())
	if refused != nil {
		if t.silence() {
			problem.Write(w, r, s.problemOf(refused))
		}
		return
	}
	select {
	case <-r.Context().Done():
	case <-t.done:
	}
}

// problemOf is what a request is told that is not let in.
func (s *Server) problemOf(refused *protocol.Error) *problem.Problem {
	if refused.Code == uint32(CloseUserLimit) {
		return problem.New(problem.TooManyOfUser, "the user has %d connections, which is all it may have", s.cfg.MaxPerUser).After(tryAgain)
	}
	return problem.New(problem.LogUnavailable, "%s", refused.Message).After(tryAgain)
}

// listener returns who wants to listen to what.
func (s *Server) listener(w http.ResponseWriter, r *http.Request) (*identity, map[string]*protocol.SubscribeRequest, *problem.Problem) {
	if !s.originAllowed(r) {
		return nil, nil, s.foreign(r)
	}
	req, p := connectRequest(w, r, s.cfg.MaxMessageBytes)
	if p != nil {
		return nil, nil, p
	}
	who, err := s.authority.identify(r.Context(), req.Token)
	switch {
	case errors.Is(err, errTokenExpired):
		return nil, nil, problem.New(problem.TokenExpired, "get another token and come back")
	case errors.Is(err, errKeysAway):
		return nil, nil, problem.New(problem.TokenUnverified, "the keys cannot be had now; come back with the same token").After(tryAgain)
	case err != nil:
		return nil, nil, problem.New(problem.TokenInvalid, "%s", err.Error())
	}
	for name := range req.Subs {
		if _, err := event.ParsePattern(name); err != nil {
			return nil, nil, problem.New(problem.ChannelInvalid, "%s", err.Error())
		}
		if !who.granted(name) {
			return nil, nil, problem.New(problem.ChannelNotGranted, "the token's channels claim does not cover %s", name)
		}
	}
	if n := len(req.Subs) + len(who.subs); n > s.cfg.MaxSubscriptions {
		return nil, nil, problem.New(problem.FieldInvalid, "subs has %d channels; a connection may have %d", n, s.cfg.MaxSubscriptions)
	}
	name, only := single(who, req.Subs)
	if at := r.Header.Get("Last-Event-ID"); only && at != "" {
		if offset, epoch, ok := strings.Cut(at, ":"); ok {
			n, err := strconv.ParseUint(offset, 10, 64)
			if err != nil {
				return nil, nil, problem.New(problem.FieldInvalid, "Last-Event-ID is %.80q, which is no id of an event from here", at)
			}
			req.Subs = map[string]*protocol.SubscribeRequest{name: {Recover: true, Offset: n, Epoch: epoch}}
		}
	}
	return who, req.Subs, nil
}

// single returns the channel if there is only one, so that the id of an event says all about where its reader is.
func single(who *identity, asked map[string]*protocol.SubscribeRequest) (string, bool) {
	names := make([]string, 0, 2)
	for name := range who.subs {
		names = append(names, name)
	}
	for name := range asked {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) != 1 || event.CheckChannel(names[0]) != nil {
		return "", false
	}
	return names[0], true
}

// connectRequest reads the connect command of a request.
func connectRequest(w http.ResponseWriter, r *http.Request, most int) (*protocol.ConnectRequest, *problem.Problem) {
	data := []byte(cmp.Or(r.URL.Query().Get(connectParam), "{}"))
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		var err error
		if data, err = problem.ReadBody(w, r, int64(most)); err != nil {
			return nil, problem.Of(err)
		}
	default:
		p := problem.New(problem.MethodNotAllowed, "a stream is opened with GET or POST")
		p.Allow = "GET, POST, OPTIONS"
		return nil, p
	}
	req := new(protocol.ConnectRequest)
	if !json.Valid(data) {
		return nil, problem.New(problem.JSONMalformed, "the connect command is no JSON; a GET request has it in %s", connectParam)
	}
	if err := json.Unmarshal(data, req); err != nil {
		return nil, problem.New(problem.FieldInvalid, "the connect command: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	for name, sub := range req.Subs {
		if sub == nil {
			req.Subs[name] = &protocol.SubscribeRequest{}
		}
	}
	return req, nil
}

// preflight answers what browsers ask before they send a page's request to another origin, and lets such a page
// read the answer (fetch.spec.whatwg.org, section 3.3).
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin != "" {
		w.Header().Add("Vary", "Origin")
		if s.originAllowed(r) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
	}
	if r.Method != http.MethodOptions {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Last-Event-ID")
	w.WriteHeader(http.StatusNoContent)
	return true
}
