package edge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/edge"
)

func TestShutdown(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 1), make(chan struct{})
	mount := func(mux *http.ServeMux) {
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
			begun <- struct{}{}
			select {
			case <-finish:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "done")
		})
	}
	s, err := edge.New(edge.Config{Addr: "127.0.0.1:0", Mounts: []edge.Mount{mount}})
	if err != nil {
		t.Fatal(err)
	}
	addr, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context()); err == nil {
		t.Error("started twice")
	}
	c := client(t)
	got := make(chan string, 1)
	go func() {
		resp, err := c.Get("http://" + addr.String() + "/slow")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		got <- string(b)
	}()
	<-begun
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(cut); !errors.Is(err, context.Canceled) {
		t.Errorf("a shutdown without time returned %v", err)
	}
	if answer := <-got; answer == "done" {
		t.Error("the request was not cut off")
	}
	close(finish)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("shut down again: %v", err)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestShutdownWaitsForRequests(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	s, url := start(t, edge.Config{Mounts: []edge.Mount{func(mux *http.ServeMux) {
		mux.HandleFunc("GET /slow", func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-finish
			_, _ = io.WriteString(w, "done")
		})
	}}})
	c := client(t)
	got := make(chan answer, 1)
	go func() { got <- ask(t, c, "GET", url+"/slow", nil) }()
	<-begun
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(context.Background()) }()
	for { // until it stops listening
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(finish)
	if a := <-got; a.body != "done" {
		t.Errorf("got %+v", a)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Clients that keep their connections lose no request over a shutdown: what is sent on a connection that was kept
// is answered, and as the last on it; then nobody listens.
func TestKeptConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	mount := func(mux *http.ServeMux) {
		mux.HandleFunc("POST /add", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "added") })
	}
	// So long that no machine is too slow; it ends when each client has heard.
	s, url := start(t, edge.Config{Mounts: []edge.Mount{mount}, Linger: time.Minute})
	post := func(c *http.Client) (last bool, err error) {
		resp, err := c.Post(url+"/add", "text/plain", strings.NewReader("one"))
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "added" {
			return false, fmt.Errorf("answered %q: %w", b, err)
		}
		return resp.Close, nil
	}
	quiet := client(t)
	if last, err := post(quiet); last || err != nil {
		t.Fatalf("the first answer is the last one: %v, %v", last, err)
	}
	const busy = 4
	going, ended := make(chan struct{}, busy), make(chan error, busy)
	for range busy {
		c := client(t)
		go func() {
			_, err := post(c)
			going <- struct{}{}
			for err == nil {
				_, err = post(c)
			}
			ended <- err
		}()
	}
	for range busy {
		<-going
	}
	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	for range busy {
		if err := <-ended; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a busy client got %v", err)
		}
	}
	if last, err := post(quiet); !last || err != nil {
		t.Errorf("on the connection that was kept: the last answer %v, %v", last, err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// Whoever keeps a connection and does not use it is not waited for longer than a moment.
func TestIdleConnectionsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	s, url := start(t, edge.Config{})
	ask(t, client(t), http.MethodGet, url+"/healthz", nil)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNeverStarted(t *testing.T) {
	t.Parallel()
	s, err := edge.New(edge.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := s.Start(t.Context()); err == nil {
		t.Error("started after shutdown")
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := edge.New(edge.Config{Addr: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
