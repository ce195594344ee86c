package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	adminIntegrations = 10_000
	adminRate         = 1_000 // deliveries a second
	overviewPage      = "/admin/integrations/channels"
)

// adminPages measures the admin page of a node with 10,000 integrations, 100 of which get 1,000 deliveries a second.
func adminPages(ctx context.Context, b *bench) ([]row, error) {
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
	if err := n.connectMany(ctx, adminIntegrations, v.url); err != nil {
		return nil, err
	}
	if err := n.mapAll(ctx); err != nil {
		return nil, err
	}
	rows, err := n.browsed(ctx)
	if err != nil {
		return nil, err
	}
	more, err := n.lookedAt(ctx, v)
	return append(rows, more...), err
}

// adminPage is one to be opened, and what is looked at.
type adminPage struct {
	Name  string `json:"name"`
	Path  string `json:"path"`
	Find  string `json:"find,omitempty"`  // is searched for, and found alone
	Watch int    `json:"watch,omitempty"` // seconds that it stays open
}

// looked is what loadtest/js/admin-bench.mjs tells of a page.
type looked struct {
	Name         string
	Bytes        float64
	Ready        float64 // ms
	Updates      float64
	Find, Filter float64 // ms
}

// most returns the one of which it is the most.
func most(all []looked, of func(looked) float64) looked {
	return slices.MaxFunc(all, func(a, b looked) int { return cmp.Compare(of(a), of(b)) })
}

