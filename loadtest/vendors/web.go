package vendors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// maxCallBytes bounds the body of a call; vendors refuse larger ones.
const maxCallBytes = 1 << 20

// web is the HTTP server that every simulator has: it applies the faults, keeps the receipts and
// takes what is said at /_sim/.
type web struct {
	*receipts
	name    string
	cfg     Config
	url     string
	faults  *Faults
	server  *http.Server
	client  *http.Client
	closing chan struct{}

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup // the servers, and their calls; added to under mu while not closed
}

// reply is what a vendor answers.
type reply struct {
	status int
	header http.Header
	body   []byte
	taken  bool
}

// taker is what a vendor does with calls at one path.
type taker struct {
	// read fills in the receipt's ID, EventID and EventType, as far as they can be seen.
	read func(h http.Header, r *Receipt)
	// take checks the call and answers it.
	take func(req *http.Request, body []byte) reply
	// fail is the vendor's own error for a status and a code of its own; either may be left to it.
	fail func(status int, code string) reply
	// probe calls change nothing and are not counted.
	probe bool
}

func startWeb(ctx context.Context, name string, cfg Config, routes func(*http.ServeMux, *web)) (*web, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return nil, fmt.Errorf("start the simulator of %s: %w", name, err)
	}
	s := &web{
		receipts: newReceipts(cfg), name: name, cfg: cfg, faults: &Faults{},
		url:     "http://" + ln.Addr().String(),
		closing: make(chan struct{}),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: 16,
		}},
	}
	mux := http.NewServeMux()
	routes(mux, s)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.serve(func() error { return s.server.Serve(ln) })
	return s, nil
}

// serve runs a server until it is closed.
func (s *web) serve(run func() error) {
	s.running.Go(func() {
		err := run()
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.cfg.Logger.Error().Err(err).Str("vendor", s.name).Msg("the simulator's server ended by itself")
		}
	})
}

// enter notes that a call goes on, until leave; it reports false once the simulator is closing.
func (s *web) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

func (s *web) leave() { s.running.Done() }

// Name is the adapter's id of the vendor.
func (s *web) Name() string { return s.name }

// URL is where the simulator listens.
func (s *web) URL() string { return s.url }

// Faults are the faults to switch on and off.
func (s *web) Faults() *Faults { return s.faults }

// Close stops the simulator, lets go of what hangs, and waits for its goroutines.
func (s *web) Close() error {
	s.shut()
	err := s.server.Close()
	s.client.CloseIdleConnections()
	s.running.Wait()
	return err
}

// shut marks the simulator as closing and lets go of what hangs.
func (s *web) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
}

// handle serves a path of the vendor's API.
func (s *web) handle(t taker) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if !s.enter() {
			return
		}
		defer s.leave()
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxCallBytes))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		r := &Receipt{At: s.cfg.Now(), Vendor: s.name, Body: body, Header: req.Header}
		if t.read != nil {
			t.read(req.Header, r)
		}
		delay, end := s.faults.pick(r, stageData, t.probe)
		if !pause(req.Context(), s.closing, delay) {
			s.record(r, t)
			reset(w)
			return
		}
		answer, lost := s.answer(req, body, t, end)
		r.Status, r.Taken = answer.status, answer.taken
		if lost {
			r.Status = 0
		}
		s.record(r, t)
		if lost {
			reset(w)
			return
		}
		write(w, answer)
	}
}

// answer acts as the fault says, or as the vendor does. lost tells that the connection breaks.
func (s *web) answer(req *http.Request, body []byte, t taker, end *activeFault) (answer reply, lost bool) {
	switch {
	case end == nil:
		return t.take(req, body), false
	case end.Hang:
		if !end.hang(req.Context(), s.closing) {
			return reply{}, true
		}
		return t.take(req, body), false
	case end.Reset:
		return reply{}, true
	case end.LoseAnswer:
		return t.take(req, body), true
	}
	answer = t.fail(end.Status, end.Code)
	if end.RetryAfter > 0 {
		if answer.header == nil {
			answer.header = http.Header{}
		}
		seconds := (time.Duration(end.RetryAfter) + time.Second - 1) / time.Second
		answer.header.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	return answer, false
}

func (s *web) record(r *Receipt, t taker) {
	if t.probe {
		return
	}
	if s.cfg.Discard {
		r.Body, r.Header = nil, nil
	}
	s.add(r)
}

func write(w http.ResponseWriter, r reply) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // who called may be gone
}

// reset breaks the connection with a TCP reset, as a crashing server does.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	breakOff(conn)
}

func breakOff(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// post sends a webhook once.
func (s *web) post(ctx context.Context, to string, header http.Header, body []byte) (Sent, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return Sent{}, fmt.Errorf("%s: send a webhook: %w", s.name, err)
	}
	req.Header = header
	resp, err := s.client.Do(req)
	if err != nil {
		return Sent{}, fmt.Errorf("%s: send a webhook: %w", s.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return Sent{}, fmt.Errorf("%s: read the answer to a webhook: %w", s.name, err)
	}
	return Sent{Status: resp.StatusCode, Header: resp.Header, Body: answer}, nil
}

// expect makes a request that must be answered 200 with a text in it.
func (s *web) expect(req *http.Request, text string) error {
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("%s: read the answer: %w", s.name, err)
	}
	if resp.StatusCode != http.StatusOK || string(body) != text {
		return fmt.Errorf("%s: the address answered %d %.200q, not the challenge", s.name, resp.StatusCode, body)
	}
	return nil
}

// sendSigned posts a webhook, twice if the faults say so. sign makes the headers of one try.
func (s *web) sendSigned(ctx context.Context, to, id string, body []byte, sign func(at time.Time, wrong bool) http.Header) ([]Sent, error) {
	fault := s.faults.webhooks()
	tries := 1
	if fault.Duplicate {
		tries = 2
	}
	var all []Sent
	for range tries {
		header := sign(s.cfg.Now().Add(-time.Duration(fault.Age)), fault.WrongSignature)
		header.Set("Content-Type", "application/json")
		sent, err := s.post(ctx, to, header, body)
		if err != nil {
			return all, err
		}
		sent.ID = id
		all = append(all, sent)
	}
	return all, nil
}

// jsonReply writes v; it is called with values of this package alone.
func jsonReply(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		return reply{status: http.StatusInternalServerError, body: []byte(err.Error())}
	}
	return reply{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}

// integrationOf puts together an integration with this simulator.
func (s *web) integrationOf(id, name string, category event.Category, settings map[string]any) event.Integration {
	raw, err := json.Marshal(settings)
	if err != nil {
		raw = nil // a map of texts and numbers can be written
	}
	return event.Integration{
		V: event.Version, ID: id, Name: name + " (simulator)", Vendor: s.name, Category: category, Settings: raw,
	}
}
