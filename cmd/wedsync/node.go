package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/actors/tracing"
	"github.com/wedsync/wedsync/analytics/alerts"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/cluster/peers"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/admin"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/audit"
	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/webhook"
	"github.com/wedsync/wedsync/edge/ws"
)

// node is the program that "wedsync serve" runs, and that tests and the demo run too:
//
//	        ┌─────────────────────── edge: http server ────────────────────────┐
//	        │ /healthz /readyz /metrics   /api/webhooks   /connection/websocket │
//	        └───────────────────────────────────┬──┬───────────────┬──┬────────┘
//	                          audit <── webhook ┘  │      ws ──────┘  │ live,
//	                            │         └──> ingest <───┘           │ history
//	                            │ record          │ append            │
//	                            v                 v                   v
//	registry <──── watch ──── j o u r n a l ──────────────────────────┘
//	   │ resolve            ^ │         │
//	   │     enqueue, record│ │ next    │ records
//	   └────────────────> actors     recorder ──> analytics store ──> ClickHouse server
//	                        │  ├─ placement: cluster ─┐               or embedded engine
//	                        │  └─ commands: peers ────┴─> other nodes
//	                     sender ──> vendors
//
// Start opens what is below first and returns when the node serves. What runs on belongs to one run
// group, which the first part that ends, or Stop, brings down in order: clients, http,
// alerts, actors, recorder, engine, membership. Then audit, registry, journal and peers are closed.
type node struct {
	cfg     Config
	log     zerolog.Logger
	metrics *prometheus.Registry

	ring     *cluster.Keyring // of a node that is alone: nil
	gossip   *cluster.Gossip  // likewise
	peers    *peers.Peers     // likewise
	rotation *cluster.Rotation
	members  membership
	tracer   *tracing.Tracer // of a node that does not trace: nil
	keys     nodeKeys
	journal  *journal.Journal
	registry *registry.Registry
	audit    *audit.Log
	system   *actors.System
	ingest   *ingest.Ingest
	webhooks *webhook.Handler
	apiKeys  *access.Keyring
	api      *api.API
	sessions *access.Sessions
	admin    *admin.Admin
	clients  *ws.Server
	records  *recording
	alerts   *alerts.Evaluator
	server   *edge.Server
	addr     net.Addr // that the server listens on

	group    run.Group
	closers  []func(context.Context) // of what is open, in the order it was opened
	stop     chan struct{}           // closed by Stop
	stopOnce sync.Once
	deadline func() context.Context // of stopping; begins when it is first asked for
	done     chan struct{}          // closed when everything has ended
	err      error                  // why; set before done is closed
}

// newNode returns a node that does nothing before Start.
func newNode(cfg Config, log zerolog.Logger) *node {
	return &node{cfg: cfg, log: log, metrics: prometheus.NewRegistry(), stop: make(chan struct{}), done: make(chan struct{})}
}

// Start opens everything and returns when requests are answered. If it fails, nothing is left
// running and Stop need not be called. ctx bounds starting alone.
func (n *node) Start(ctx context.Context) error {
	begun := time.Now()
	n.deadline = sync.OnceValue(func() context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Shutdown)
		context.AfterFunc(ctx, cancel)
		return ctx
	})
	for _, open := range []func(context.Context) error{
		n.openSelf, n.openTracing, n.openCluster, n.awaitCores, n.openJournal, n.openKeys, n.openRegistry, n.openRecording, n.openActors, n.openIngress,
		n.openAlerts, n.openAPI, n.openAdmin, n.openClients, n.openServer,
	} {
		if err := open(ctx); err != nil {
			n.close()
			return err
		}
	}
	if err := n.join(); err != nil {
		n.close()
		return err
	}
	n.addParts()
	go func() {
		defer close(n.done)
		n.err = n.group.Run()
		n.close()
		n.log.Info().Err(n.err).Msg("stopped")
	}()
	n.log.Info().Str("addr", n.URL()).Str("data", n.cfg.Data).Str("version", readVersion().Version).
		Dur("took", time.Since(begun)).Msg("serving")
	return nil
}

// URL is where the node answers, such as http://127.0.0.1:8080.
func (n *node) URL() string { return "http://" + n.addr.String() }

// Done is closed when the node has ended, by Stop or because a part that it cannot do without has.
func (n *node) Done() <-chan struct{} { return n.done }

// Stop ends the node in order within the configured deadline and returns why it ended: nil, unless a
// part failed. It may be called twice.
func (n *node) Stop() error {
	n.stopOnce.Do(func() { close(n.stop) })
	<-n.done
	return n.err
}

