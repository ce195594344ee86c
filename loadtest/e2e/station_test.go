package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// startLimit and stopLimit are for a binary with the race detector on a machine with other things to do.
const (
	startLimit = 60 * time.Second
	stopLimit  = 60 * time.Second
)

// station is a node's place: one data folder and one address, where node after node is started.
type station struct {
	t     *testing.T
	cfg   nodeproc.Config
	node  *nodeproc.Node // the last one started
	api   *nodeproc.Client
	notes string // file with what the nodes wrote on standard error
}

// newStation returns a station without a node. Flags are those of "wedsync serve".
func newStation(t *testing.T, flags ...string) *station {
	t.Helper()
	dir := t.TempDir()
	addr, err := nodeproc.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	s := &station{t: t, notes: filepath.Join(t.TempDir(), "stderr")}
	file, err := os.OpenFile(s.notes, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = nodeproc.Config{
		Binary: binary(t), Dir: filepath.Join(dir, "data"), Addr: addr, Stderr: file,
		// Races are looked for in what it wrote; its exit code is its own.
		Env: []string{"GOCOVERDIR=" + counters(t), "GORACE=exitcode=0"},
		Flags: append([]string{
			"--insecure", "--name", "e2e", "--log-format", "json", "--set", "delivery.allowPrivate=127.0.0.0/8",
		}, flags...),
	}
	t.Cleanup(func() {
		if s.node != nil {
			s.node.Kill()
		}
		if s.api != nil {
			s.api.Close()
		}
		_ = file.Close()
		s.checkNotes()
	})
	return s
}

// start starts a node and waits until it is ready.
func (s *station) start(ctx context.Context) {
	s.t.Helper()
	s.begin()
	s.ready(ctx)
}

// begin starts a node and does not wait.
func (s *station) begin() {
	s.t.Helper()
	var err error
	if s.node, err = nodeproc.Start(s.cfg); err != nil {
		s.t.Fatal(err)
	}
}

func (s *station) ready(ctx context.Context) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := s.node.Ready(ctx)
	if err == nil && s.api == nil {
		if s.api, err = s.node.Client(); err == nil {
			s.api.HTTP.Timeout = 10 * time.Second
		}
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// stop has the node end in order.
func (s *station) stop(ctx context.Context) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	if err := s.node.Stop(ctx); err != nil {
		s.t.Fatalf("SIGTERM: the node ended with %v, want exit code 0", err)
	}
}

// checkNotes fails where a node panicked or raced, and shows its last words where the test failed.
func (s *station) checkNotes() {
	text, err := os.ReadFile(s.notes)
	if err != nil {
		s.t.Error(err)
		return
	}
	for _, alarm := range []string{"\npanic: ", "\nfatal error: ", `"panic":`} {
		if at := bytes.Index(text, []byte(alarm)); at >= 0 {
			s.t.Errorf("the node wrote: %.6000s", text[at:])
		}
	}
	for _, race := range races(text) {
		s.t.Errorf("the node wrote: %.6000s", race)
	}
	if s.t.Failed() {
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		s.t.Logf("the node's last words:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// races returns the reports of data races, but for one that is not ours: nats-server (2.15) sets a file
// store's sync timer after it has been started, and with our short interval it may fire before.
func races(text []byte) [][]byte {
	var found [][]byte
	for {
		_, rest, ok := bytes.Cut(text, []byte("WARNING: DATA RACE"))
		if !ok {
			return found
		}
		report, after, _ := bytes.Cut(rest, []byte("=================="))
		if bytes.Count(report, []byte("(*fileStore).setSyncTimer()")) < 2 {
			found = append(found, report)
		}
		text = after
	}
}

// said returns the log lines with that message.
func (s *station) said(message string) []map[string]any {
	s.t.Helper()
	file, err := os.Open(s.notes)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var found []map[string]any
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["message"] == message {
			found = append(found, line)
		}
	}
	return found
}

// readiness is the body of /readyz.
type readiness struct {
	Status     string `json:"status"`
	Components map[string]struct {
		Status string `json:"status"`
		Detail string `json:"detail"`
	} `json:"components"`
}

func (s *station) readiness(ctx context.Context) (readiness, error) {
	var r readiness
	err := s.api.Call(ctx, http.MethodGet, "/readyz", nil, &r)
	return r, err
}

// component reports whether /readyz gives a component that status.
func (s *station) component(ctx context.Context, name, status string) (ok bool, said string) {
	r, err := s.readiness(ctx)
	return err == nil && r.Components[name].Status == status, fmt.Sprintf("%+v, %v", r, err)
}

// checkNoneDead fails if any delivery was given up.
func checkNoneDead(ctx context.Context, t *testing.T, s *station) {
	t.Helper()
	var letters struct{ Items []json.RawMessage }
	if err := s.api.Call(ctx, http.MethodGet, "/api/dead-letters", nil, &letters); err != nil || len(letters.Items) > 0 {
		t.Errorf("%d dead letters %.500s, %v", len(letters.Items), letters.Items, err)
	}
}

// flags has the next nodes started with other flags besides: the last one of a kind is in force.
func (s *station) flags(flags ...string) { s.cfg.Flags = append(slices.Clone(s.cfg.Flags), flags...) }
