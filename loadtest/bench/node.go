package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

type bench struct {
	binary string
	env    []string // of its nodes: NAME=value
}

// node is a wedsync process under measurement.
type node struct {
	*nodeproc.Node
	api   *nodeproc.Client
	dir   string
	flags []string
	up    time.Duration // from its start until it was ready
}

// start starts a node with an empty store and without ClickHouse, and waits until it is ready.
func (b *bench) start(ctx context.Context, more ...string) (*node, error) {
	n, err := b.launch(more...)
	if err != nil {
		return nil, err
	}
	if err := n.await(ctx); err != nil {
		return nil, errors.Join(err, n.stop(ctx))
	}
	return n, nil
}

// launch starts a node and returns at once.
func (b *bench) launch(more ...string) (_ *node, err error) {
	n := &node{}
	if n.dir, err = os.MkdirTemp("", "wedsync-bench-*"); err != nil {
		return nil, err
	}
	n.flags = append([]string{"--clickhouse", "off", "--log-level", "error", "--insecure", "--set", "delivery.allowPrivate=127.0.0.0/8"}, more...)
	if n.Node, err = nodeproc.Start(nodeproc.Config{Binary: b.binary, Dir: n.dir, Flags: n.flags, Env: b.env, Stderr: os.Stderr}); err != nil {
		return nil, errors.Join(err, os.RemoveAll(n.dir))
	}
	return n, nil
}

// again starts the node again that has ended, at its address and with its data.
func (n *node) again(ctx context.Context, b *bench) error {
	addr, err := n.address()
	if err != nil {
		return err
	}
	if n.Node, err = nodeproc.Start(nodeproc.Config{Binary: b.binary, Dir: n.dir, Addr: addr, Flags: n.flags, Env: b.env, Stderr: os.Stderr}); err != nil {
		return err
	}
	return n.await(ctx)
}

// await waits until the node is ready.
func (n *node) await(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := n.Ready(limited)
	if err == nil {
		n.up = time.Since(n.Started())
		n.api, err = n.Client()
	}
	return err
}

// stop ends the node and removes its data.
func (n *node) stop(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return errors.Join(n.Stop(limited), os.RemoveAll(n.dir))
}

const signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// connect adds an integration that calls the address, for the supplier of the same name.
func (n *node) connect(ctx context.Context, id, address string) error {
	return n.api.Connect(ctx, event.Integration{
		ID: id, Vendor: "studiocloud", Owner: map[string]string{"supplierId": id}, Settings: json.RawMessage(fmt.Sprintf(`{"url":%q}`, address)),
	}, secrets())
}

// connectMany adds so many: s0, s1 and so on, 32 at once.
func (n *node) connectMany(ctx context.Context, count int, address string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for i := range count {
		g.Go(func() error { return n.connect(ctx, "s"+strconv.Itoa(i), address) })
	}
	return g.Wait()
}

func secrets() event.Secrets {
	secret := event.SecretOf(signing)
	return event.Secrets{"signing": {secret}, "webhook": {secret}}
}

func (n *node) mapAll(ctx context.Context) error {
	return n.api.Map(ctx, event.Mapping{
		ID: "all", Pattern: "supplier:dashboard:{supplierId}:**", Targets: []event.Target{{Category: event.PhotographyCRM}},
	})
}

// eventBody is an event of some 300 bytes.
func eventBody(id string) string {
	return fmt.Sprintf(`{"id":%q,"type":"timeline.updated","payload":{"coupleId":"cpl_7Qm2x","coupleName":"Amélie & Jonas",`+
		`"venue":"Château de Vaux, Orangerie","ceremonyTime":"2027-06-19T16:00:00+02:00","previousCeremonyTime":"2027-06-19T15:00:00+02:00",`+
		`"notes":"Grandmother Odile needs step-free access."}}`, id)
}

// publish appends an event for a supplier.
func (n *node) publish(ctx context.Context, supplier, lane, id string) error {
	return n.api.Publish(ctx, "supplier:dashboard:"+supplier+":"+lane, []byte(eventBody(id)))
}

// address is where the node listens.
func (n *node) address() (string, error) {
	u, err := url.Parse(n.URL())
	if err != nil {
		return "", err
	}
	return u.Host, nil
}

// rss is the node's resident memory in MB.
func (n *node) rss() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb / 1024, err
		}
	}
	return 0, errors.New("no VmRSS")
}

// cpu is the processor time that the node has used. Linux counts it in hundredths of a second.
func (n *node) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.PID()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		t, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += t
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// ownCPU is the processor time of this process: load and vendor.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