// addParts hands what runs on to the run group. Interrupts are called one after the other, in the
// order of adding, and each returns when its part has ended: so what uses others is added before them.
func (n *node) addParts() {
	n.group.Add(func() error { <-n.stop; return nil }, func(err error) {
		n.log.Info().AnErr("because", err).Msg("stopping")
		n.drain()
		n.server.Drain()
		n.stopOnce.Do(func() { close(n.stop) })
		n.journal.StopWaiting() // who waits for the log is better off elsewhere
	})
	n.addWaiting("admin page", n.admin.Shutdown) // before the server, which waits for those that it shows something live
	n.addWaiting("clients", n.clients.Shutdown)  // likewise
	n.group.Add(n.server.Wait, func(error) {
		// Whatever a slow request takes is missing for calls to vendors: it gets a part of the time.
		ctx, cancel := context.WithTimeout(n.deadline(), n.cfg.Shutdown/4)
		defer cancel()
		n.warn("http", n.server.Shutdown(ctx))
	})
	n.addAlerts()
	n.addWaiting("actors", n.system.Stop)
	n.records.addTo(&n.group)
	if n.gossip != nil {
		ended := make(chan struct{})
		n.group.Add(func() error { n.followLog(ended); return nil }, func(error) { close(ended) })
		n.group.Add(n.gossip.Wait, func(error) { n.gossip.Leave(n.deadline()) })
	}
}

// addWaiting adds a part that works by itself until it is shut down.
func (n *node) addWaiting(name string, shutdown func(context.Context) error) {
	ended := make(chan struct{})
	n.group.Add(func() error { <-ended; return nil }, func(error) {
		if err := shutdown(n.deadline()); err != nil {
			n.log.Warn().Err(err).Str("part", name).Msg("did not end in time")
		}
		close(ended)
	})
}

// closeTimeout is for each of what is closed in the end, when the deadline for calls is over.
const closeTimeout = 10 * time.Second

// close closes what was opened, the last first.
func (n *node) close() {
	for _, f := range slices.Backward(n.closers) {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		f(ctx)
		cancel()
	}
	n.closers = nil
}

func (n *node) onClose(f func(context.Context)) { n.closers = append(n.closers, f) }

// openSelf finds the node's name.
func (n *node) openSelf(context.Context) error {
	if n.cfg.Node.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the host's name is not known (%w); give node.name", err)
		}
		n.cfg.Node.Name = nameFrom(host)
	}
	n.log = n.log.With().Str("node", n.cfg.Node.Name).Logger()
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return nil
}

func (n *node) openKeys(ctx context.Context) error {
	if err := n.shareKeys(ctx); err != nil {
		return err
	}
	var err error
	n.keys, err = openKeys(n.cfg)
	return err
}

// nameFrom makes a node's name of a host's, in which dots and others are not allowed.
func nameFrom(host string) string {
	name := strings.Map(func(r rune) rune {
		if event.CheckID(string(r)) != nil {
			return '-'
		}
		return r
	}, host)
	return name[:min(len(name), event.MaxSegmentBytes)]
}

// logConfig is the log's configuration; the keyring of a cluster is open.
func (n *node) logConfig() journal.Config {
	c := journal.Config{
		Node: n.cfg.Node.Name, URL: n.cfg.Log.URL, Shards: n.cfg.Log.Shards, SyncAlways: n.cfg.Log.SyncAlways,
		EventAge: n.cfg.Log.EventAge, MaxStore: int64(n.cfg.Log.MaxStore), EventBytes: int64(n.cfg.Log.EventBytes),
		WorkBytes: int64(n.cfg.Log.WorkBytes), RecordBytes: int64(n.cfg.Log.RecordBytes), DeadBytes: int64(n.cfg.Log.DeadBytes),
		Logger: n.part("journal"), Metrics: n.metrics,
	}
	if n.ring != nil {
		c.Cluster = n.logCluster()
	}
	if c.URL == "" && (c.Cluster == nil || c.Cluster.Routes != "") {
		c.Dir = filepath.Join(n.cfg.Data, logFolder)
	}
	return c
}

// logFolder in the data folder is the embedded log's.
const logFolder = "log"

func (n *node) openJournal(ctx context.Context) error {
	var err error
	if n.journal, err = journal.Open(ctx, n.logConfig()); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	n.onClose(func(ctx context.Context) { n.warn("journal", n.journal.Close(ctx)) })
	if n.gossip != nil {
		n.gossip.SetHolding() // one that is started empty counts on those that hold the log
	}
	return nil
}

