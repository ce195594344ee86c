package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

var integrations = []string{"crm", "venue", "planner"}

// stage is the cluster, and the vendors that it calls.
type stage struct {
	net    *network
	binary string        // of nodes that are started from now on
	runs   [nodes]string // the binary of each
	dir    string
	key    string // of the cluster
	sink   *http.Server
	url    string // of the vendors
	// arrived gets something when a vendor or a subscriber did.
	arrived chan struct{}

	mu       sync.Mutex
	disks    [nodes]*disk
	nodes    [nodes]*nodeproc.Node
	clients  [nodes]*nodeproc.Client
	receipts []checker.Receipt
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
	if err := s.openSink(ctx); err != nil {
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
	if s.sink != nil {
		_ = s.sink.Close()
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
	var seeds []string
	for k := range nodes {
		seeds = append(seeds, s.net.addr(k)+":7946")
	}
	log, err := os.OpenFile(filepath.Join(s.dir, nodeName(i)+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := nodeproc.Start(nodeproc.Config{
		Prefix: []string{"ip", "netns", "exec", s.net.namespace(i)}, Binary: s.runs[i],
		Dir: s.data(i), Addr: s.net.addr(i) + ":8080", Stderr: log,
		Flags: []string{
			"--name", nodeName(i), "--bind", seeds[i], "--join", strings.Join(seeds, ","), "--cluster-key", s.key,
			"--allow-public", "--insecure", "--clickhouse", "off", "--log-format", "json",
			"--set", fmt.Sprintf("delivery.allowPrivate=10.77.%d.0/24", s.net.subnet),
		},
	})
	_ = log.Close() // the process has its own
	s.nodes[i] = n
	return err
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

// connect makes the integrations, each a vendor of its own at the sink.
func (s *stage) connect(ctx context.Context) error {
	secret := event.SecretOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	var targets []event.Target
	for _, id := range integrations {
		in := event.Integration{ID: id, Vendor: "webhook", Category: event.ProjectManagement, Settings: json.RawMessage(fmt.Sprintf(`{"url":%q}`, s.url+"/"+id))}
		if err := s.clients[0].Connect(ctx, in, event.Secrets{"signing": {secret}, "webhook": {secret}}); err != nil {
			return err
		}
		targets = append(targets, event.Target{Integration: id})
	}
	if err := s.clients[0].Map(ctx, event.Mapping{ID: "all", Pattern: "supplier:dashboard:{supplierId}", Targets: targets}); err != nil {
		return err
	}
	return s.clients[0].Publish(ctx, "chaos:begins", []byte(`{"type":"chaos.begins","payload":{}}`)) // see load.behind
}

// openSink is where the vendors are. It takes whatever is sent.
func (s *stage) openSink(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.net.host()+":0")
	if err != nil {
		return err
	}
	s.url = "http://" + l.Addr().String()
	s.sink = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent struct{ ID, Channel string }
		if err != nil || json.Unmarshal(body, &sent) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.arrival()
		s.mu.Lock()
		s.receipts = append(s.receipts, checker.Receipt{
			Integration: strings.Trim(r.URL.Path, "/"), Channel: sent.Channel, EventID: sent.ID, DeliveryID: r.Header.Get("webhook-id"), At: time.Now(),
		})
		s.mu.Unlock()
	})}
	go func() { _ = s.sink.Serve(l) }() // until close
	return nil
}

func (s *stage) arrival() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// received returns what vendors got on channels of a round.
func (s *stage) received(round string) []checker.Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var got []checker.Receipt
	for _, r := range s.receipts {
		if strings.HasPrefix(r.Channel, "supplier:dashboard:"+round) {
			got = append(got, r)
		}
	}
	return got
}
