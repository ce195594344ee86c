package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wedsync/wedsync/loadtest/demo"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

type demoCmd struct {
	SDK     string        `name:"sdk" help:"Folder with the centrifuge JavaScript SDK; where it or node is missing, the couple uses the Go client." default:"loadtest/js" placeholder:"DIR"`
	Keep    string        `help:"Keep the node's data in this folder; otherwise it is removed." placeholder:"DIR"`
	Timeout time.Duration `help:"End after this." default:"2m"`
	Verbose bool          `help:"Show the node's log."`
}

func (demoCmd) Help() string {
	return `Starts a node, ClickHouse and a simulator of each vendor on 127.0.0.1, plays three wedding scenes, shows
the deliveries as ClickHouse has them, and ends with one line of JSON. It fails if anything that was
due did not arrive.`
}

func (c demoCmd) Run(ctx context.Context, w world, p printer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	dir := c.Keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "wedsync-demo-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	told, colour := w.stdout, w.colours(w.stdout)
	if p.json {
		told = io.Discard
	}
	n, store, err := c.startNode(ctx, w, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Stop()) }()

	receipts := &demo.Receipts{}
	sims, err := vendors.StartAll(ctx, vendors.Config{Notify: receipts.Add})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sims.Close()) }()
	result, err := demo.Run(ctx, demo.Config{
		Node: n.asSeen(), ClickHouse: store, Vendors: sims, Receipts: receipts, SDK: c.sdk(), Out: told, Colour: colour,
	})
	if result.Scenes > 0 {
		err = errors.Join(err, p.line(result))
	}
	return err
}

// startNode starts a node with everything at hand that the scenes need, and waits for ClickHouse.
func (c demoCmd) startNode(ctx context.Context, w world, dir string) (*node, demo.ClickHouse, error) {
	level := "error"
	if c.Verbose {
		level = "debug"
	}
	// Neither a wedsync.yaml that is there nor the environment is meant for the demo.
	cfg, err := loadConfig(os.DevNull, nil, []flagValue{
		{"data", filepath.Join(dir, "data"), "demo"},
		{"http.addr", "127.0.0.1:0", "demo"},
		{"node.name", "demo", "demo"},
		{"clickhouse.dsn", clickhouseEmbedded, "demo"},
		{"logging.level", level, "demo"},
		{"delivery.allowPrivate", "127.0.0.0/8", "demo"},
		// Shorter than a node's own, so that an outage can be watched.
		{"delivery.retryWaits", "200ms,400ms,800ms", "demo"},
		{"delivery.breakerWait", "1500ms", "demo"},
	})
	if err != nil {
		return nil, nil, err
	}
	n := newNode(cfg, newLogger(w, cfg.Logging))
	if err := n.Start(ctx); err != nil {
		return nil, nil, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if store := n.records.current(); store != nil {
			return n, store, nil
		}
		select {
		case <-tick.C:
		case <-n.Done():
			return nil, nil, n.Stop()
		case <-ctx.Done():
			return nil, nil, errors.Join(fmt.Errorf("ClickHouse did not start: %w", ctx.Err()), n.Stop())
		}
	}
}

// asSeen is the node as others reach it.
func (n *node) asSeen() demo.Node {
	flags := nodeFlags{Addr: n.URL(), Key: n.keys.api.Reveal()}
	return demo.Node{
		URL: n.URL(),
		Call: func(ctx context.Context, method, path string, in any) (json.RawMessage, error) {
			c, err := flags.client()
			if err != nil {
				return nil, err
			}
			return c.call(ctx, method, path, nil, in)
		},
		Token: func(user string, subscribe, publish []string) (string, error) {
			return mint(n.keys.token[0], user, subscribe, publish, time.Now())
		},
	}
}

// sdk is the folder of the JavaScript SDK, or "" where it cannot be used.
func (c demoCmd) sdk() string {
	if _, err := exec.LookPath("node"); err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(c.SDK, "node_modules", "centrifuge")); err != nil {
		return ""
	}
	return c.SDK
}