// browsed opens pages in Chromium: all once, and those that change while events come.
func (n *node) browsed(ctx context.Context) ([]row, error) {
	all, err := n.browse(ctx, []adminPage{
		{Name: "overview", Path: overviewPage, Find: "s7777"},
		{Name: "integration", Path: "/admin/integration/s7"},
		{Name: "SLO", Path: "/admin/slo"},
		{Name: "channel", Path: "/admin/channel/supplier:dashboard:s7:x"},
		{Name: "connecting", Path: "/admin/connect?vendor=whatsapp"},
		{Name: "mapping", Path: "/admin/mapping/all"},
		{Name: "cluster", Path: "/admin/cluster"},
	})
	if err != nil {
		return nil, err
	}
	var busy []looked
	err = n.during(ctx, func(i int) string { return "supplier:dashboard:s" + strconv.Itoa(i%suppliers) + ":x" }, func() (err error) {
		busy, err = n.browse(ctx, []adminPage{
			{Name: "overview", Path: overviewPage, Watch: 5}, {Name: "integration", Path: "/admin/integration/s7", Watch: 5}, {Name: "SLO", Path: "/admin/slo", Watch: 5},
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = n.during(ctx, func(int) string { return "bench:tail" }, func() error {
		tail, err := n.browse(ctx, []adminPage{{Name: "a channel's tail", Path: "/admin/channel/bench:tail", Watch: 5}})
		busy = append(busy, tail...)
		return err
	})
	if err != nil {
		return nil, err
	}
	largest, slowest := most(all, func(p looked) float64 { return p.Bytes }), most(all, func(p looked) float64 { return p.Ready })
	liveliest, overview := most(busy, func(p looked) float64 { return p.Updates }), all[0]
	return []row{
		{"admin page with 10,000 integrations, transferred in all", fmt.Sprintf("%.0f KB, %.0f KB of %s", overview.Bytes/1000, largest.Bytes/1000, largest.Name), "< 150 KB"},
		{"admin page with 10,000 integrations, until it can be used", fmt.Sprintf("%.0f ms, %.0f ms of %s", overview.Ready, slowest.Ready, slowest.Name), "< 1 s"},
		{"admin page with 10,000 integrations, one found, filtered by state", fmt.Sprintf("%.0f ms, %.0f ms", overview.Find, overview.Filter), ""},
		{"admin page at 1,000 events/s, changed within a second", fmt.Sprintf("at most %.0f times (%s)", liveliest.Updates, liveliest.Name), "<= 10 times"},
	}, nil
}

// during publishes 1,000 events a second while something is done.
func (n *node) during(ctx context.Context, channel func(i int) string, do func() error) error {
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	published := make(chan error, 1)
	go func() {
		_, err := atRate(publishing, adminRate, int(longest.Seconds()*adminRate), func(ctx context.Context, i int, _ time.Time) error {
			return n.api.Publish(ctx, channel(i), []byte(eventBody("")))
		})
		published <- err
	}()
	err := do()
	stop()
	if failed := <-published; err == nil && !errors.Is(failed, context.Canceled) {
		err = failed
	}
	return err
}

// browse has Chromium open pages, one after the other.
func (n *node) browse(ctx context.Context, pages []adminPage) ([]looked, error) {
	input, err := json.Marshal(map[string]any{"url": n.api.URL, "key": n.api.Key, "pages": pages})
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", "admin-bench.mjs")
	cmd.Dir, cmd.Stdin, cmd.Stderr = "loadtest/js", bytes.NewReader(input), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("loadtest/js/admin-bench.mjs, which needs \"make deps\" and the repository as the working directory: %w", err)
	}
	var all []looked
	for line := range bytes.Lines(out) {
		var one looked
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// lookedAt compares the processor time of the node with and without 50 pages open, in turns.
func (n *node) lookedAt(ctx context.Context, v *vendor) ([]row, error) {
	var pages []string
	for i := range 25 {
		pages = append(pages, overviewPage+[]string{"", "?state=failing", "?q=s7", "?vendor=studiocloud", "?page=2"}[i%5], "/admin/integration/s"+strconv.Itoa(i))
	}
	cookie, err := n.signIn(ctx)
	if err != nil {
		return nil, err
	}
	const turns = 4 // of each
	var used, without float64
	for i := range 1 + 2*turns { // the first is a warm-up
		open := pages
		if i%4 == 0 || i%4 == 3 { // neither is always the first
			open = nil
		}
		busy, err := n.turn(ctx, v, cookie, open)
		switch {
		case err != nil:
			return nil, err
		case i == 0:
		case open == nil:
			without += 100 * busy / turns
		default:
			used += 100 * busy / turns
		}
	}
	return []row{{
		"50 open admin pages, 25 with 10,000 integrations, at 1,000 deliveries/s",
		fmt.Sprintf("%.1f %% of a processor (the node %.1f %%, without them %.1f %%)", used-without, used, without), "< 5 %",
	}}, nil
}

// turn delivers 1,000 events a second while pages are open, and returns which part of a processor the node had busy.
func (n *node) turn(ctx context.Context, v *vendor, cookie *http.Cookie, pages []string) (float64, error) {
	watching, stop := context.WithCancel(ctx)
	defer stop()
	g, watching := errgroup.WithContext(watching)
	open := make(chan struct{}, len(pages))
	for _, page := range pages {
		g.Go(func() error { return n.watch(watching, cookie, page, func() { open <- struct{}{} }) })
	}
	for range pages {
		select {
		case <-open:
		case <-watching.Done():
			return 0, g.Wait()
		}
	}
	before, err := n.cpu()
	if err != nil {
		return 0, err
	}
	const count = 5 * adminRate
	begun := time.Now()
	target := v.taken.Load() + count
	_, err = atRate(watching, adminRate, count, func(ctx context.Context, i int, _ time.Time) error {
		return n.api.Publish(ctx, "supplier:dashboard:s"+strconv.Itoa(i%suppliers)+":x", []byte(eventBody("")))
	})
	if err != nil {
		return 0, err
	}
	if err := v.wait(watching, target); err != nil {
		return 0, errors.Join(err, g.Wait())
	}
	after, err := n.cpu()
	stop()
	return (after - before).Seconds() / time.Since(begun).Seconds(), errors.Join(err, g.Wait())
}

// signIn begins a session of the admin page.
func (n *node) signIn(ctx context.Context) (*http.Cookie, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.api.URL+"/admin/sign-in", strings.NewReader(url.Values{"key": {n.api.Key}}.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	for _, c := range resp.Cookies() {
		return c, nil
	}
	return nil, fmt.Errorf("signing in is answered %s", resp.Status)
}

// watch reads what is live of a page until ctx ends. It calls begun when it is open.
func (n *node) watch(ctx context.Context, cookie *http.Cookie, page string, begun func()) error {
	path, query, _ := strings.Cut(page, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.api.URL+path+"/live?"+query, nil)
	if err != nil {
		return err
	}
	req.AddCookie(cookie)
	req.Header.Set("Accept-Encoding", "gzip") // as browsers do, and not as the transport would, which buffers
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	unzipped, err := gzip.NewReader(resp.Body)
	if err != nil {
		return fmt.Errorf("%s is answered %s, not compressed: %w", page, resp.Status, err)
	}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<20)
	for first := true; lines.Scan(); {
		if first && strings.HasPrefix(lines.Text(), "event: pages") {
			first = false
			begun()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s ended (%s): %w", page, resp.Status, lines.Err())
}
