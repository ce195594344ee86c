package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge"
	"github.com/wedsync/wedsync/edge/ingest"
)

// testConfig is of a node on a free port with a folder of its own and without ClickHouse.
func testConfig(t *testing.T) Config {
	t.Helper()
	c := Config{}.WithDefaults()
	c.Node.Name, c.Data, c.HTTP.Addr, c.ClickHouse.DSN = "test", t.TempDir(), "127.0.0.1:0", clickhouseOff
	return c
}

func startNode(t *testing.T, c Config) *node {
	t.Helper()
	n := newNode(c, zerolog.New(zerolog.NewTestWriter(t)))
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return n
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// waitReady asks until the node is ready, or degraded; holding its shards takes it a moment.
func waitReady(t *testing.T, url string) edge.Readiness {
	t.Helper()
	return waitReadiness(t, url, func(edge.Readiness) bool { return true })
}

// waitReadiness asks until the node is ready and says what is wanted of it.
func waitReadiness(t *testing.T, url string, is func(edge.Readiness) bool) edge.Readiness {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var r edge.Readiness
		status, body := get(t, url+"/readyz")
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if status == http.StatusOK && is(r) {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not as wanted: %s", body)
		}
	}
}

func TestNodeServes(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	r := waitReady(t, n.URL())
	for name, want := range map[string]edge.ComponentState{"log": {Status: "ok"}, "shards": {Status: "ok"}, "clickhouse": {Status: "degraded", Detail: stateOff}} {
		if r.Components[name] != want {
			t.Errorf("%s is %+v, want %+v", name, r.Components[name], want)
		}
	}
	if status, body := get(t, n.URL()+"/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("healthz: %d %q", status, body)
	}
	status, body := get(t, n.URL()+"/metrics")
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "wedsync_ingest_append_seconds", "wedsync_ws_connections"} {
		if status != http.StatusOK || !strings.Contains(body, "\n"+name) {
			t.Errorf("metrics: %d, without %s", status, name)
		}
	}
	if status, body := get(t, n.URL()+"/api/webhooks/slack/nobody"); status != http.StatusNotFound || !strings.Contains(body, "integration_unknown") {
		t.Errorf("webhooks: %d %s", status, body)
	}
	for _, key := range []string{apiKeyFile, tokenKeyFile, masterKeyFile} {
		if info, err := os.Stat(filepath.Join(n.cfg.Data, key)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", key, info, err)
		}
	}
}

func TestNodeKeepsItsKeysAndItsLog(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.HTTP.Addr = "127.0.0.1:0"
	first := newNode(c, zerolog.Nop())
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	receipt, err := first.ingest.Publish(t.Context(), ingest.Draft{Channel: "a:b", Type: "x.y", Payload: []byte(`{"n":1}`), Source: "api"})
	if err != nil {
		t.Fatal(err)
	}
	keys, epoch := first.keys, first.journal.Epoch()
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := first.Stop(); err != nil { // twice is no error
		t.Fatal(err)
	}
	second := startNode(t, c)
	if !second.keys.api.Equal(keys.api) || !second.keys.token[0].Equal(keys.token[0]) || second.journal.Epoch() != epoch {
		t.Error("a restart changed keys or log")
	}
	if ev, err := second.journal.EventAt(t.Context(), receipt.Seq); err != nil || ev.ID != receipt.ID {
		t.Errorf("the event is gone: %+v, %v", ev, err)
	}
}

func TestNodeDoesNotStart(t *testing.T) {
	t.Parallel()
	running := startNode(t, testConfig(t))
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"the folder is in use":       {func(c *Config) { c.Data = running.cfg.Data }, journal.ErrLocked.Error()},
		"the port is in use":         {func(c *Config) { c.HTTP.Addr = running.addr.String() }, "address already in use"},
		"the master key is gone":     {func(c *Config) { c.Secrets.MasterKeyFile = "/does/not/exist" }, "secrets.masterKeyFile: /does/not/exist is not there"},
		"the folder is no folder":    {func(c *Config) { c.Data = filepath.Join(running.cfg.Data, apiKeyFile) }, "not a directory"},
		"no NATS server is there":    {func(c *Config) { c.Log.URL = "nats://127.0.0.1:1" }, "nats://127.0.0.1:1"},
		"a network is none":          {func(c *Config) { c.Delivery.AllowPrivate = []string{"x"} }, "delivery.allowPrivate"},
		"the breaker makes no sense": {func(c *Config) { c.Delivery.BreakerFailures = -1 }, "breaker"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t)
			c.change(&cfg)
			n := newNode(cfg, zerolog.Nop())
			if err := n.Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("started with %v, want %q", err, c.want)
				if err == nil {
					_ = n.Stop()
				}
			}
		})
	}
}

