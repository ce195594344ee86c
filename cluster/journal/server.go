package journal

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	startTimeout = 10 * time.Second
	// maxMessage lets a dead letter hold an event and the body made of it, both of the largest size.
	maxMessage = 4 << 20
	// boundless: the streams' own bounds add up to Config.MaxStore. The server's would refuse to open
	// a store whose streams were promised more in another configuration.
	boundless = 1 << 60
)

// startServer runs JetStream in this process; nothing listens, unless it is one of a cluster.
func startServer(cfg Config, d *directory) (*server.Server, error) {
	opts := &server.Options{
		ServerName:             cfg.Node,
		DontListen:             true,
		NoSigs:                 true,
		NoLog:                  true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               filepath.Join(d.path, logDir),
		JetStreamMaxStore:      boundless,
		JetStreamMaxMemory:     64 << 20, // only ordered consumers of key-value watches live there
		SyncInterval:           syncInterval,
		SyncAlways:             cfg.SyncAlways,
		MaxPayload:             maxMessage,
	}
	door := &doorkeeper{}
	if cfg.Cluster != nil {
		if err := cfg.Cluster.clustered(opts, door); err != nil {
			return nil, &StoreError{d.path, err, "give each as host:port"}
		}
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, &StoreError{d.path, err, "report this"}
	}
	door.server = srv
	log := &serverLog{log: cfg.Logger.With().Str("component", "log").Logger()}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start() // returns when the streams are recovered, or with a fatal message
	if reason := log.reason(); reason != "" || !srv.JetStreamEnabled() || !srv.ReadyForConnections(startTimeout) {
		stopServer(srv)
		do := "check that the disk is not full and that this user may write there"
		if cfg.Cluster != nil {
			do += fmt.Sprintf(", and that %s and %s are free", cfg.Cluster.Routes, cfg.Cluster.Clients)
		}
		return nil, &StoreError{d.path, fmt.Errorf("%w: %s", ErrUnavailable, cmp.Or(reason, "it did not start")), do}
	}
	return srv, nil
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}
