package adapter_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
)

// inbox is the webhook address: it keeps what came, verified and decoded.
type inbox struct {
	*httptest.Server
	mu   sync.Mutex
	got  []arrival
	conn adapter.Connection
}

type arrival struct {
	in       *adapter.Inbound
	id       string
	err      error // of Verify
	received adapter.Reception
	decode   error
}

func newInbox(t testing.TB, conn adapter.Connection) *inbox {
	t.Helper()
	box := &inbox{conn: conn}
	box.Server = httptest.NewServer(http.HandlerFunc(box.serve))
	t.Cleanup(box.Close)
	return box
}

func (b *inbox) serve(w http.ResponseWriter, req *http.Request) {
	if h, ok := b.conn.(adapter.Handshaker); ok && req.Method == http.MethodGet {
		text, err := h.Handshake(req.URL.Query())
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprint(w, text)
		return
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(req.Body)
	a := arrival{in: &adapter.Inbound{Header: req.Header, Body: body.Bytes()}}
	r := b.conn.(adapter.Receiver)
	if a.id, a.err = r.Verify(a.in, time.Now()); a.err == nil {
		a.received, a.decode = r.Decode(a.in)
	}
	b.mu.Lock()
	b.got = append(b.got, a)
	b.mu.Unlock()
	switch {
	case a.err != nil:
		w.WriteHeader(http.StatusUnauthorized)
	case a.decode != nil:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case a.received.Reply != nil:
		_, _ = w.Write(a.received.Reply)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func (b *inbox) take() []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}
