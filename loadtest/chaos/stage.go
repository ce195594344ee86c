package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// stage is the cluster, and the vendors that it calls.
type stage struct {
	net    *network
	binary string        // of nodes that are started from now on
	jumpy  string        // one whose clock can be wrong
	runs   [nodes]string // the binary of each
	dir    string
	key    string // of the cluster
	sims   *vendors.Set

	database *database
	// arrived gets something when a vendor or a subscriber did.
	arrived chan struct{}

	mu       sync.Mutex
	guests   int // that have joined so far
	disks    [nodes]*disk
	nodes    [nodes]*nodeproc.Node
	clients  [nodes]*nodeproc.Client
	receipts []checker.Receipt
	strange  []string // calls that vendors refused, or whose event is not to be seen
}

func newStage(ctx context.Context, before, binary, dir string, rng *rand.Rand) (_ *stage, err error) {
	s := &stage{binary: binary, dir: dir, arrived: make(chan struct{}, 1)}
	for i := range s.runs {
		s.runs[i] = before
	}
	if s.net, err = newNetwork(ctx); err != nil {
		return nil, err
	}
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(rng.IntN(256))
	}
	s.key = base64.StdEncoding.EncodeToString(raw)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.sims, err = vendors.StartAll(ctx, vendors.Config{Host: s.net.host(), Keep: 1, Notify: s.received}); err != nil {
		return nil, err
	}
	if s.database, err = openDatabase(ctx, dir, s.net.host()); err != nil {
		return nil, err
	}
	for i := range nodes {
		if s.disks[i], err = newDisk(ctx, s.data(i), s.net.namespace(i)); err != nil {
			return nil, err
		}
		if err := s.start(i); err != nil {
			return nil, err
		}
	}
	for i := range nodes {
		if err := s.ready(ctx, i); err != nil {
			return nil, err
		}
	}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *stage) close() {
	for _, n := range s.nodes {
		if n != nil {
			n.Kill()
		}
	}
	if s.sims != nil {
		_ = s.sims.Close()
	}
	if s.database != nil {
		s.database.close()
	}
	for _, d := range s.disks {
		if d != nil {
			d.remove()
		}
	}
	s.net.remove()
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

// nodeIndex is which of the three nodes has a name; -1: none.
func nodeIndex(name string) int {
	for i := range nodes {
		if nodeName(i) == name {
			return i
		}
	}
	return -1
}

// data is a node's data folder.
func (s *stage) data(i int) string { return filepath.Join(s.dir, nodeName(i)) }

// start starts a node on the data that it has.
func (s *stage) start(i int) error {
	n, err := s.launch(i, nodeName(i), s.runs[i])
	s.nodes[i] = n
	return err
}

// launch starts a node at a place of the network.
func (s *stage) launch(place int, name, binary string) (*nodeproc.Node, error) {
	var seeds []string
	for k := range nodes {
		seeds = append(seeds, s.net.addr(k)+":7946")
	}
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	return nodeproc.Start(nodeproc.Config{
		Prefix: []string{"ip", "netns", "exec", s.net.namespace(place)}, Binary: binary,
		Dir: filepath.Join(s.dir, name), Addr: s.net.addr(place) + ":8080", Stderr: log,
		Env: []string{clockEnv + "=" + s.clock(name)},
		Flags: []string{
			"--name", name, "--bind", s.net.addr(place) + ":7946", "--join", strings.Join(seeds, ","), "--cluster-key", s.key,
			"--allow-public", "--insecure", "--clickhouse", s.database.dsn, "--log-format", "json",
			"--set", fmt.Sprintf("delivery.allowPrivate=10.77.%d.0/24", s.net.subnet),
		},
	})
}

func (s *stage) ready(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := s.nodes[i].Ready(ctx); err != nil {
		return fmt.Errorf("node %s: %w", nodeName(i), err)
	}
	c, err := s.nodes[i].Client()
	if err != nil {
		return err
	}
	c.HTTP = &http.Client{Timeout: 25 * time.Second, Transport: &http.Transport{
		MaxIdleConnsPerHost: 32, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[i] == nil {
		s.clients[i] = c
	}
	return nil
}
