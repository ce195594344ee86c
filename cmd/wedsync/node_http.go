package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wedsync/wedsync/edge/ws"
)

func (n *node) openHTTP(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if n.listener, err = lc.Listen(ctx, "tcp", n.cfg.HTTP.Addr); err != nil {
		return fmt.Errorf("http.addr: %w; is another node running? Give it another port with --addr", err)
	}
	n.onClose(func(context.Context) { _ = n.listener.Close() })
	return nil
}

func (n *node) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(ws.Path, n.clients)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", n.serveReady)
	return mux
}

func (n *node) addHTTP() {
	server := &http.Server{
		Handler:           n.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	n.group.Add(func() error {
		if err := server.Serve(n.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http: %w", err)
		}
		return nil
	}, func(error) {
		// Whatever a slow request takes is missing for calls to vendors: it gets a part of the time.
		ctx, cancel := context.WithTimeout(n.deadline(), n.cfg.Shutdown/4)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
}

// readiness is what /readyz answers.
type readiness struct {
	Ready  bool   `json:"ready"`
	Node   string `json:"node"`
	Log    string `json:"log"`    // "ok", or what is wrong
	Shards string `json:"shards"` // held of those that it should hold
	// ClickHouse is where records go. Without it they wait in the log, and the node is ready.
	ClickHouse clickhouseStatus `json:"clickhouse"`
}

func (n *node) ready(ctx context.Context) readiness {
	held, wanted := n.system.Ready()
	r := readiness{
		Ready: held == wanted, Node: n.cfg.Node.Name, Log: "ok",
		Shards: fmt.Sprintf("%d of %d", held, wanted), ClickHouse: n.records.status(),
	}
	if _, _, err := n.journal.Bounds(ctx); err != nil {
		r.Ready, r.Log = false, err.Error()
	}
	select {
	case <-n.stop:
		r.Ready = false
	default:
	}
	return r
}

func (n *node) serveReady(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), 2*time.Second)
	defer cancel()
	r := n.ready(ctx)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r)
}