func (n *node) openRegistry(ctx context.Context) error {
	config, err := n.journal.KV(ctx, "config")
	if err != nil {
		return err
	}
	secrets, err := n.journal.KV(ctx, "secrets")
	if err != nil {
		return err
	}
	n.registry, err = registry.Open(ctx, registry.Config{
		Store: registry.Store{Config: config, Secrets: secrets}, Sealer: n.keys.seal, Node: n.cfg.Node.Name, Logger: n.part("registry"),
	})
	if err != nil {
		return fmt.Errorf("integrations: %w", err)
	}
	n.onClose(func(context.Context) { n.registry.Close() })
	return nil
}

// openIngress opens the ways in: for everybody's events, and for vendors' webhooks.
func (n *node) openIngress(ctx context.Context) error {
	var err error
	if n.ingest, err = ingest.New(ingest.Config{Log: n.journal, Metrics: n.metrics, Tracer: n.tracer, PerSecond: n.cfg.HTTP.PublishRate}); err != nil {
		return err
	}
	n.audit, err = audit.New(audit.Config{Log: n.journal, Node: n.cfg.Node.Name, Logger: n.part("audit"), Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.onClose(func(ctx context.Context) { n.warn("audit", n.audit.Close(ctx)) })
	seen, err := n.journal.KV(ctx, "seen")
	if err != nil {
		return err
	}
	n.webhooks, err = webhook.New(webhook.Config{
		Directory: webhook.Registry{From: n.registry}, Publisher: n.ingest, Seen: seen.Patient(), Auditor: n.audit,
		Peers: n.journal, Metrics: n.metrics, PerHour: n.cfg.Delivery.WebhooksPerHour,
	})
	if err != nil {
		return err
	}
	n.onClose(func(context.Context) { n.webhooks.Close() })
	return nil
}

func (n *node) openAPI(ctx context.Context) error {
	admin, err := access.NewConfigured("admin", n.keys.api)
	if err != nil {
		return fmt.Errorf("api.key: %w", err)
	}
	config, err := n.journal.KV(ctx, "config")
	if err != nil {
		return err
	}
	n.apiKeys, err = access.Open(ctx, access.Config{Bucket: config, Configured: []access.Configured{admin}, Logger: n.part("api keys"), Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.onClose(func(context.Context) { n.apiKeys.Close() })
	answers, err := n.journal.KV(ctx, "answers")
	if err != nil {
		return err
	}
	c := api.Config{
		Keys: n.apiKeys, Answers: answers.Patient(), Publisher: n.ingest, History: n.journal, Members: n.members, Drain: n.handOver, Dead: n.journal,
		Integrations: n.registry, Controls: n.registry, Mappings: n.registry, Engine: n.system, Auditor: n.audit,
		Analytics: func() api.Analytics {
			if books := n.records.books(); books != nil {
				return books
			}
			return nil
		},
		Clients: func() api.Clients { return n.clients },
		Node:    n.cfg.Node.Name, Version: readVersion().Version, Logger: n.part("api"),
	}
	if n.rotation != nil {
		c.ClusterKeys = n.rotation
	}
	n.api, err = api.New(c)
	return err
}

// openAdmin opens the admin page, before the API that it asks.
func (n *node) openAdmin(ctx context.Context) error {
	answers, err := n.journal.KV(ctx, "answers")
	if err != nil {
		return err
	}
	n.sessions, err = access.OpenSessions(ctx, access.SessionConfig{Bucket: answers, Keys: n.apiKeys, Logger: n.part("sessions")})
	if err != nil {
		return err
	}
	n.onClose(func(context.Context) { n.sessions.Close() })
	n.admin, err = admin.New(admin.Config{
		API: n.api, Sessions: n.sessions, Node: n.cfg.Node.Name, Version: readVersion().Version, Logger: n.part("admin"),
	})
	if err != nil {
		return err
	}
	n.onClose(func(ctx context.Context) { n.warn("admin page", n.admin.Shutdown(ctx)) })
	return nil
}

// openActors starts the actors. They take shards at once, before anybody can publish.
func (n *node) openActors(context.Context) error {
	d := n.cfg.Delivery
	allow, err := networks("delivery.allowPrivate", d.AllowPrivate)
	if err != nil {
		return err
	}
	sender := delivery.NewSender(delivery.SenderConfig{
		Guard: delivery.NewGuard(allow), UserAgent: "wedsync/" + readVersion().Version, MaxIdlePerHost: d.MaxConcurrentWebhooks,
	})
	n.onClose(func(context.Context) { sender.Close() })
	config := actors.Config{
		Node: n.cfg.Node.Name, Journal: n.journal, Registry: n.registry, Caller: sender, Placement: n.members,
		Logger: n.part("actors"), Metrics: n.metrics, Tracer: n.tracer,
		MaxInFlight: d.MaxConcurrentWebhooks, MaxHops: d.MaxHops, Timeout: d.Timeout, ParkLimit: d.ParkLimit,
		Breaker: delivery.BreakerConfig{Threshold: d.BreakerFailures, OpenFor: d.BreakerWait, MaxOpenFor: d.BreakerMaxWait},
		Retry:   delivery.RetryPolicy{Waits: d.RetryWaits},
	}
	if n.peers != nil {
		config.Peers = n.peers
	}
	n.system, err = actors.New(config)
	if err != nil {
		return err
	}
	n.system.Start()
	n.onClose(func(ctx context.Context) { n.warn("actors", n.system.Stop(ctx)) })
	return nil
}

func (n *node) openClients(context.Context) error {
	c := n.cfg.WS
	var others ws.Nodes
	if n.peers != nil {
		others = edges{n.peers, n.journal, n.members, n.cfg.Node.Name}
	}
	proxies, err := networks("ws.trustedProxies", c.TrustedProxies)
	if err != nil {
		return err
	}
	n.clients, err = ws.New(ws.Config{
		Log: n.journal, Publisher: n.ingest, Nodes: others, AllowedOrigins: c.Origins,
		TokenKeys: n.keys.token, PublicKeys: c.PublicKeys, JWKS: c.JWKS, Issuer: c.Issuer, Audience: c.Audience, RPC: c.RPC, Insecure: c.Insecure,
		Version: readVersion().Version, PingInterval: c.PingInterval, MaxConnections: c.MaxClients,
		MaxSubscriptions: c.MaxSubscriptions, MaxMessageBytes: int(c.MaxMessage), QueueBytes: int(c.ClientBuffer), Deflate: c.Deflate,
		MaxPerAddress: c.MaxPerAddress, MaxPerUser: c.MaxPerUser, TrustedProxies: proxies, DrainTime: min(c.DrainTime, n.cfg.Shutdown/4),
		Registerer: n.metrics, Logger: n.part("ws"),
	})
	if err != nil {
		return err
	}
	n.onClose(func(ctx context.Context) { n.warn("websocket clients", n.clients.Shutdown(ctx)) })
	return nil
}

func networks(key string, texts []string) ([]netip.Prefix, error) {
	all := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		all = append(all, prefix)
	}
	return all, nil
}

// openServer begins to serve; everything is there by now.
func (n *node) openServer(ctx context.Context) error {
	var err error
	n.server, err = edge.New(edge.Config{
		Addr: n.cfg.HTTP.Addr, AllowPublic: n.cfg.HTTP.AllowPublic,
		Mounts: []edge.Mount{n.webhooks.Mount, n.api.Mount, n.admin.Mount, n.clients.Mount}, WebSocket: n.clients,
		Gatherer: n.metrics, Metrics: n.metrics, Tracer: n.tracer, Checks: n.checks(),
		MaxConns: n.cfg.WS.MaxClients + otherConns, Logger: n.part("http"),
	})
	if err != nil {
		return err
	}
	if n.addr, err = n.server.Start(ctx); err != nil {
		return fmt.Errorf("http.addr: %w", err)
	}
	n.onClose(func(ctx context.Context) { n.warn("http", n.server.Shutdown(ctx)) })
	return nil
}

// otherConns are connections besides those of WebSocket clients.
const otherConns = 2000

// checks are what /readyz tells of.
func (n *node) checks() []edge.Check {
	checks := []edge.Check{
		{Name: "log", Vital: true, State: func(ctx context.Context) string {
			err := n.journal.Failed()
			if err == nil {
				_, _, err = n.journal.Bounds(ctx)
			}
			if err != nil {
				return err.Error()
			}
			return ""
		}},
		{Name: "shards", Vital: true, State: func(context.Context) string {
			if held, wanted := n.system.Ready(); held != wanted {
				return fmt.Sprintf("%d of %d are held", held, wanted)
			}
			return ""
		}},
		{Name: "clickhouse", State: func(context.Context) string { return n.records.trouble() }},
	}
	if n.gossip != nil {
		checks = append(checks, edge.Check{Name: "copies", State: n.copiesTrouble})
	}
	return checks
}

func (n *node) part(name string) zerolog.Logger { return n.log.With().Str("part", name).Logger() }

// warn logs what closing a part returned.
func (n *node) warn(part string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.log.Warn().Err(err).Str("part", part).Msg("closing")
	}
}
