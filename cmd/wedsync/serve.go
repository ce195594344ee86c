package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

type serveCmd struct {
	Config      string   `short:"c" help:"Configuration file. Default: wedsync.yaml, if there is one." env:"WEDSYNC_CONFIG" placeholder:"FILE"`
	Addr        *string  `help:"Address to listen on; port 0 takes a free one (http.addr, 127.0.0.1:8080)." placeholder:"HOST:PORT"`
	AllowPublic *bool    `help:"Listen on addresses that other machines can reach (http.allowPublic)."`
	Data        *string  `help:"Folder of the node's data (data, ./data)." placeholder:"DIR"`
	Name        *string  `help:"The node's name (node.name, the host's)." placeholder:"NAME"`
	Bind        *string  `help:"Address at which other nodes of a cluster find this one; it and the two ports after it are taken (cluster.bind)." placeholder:"HOST:PORT"`
	Join        *string  `help:"The core nodes of the cluster, by their --bind: 3 or 5 (cluster.join)." placeholder:"HOST:PORT,..."`
	ClusterKey  *string  `help:"Key that the cluster's nodes share (cluster.key); better given as WEDSYNC_CLUSTER_KEY." placeholder:"KEY"`
	Roles       *string  `help:"What the node does in a cluster: core, edge or both (cluster.roles, core,edge)." placeholder:"ROLES"`
	ClickHouse  *string  `name:"clickhouse" help:"Where records go: auto, embedded, off or an address (clickhouse.dsn, auto)." placeholder:"DSN"`
	Insecure    *bool    `help:"Let WebSocket clients in without a token, for development (ws.insecure)."`
	LogLevel    *string  `help:"trace, debug, info, warn or error (logging.level, info)." placeholder:"LEVEL"`
	LogFormat   *string  `help:"auto, console or json (logging.format, auto)." placeholder:"FORMAT"`
	Set         []string `help:"Set any key of the configuration, such as --set log.syncAlways=true." placeholder:"KEY=VALUE" sep:"none"`
}

func (serveCmd) Help() string {
	return `Without arguments the node listens on 127.0.0.1:8080, keeps its data in ./data and makes the keys it
needs there. Each key of the configuration can be set in a file, in the environment (WEDSYNC_HTTP_ADDR
for http.addr) and with --set; the flags are short for the common ones. The file
wedsync.example.yaml describes every key.

SIGTERM stops it in order: calls in flight are finished or given back. A second one ends it at once.`
}

// values returns what the flags set.
func (c serveCmd) values() ([]flagValue, error) {
	var values []flagValue
	for _, set := range c.Set {
		key, value, ok := strings.Cut(set, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("--set %s: write it like --set http.addr=127.0.0.1:8080", set)}
		}
		values = append(values, flagValue{key, value, "--set"})
	}
	text := func(key, flag string, value *string) {
		if value != nil {
			values = append(values, flagValue{key, *value, flag})
		}
	}
	truth := func(key, flag string, value *bool) {
		if value != nil {
			values = append(values, flagValue{key, strconv.FormatBool(*value), flag})
		}
	}
	text("http.addr", "--addr", c.Addr)
	truth("http.allowPublic", "--allow-public", c.AllowPublic)
	text("data", "--data", c.Data)
	text("node.name", "--name", c.Name)
	text("cluster.bind", "--bind", c.Bind)
	text("cluster.join", "--join", c.Join)
	text("cluster.key", "--cluster-key", c.ClusterKey)
	text("cluster.roles", "--roles", c.Roles)
	text("clickhouse.dsn", "--clickhouse", c.ClickHouse)
	truth("ws.insecure", "--insecure", c.Insecure)
	text("logging.level", "--log-level", c.LogLevel)
	text("logging.format", "--log-format", c.LogFormat)
	return values, nil
}

// load returns the configuration that flags, environment and file make.
func (c serveCmd) load(w world) (Config, error) {
	flags, err := c.values()
	if err != nil {
		return Config{}, err
	}
	return loadConfig(c.Config, w.environ, flags)
}

func (c serveCmd) Run(ctx context.Context, w world) error {
	cfg, err := c.load(w)
	if err != nil {
		return err
	}
	go keepHeap(ctx)
	n := newNode(cfg, newLogger(w, cfg.Logging))
	if err := n.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-n.Done(): // something it cannot do without has ended
	}
	return n.Stop()
}