func TestAnEmptyKeyFileIsNotTaken(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	path := filepath.Join(c.Data, apiKeyFile)
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newNode(c, zerolog.Nop()).Start(t.Context()); err == nil || !strings.Contains(err.Error(), path+" is empty") {
		t.Errorf("got %v", err)
	}
}

func TestHostNamesBecomeNames(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"vm": "vm", "node-1.example.com": "node-1-example-com", strings.Repeat("n", 70): strings.Repeat("n", 64)} {
		if got := nameFrom(host); got != want {
			t.Errorf("%s became %s, want %s", host, got, want)
		}
	}
}

// serving runs "wedsync serve" until ctx ends and returns its address once it serves.
func serving(ctx context.Context, t *testing.T, args ...string) (addr string, ended <-chan int) {
	t.Helper()
	logs, out := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- command(ctx, append([]string{"serve", "--addr=127.0.0.1:0", "--log-format=json"}, args...), world{stdin: strings.NewReader(""), stdout: io.Discard, stderr: out})
		_ = out.Close()
	}()
	found := make(chan string, 1)
	go func() {
		defer close(found)
		lines := bufio.NewScanner(logs)
		for lines.Scan() {
			var line struct{ Addr, Message string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
				found <- line.Addr
			}
		}
	}()
	select {
	case addr = <-found:
	case <-time.After(20 * time.Second):
	}
	if addr == "" {
		t.Fatal("it does not serve")
	}
	return addr, code
}

// waitMetric asks until the metrics have the line.
func waitMetric(t *testing.T, addr, line string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if _, body := get(t, addr+"/metrics"); strings.Contains(body, "\n"+line+"\n") {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the metrics never showed %s", line)
		}
	}
}

func TestServeEndsInOrder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	addr, ended := serving(ctx, t, "--data", data, "--clickhouse=off", "--name=n1", "--set=shutdown=5s", "--allow-public", "--log-level=info")
	if got := wedsync(t, "tail", "a:b", "--addr", addr, "--data", t.TempDir()); got.code != exitFailed || !strings.Contains(got.errors, "invalid token") {
		t.Errorf("tail without a key: %+v", got)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("serve ended with %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
}

func publishOn(t *testing.T, n *node, channel, payload string) uint64 {
	t.Helper()
	receipt, err := n.ingest.Publish(t.Context(), ingest.Draft{Channel: channel, Type: "timeline.updated", Payload: []byte(payload), Source: "api"})
	if err != nil {
		t.Fatal(err)
	}
	return receipt.Seq
}

func TestTailPrintsThePastAndWhatComes(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	for _, payload := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		publishOn(t, n, "a:b", payload)
	}
	out, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- command(t.Context(), []string{"tail", "a:b", "--last=2", "--count=3", "--json", "--addr", n.URL(), "--data", n.cfg.Data},
			world{stdin: strings.NewReader(""), stdout: write, stderr: io.Discard})
		_ = write.Close()
	}()
	lines := bufio.NewScanner(out)
	for i, want := range []string{`{"n":2}`, `{"n":3}`, `{"n":4}`} {
		if i == 2 {
			publishOn(t, n, "a:other", `{"n":0}`)
			publishOn(t, n, "a:b", want)
		}
		var line struct {
			Seq   uint64
			Event struct {
				Channel string
				Payload json.RawMessage
			}
		}
		if !lines.Scan() || json.Unmarshal(lines.Bytes(), &line) != nil || line.Event.Channel != "a:b" || string(line.Event.Payload) != want {
			t.Errorf("line %d is %s, want %s", i, lines.Text(), want)
		}
	}
	if code := <-ended; code != exitOK || lines.Scan() {
		t.Errorf("ended with %d, and then %q", code, lines.Text())
	}
}

func TestTailFollowsAPattern(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	ended := make(chan result, 1)
	go func() {
		ended <- wedsyncWith(t.Context(), nil, strings.NewReader(""), "tail", "a:*", "--last=5", "--count=1", "--addr", n.URL(), "--data", n.cfg.Data)
	}()
	waitMetric(t, n.URL(), "wedsync_ws_subscriptions 1")
	seq := publishOn(t, n, "a:c", "{\"text\":\"x\"}")
	got := <-ended
	want := fmt.Sprintf("  %d  a:c  timeline.updated  api  {\"text\":\"x\"}\n", seq)
	if got.code != exitOK || !strings.HasSuffix(got.out, want) {
		t.Errorf("%+v, want %q", got, want)
	}
}

func TestTailEndsWhenToldTo(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() {
		ended <- wedsyncWith(ctx, nil, strings.NewReader(""), "tail", "a:b", "--addr", n.URL(), "--data", n.cfg.Data)
	}()
	waitMetric(t, n.URL(), "wedsync_ws_subscriptions 1")
	stop()
	if got := <-ended; got.code != exitOK || got.errors != "" {
		t.Errorf("%+v", got)
	}
}
