package load

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wedsync/wedsync/analytics/embedded"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// Target is the cluster that a run is against.
type Target struct {
	nodes []*node
	// ClickHouse is where its records go; "": only its API is asked.
	clickhouse string
	token      func(context.Context) (string, error) // of clients; nil: none is needed
	database   *embedded.Server
	dir        string
}

// node is one of the target's.
type node struct {
	name, url, host string
	api             *nodeproc.Client
	proc            *nodeproc.Node // nil: it was not started for the run
	cfg             nodeproc.Config
	log             *os.File // what it said
	edge            bool     // it serves clients, and that is all
}

// External names a cluster that is there.
type External struct {
	Addresses  []string // such as http://127.0.0.1:8080
	Key        string   // API key
	ClickHouse string   // DSN; "": only the nodes' API is asked
	Token      func(context.Context) (string, error)
}

// Reach returns a target of nodes that are there.
func Reach(e External) (*Target, error) {
	t := &Target{clickhouse: e.ClickHouse, token: e.Token}
	for _, address := range e.Addresses {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%q is no address of a node; write it like http://127.0.0.1:8080", address)
		}
		host := u.Host
		if u.Port() == "" {
			host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
		}
		t.nodes = append(t.nodes, &node{name: u.Host, url: address, host: host, api: nodeproc.NewClient(strings.TrimSuffix(address, "/"), e.Key)})
	}
	return t, nil
}

// Local says how to start nodes on this machine.
type Local struct {
	Nodes  int      // that hold the log: one of LocalNodes. Beside several, an edge is started
	Binary string   // wedsync's
	Env    []string // of the nodes, besides this process's
}

// LocalNodes are how many nodes may be started.
func LocalNodes() []int { return []int{1, 3, 5} }

// Start starts nodes, with a profile's settings, and a ClickHouse for them. Close ends them.
func Start(ctx context.Context, l Local, settings map[string]string) (_ *Target, err error) {
	t := &Target{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	if t.dir, err = os.MkdirTemp("", "wedsync-load-"); err != nil {
		return nil, err
	}
	if t.database, err = embedded.Start(ctx, embedded.Config{Dir: t.dir}); err != nil {
		return nil, err
	}
	t.clickhouse = t.database.DSN()
	flags := []string{
		"--insecure", "--clickhouse", t.clickhouse, "--log-level", "error",
		"--set", "delivery.allowPrivate=127.0.0.0/8", "--set", "delivery.webhooksPerHour=1000000",
	}
	for key, value := range settings {
		flags = append(flags, "--set", key+"="+value)
	}
	if err := t.design(l, flags); err != nil {
		return nil, err
	}
	for _, n := range t.nodes {
		if n.proc, err = nodeproc.Start(n.cfg); err != nil {
			return nil, err
		}
	}
	for _, n := range t.nodes {
		if err := n.await(ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// design says what each node is started with.
func (t *Target) design(l Local, flags []string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it does not fail
	var binds, seeds []string
	for range l.Nodes + 1 {
		bind, err := nodeproc.FreeBind()
		if err != nil {
			return err
		}
		binds = append(binds, bind)
	}
	seeds = binds[:l.Nodes]
	for i := range l.Nodes + 1 {
		n := &node{name: fmt.Sprintf("node-%d", i+1), edge: i == l.Nodes}
		if n.edge {
			n.name = "edge-1"
		}
		addr, err := nodeproc.FreeAddress()
		if err != nil {
			return err
		}
		own := append(slices.Clone(flags), "--name", n.name)
		if l.Nodes > 1 {
			own = append(own, "--bind", binds[i], "--join", strings.Join(seeds, ","), "--cluster-key", base64.StdEncoding.EncodeToString(key))
		} else if n.edge {
			break // one node is alone
		}
		if n.edge {
			own = append(own, "--set", "cluster.roles=edge")
		}
		log, err := os.Create(filepath.Join(t.dir, n.name+".log"))
		if err != nil {
			return err
		}
		n.log = log
		n.cfg = nodeproc.Config{Binary: l.Binary, Dir: filepath.Join(t.dir, n.name), Addr: addr, Flags: own, Env: l.Env, Stderr: log}
		n.host, n.url = addr, "http://"+addr
		t.nodes = append(t.nodes, n)
	}
	return nil
}

// startWithin is how long a node may take to be ready.
const startWithin = time.Minute

func (n *node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := n.proc.Ready(ctx); err != nil {
		said, _ := os.ReadFile(n.log.Name())
		return fmt.Errorf("%s: %w\n%s", n.name, err, said)
	}
	if n.api != nil {
		return nil
	}
	var err error
	n.api, err = n.proc.Client()
	return err
}

// Close ends what was started.
func (t *Target) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for _, n := range slices.Backward(t.nodes) {
		if n.proc != nil {
			n.proc.Kill() // its data goes with it
		}
		if n.log != nil {
			errs = append(errs, n.log.Close())
		}
		if n.api != nil {
			n.api.Close()
		}
	}
	if t.database != nil {
		errs = append(errs, t.database.Stop(ctx))
	}
	if t.dir != "" {
		errs = append(errs, os.RemoveAll(t.dir))
	}
	return errors.Join(errs...)
}
