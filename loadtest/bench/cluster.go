package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// trio is a cluster of three nodes on this machine.
type trio []*node

// startTrio starts three nodes with empty stores together and waits until all are ready.
func (b *bench) startTrio(ctx context.Context) (_ trio, err error) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	var seeds []string
	for range 3 {
		seed, err := nodeproc.FreeBind()
		if err != nil {
			return nil, err
		}
		seeds = append(seeds, seed)
	}
	var t trio
	for i, seed := range seeds {
		n, err := b.launch("--name", "n"+strconv.Itoa(i+1), "--bind", seed, "--join", strings.Join(seeds, ","),
			"--cluster-key", base64.StdEncoding.EncodeToString(raw))
		if err != nil {
			return nil, errors.Join(err, t.stop(ctx))
		}
		t = append(t, n)
	}
	for _, n := range t {
		if err := n.await(ctx); err != nil {
			return nil, errors.Join(err, t.stop(ctx))
		}
	}
	return t, nil
}

func (t trio) stop(ctx context.Context) error {
	var errs []error
	for _, n := range t {
		errs = append(errs, n.stop(ctx))
	}
	return errors.Join(errs...)
}

// clustered compares three nodes on this machine with one alone.
func clustered(ctx context.Context, b *bench) ([]row, error) {
	const events = 30_000
	alone, err := b.alone(ctx, events)
	if err != nil {
		return nil, err
	}
	safe, err := b.alone(ctx, events/3, "--set", "log.syncAlways=true")
	if err != nil {
		return nil, err
	}
	t, err := b.startTrio(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.stop(context.WithoutCancel(ctx)) }()
	idle, err := t.idle(ctx)
	if err != nil {
		return nil, err
	}
	v, err := startVendor(ctx, false)
	if err != nil {
		return nil, err
	}
	defer v.close()
	if err := t[0].connectAll(ctx, v); err != nil {
		return nil, err
	}
	together, err := sustain(ctx, v, events, t...)
	if err != nil {
		return nil, err
	}
	return append(idle,
		row{"one node: accepted by HTTP and delivered, sustained", alone.String(), ""},
		row{"one node that syncs before it answers, as a cluster does: likewise", safe.String(), ""},
		row{"three nodes, three copies: likewise", together.String(), ""},
		row{"three nodes' rate, as a part of one node's", fmt.Sprintf("%.2f", together.rate/alone.rate), ">= 0.5"},
		row{"processor time per 1,000: one node, three nodes", fmt.Sprintf("%.2f s, %.2f s", alone.nodes, together.nodes), ""},
	), nil
}

func (b *bench) alone(ctx context.Context, events int64, more ...string) (sustained, error) {
	n, v, err := b.connected(ctx, false, more...)
	if err != nil {
		return sustained{}, err
	}
	defer v.close()
	s, err := sustain(ctx, v, events, n)
	return s, errors.Join(err, n.stop(ctx))
}

// idle measures nodes that have nothing to do.
func (t trio) idle(ctx context.Context) ([]row, error) {
	const settle, watch = 5 * time.Second, 20 * time.Second
	if err := nodeproc.Sleep(ctx, settle); err != nil {
		return nil, err
	}
	before, err := allCPU(t)
	if err != nil {
		return nil, err
	}
	if err := nodeproc.Sleep(ctx, watch); err != nil {
		return nil, err
	}
	after, err := allCPU(t)
	if err != nil {
		return nil, err
	}
	var most float64
	for _, n := range t {
		mb, err := n.rss()
		if err != nil {
			return nil, err
		}
		most = max(most, mb)
	}
	return []row{
		{"idle cluster node: resident memory, the largest of three", fmt.Sprintf("%.0f MB", most), "< 100 MB"},
		{"idle cluster node: part of a core, on average", fmt.Sprintf("%.1f %%", 100*(after-before).Seconds()/float64(len(t))/watch.Seconds()), "< 3 %"},
	}, nil
}
