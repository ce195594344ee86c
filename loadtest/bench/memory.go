package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// idle measures the start and the memory of a node with nothing to do.
func idle(ctx context.Context, b *bench) ([]row, error) {
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	settle := time.NewTimer(5 * time.Second) // until the start's garbage has been given back
	defer settle.Stop()
	select {
	case <-settle.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	mb, err := n.rss()
	return []row{
		{"start to ready, empty store", n.up.Round(time.Millisecond).String(), "< 1 s"},
		{"idle node, resident memory", fmt.Sprintf("%.0f MB", mb), "< 80 MB"},
	}, err
}

// configured measures a node with 100,000 integrations, 1,000 of which get events.
func configured(ctx context.Context, b *bench) ([]row, error) {
	v, err := startVendor(ctx, false)
	if err != nil {
		return nil, err
	}
	defer v.close()
	n, err := b.start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = n.stop(context.WithoutCancel(ctx)) }()
	const integrations, active = 100_000, 1_000
	if err := n.connectMany(ctx, integrations, v.url); err != nil {
		return nil, err
	}
	if err := n.mapAll(ctx); err != nil {
		return nil, err
	}
	for round := range 10 {
		for i := range active {
			if err := n.publish(ctx, "s"+strconv.Itoa(i), "x", fmt.Sprintf("r%d-%d", round, i)); err != nil {
				return nil, err
			}
		}
	}
	if err := v.wait(ctx, 10*active); err != nil {
		return nil, err
	}
	mb, err := n.rss()
	return []row{{"100,000 integrations configured, 1,000 active, resident memory", fmt.Sprintf("%.0f MB", mb), "< 400 MB"}}, err
}
