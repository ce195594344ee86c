package journal

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	startTimeout = 60 * time.Second
	// maxMessage lets a dead letter hold an event and the body made of it, both of the largest size.
	maxMessage = 4 << 20
)

var _ server.Logger = serverLog{}

// startServer runs JetStream in this process; nothing listens.
func startServer(cfg Config, d *directory, maxStore int64) (*server.Server, error) {
	opts := &server.Options{
		ServerName:             cfg.Node,
		DontListen:             true,
		NoSigs:                 true,
		NoLog:                  true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               filepath.Join(d.path, logDir),
		JetStreamMaxStore:      maxStore,
		JetStreamMaxMemory:     64 << 20, // only ordered consumers of key-value watches live there
		SyncInterval:           100 * time.Millisecond,
		SyncAlways:             cfg.SyncAlways,
		MaxPayload:             maxMessage,
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, &StoreError{d.path, err, "report this"}
	}
	srv.SetLoggerV2(serverLog{cfg.Logger.With().Str("component", "log").Logger()}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) || !srv.JetStreamEnabled() {
		stopServer(srv)
		return nil, &StoreError{d.path, fmt.Errorf("%w: the embedded server did not start", ErrUnavailable), "see its warnings in the log of this process; most often the disk is full or not writable"}
	}
	return srv, nil
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}
