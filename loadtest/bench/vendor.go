package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// vendor takes every signed webhook and notes when it came.
type vendor struct {
	url     string
	server  *http.Server
	taken   atomic.Int64
	broken  atomic.Bool // paths under /stuck are answered 503
	mu      sync.Mutex
	arrived map[string]time.Time // by event id; nil: not noted
	wake    chan struct{}
}

func startVendor(ctx context.Context, note bool) (*vendor, error) {
	v := &vendor{wake: make(chan struct{}, 1)}
	if note {
		v.arrived = map[string]time.Time{}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	v.url = "http://" + l.Addr().String()
	v.server = &http.Server{Handler: v, ReadHeaderTimeout: time.Minute}
	go func() { _ = v.server.Serve(l) }()
	return v, nil
}

func (v *vendor) close() { _ = v.server.Close() }

// ServeHTTP takes a webhook.
func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	_, _ = io.Copy(io.Discard, r.Body)
	switch {
	case r.Header.Get("Webhook-Signature") == "":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case strings.HasPrefix(r.URL.Path, "/stuck") && v.broken.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case v.arrived != nil:
		v.mu.Lock()
		v.arrived[r.Header.Get("Wedsync-Event-Id")] = now
		v.mu.Unlock()
	}
	v.taken.Add(1)
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// wait returns when so many have been taken.
func (v *vendor) wait(ctx context.Context, count int64) error {
	for v.taken.Load() < count {
		select {
		case <-v.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (v *vendor) at(id string) (time.Time, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	at, ok := v.arrived[id]
	return at, ok
}
