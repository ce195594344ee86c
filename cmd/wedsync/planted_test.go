package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// planted are the secrets of a node and where they must not be found.
type planted struct {
	t       *testing.T
	secrets map[string]string // what it is, by its text
	seen    int               // texts looked through
}

// looks fails for each secret that stands in a text, in one of the ways that it could be written.
func (p *planted) looks(where string, text []byte) {
	p.t.Helper()
	p.seen++
	for secret, what := range p.secrets {
		for _, shape := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", secret)} {
			if at := bytes.Index(text, []byte(shape)); at >= 0 {
				p.t.Errorf("%s shows %s: ...%.200s", where, what, text[max(0, at-80):])
			}
		}
	}
}

// TestSecretsShowNowhere runs a node through good and bad days, has it crash, and looks for the secrets of
// its vendors and its own in all that it said and left behind.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	sims, err := vendors.StartAll(t.Context(), vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sims.Close() }()
	p := &planted{t: t, secrets: map[string]string{"hunter2-planted": "ClickHouse's password"}}
	for _, v := range sims.All() {
		_, secrets := v.Integration("x")
		for name, values := range secrets {
			for _, value := range values {
				p.secrets[value.Reveal()] = v.Name() + "'s " + name
			}
		}
	}
	dir := t.TempDir()
	data, season := filepath.Join(dir, "data"), filepath.Join(dir, "season.yaml")
	text, err := simSeason(sims)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(season, text, 0o600); err != nil {
		t.Fatal(err)
	}
	n, logs, crash := serveApart(t, dir, "--log-level=debug", "--log-format=json", "--clickhouse=clickhouse://w:hunter2-planted@127.0.0.1:1/x",
		"--set=delivery.allowPrivate=127.0.0.0/8", "--set=delivery.retryWaits=1ms", "--set=delivery.breakerWait=100ms")
	addr := n.URL()
	for file, what := range map[string]string{apiKeyFile: "the API key", tokenKeyFile: "the key of tokens", masterKeyFile: "the master key"} {
		key, err := os.ReadFile(filepath.Join(data, file))
		if err != nil {
			t.Fatal(err)
		}
		p.secrets[strings.TrimSpace(string(key))] = what
	}

	run := func(args ...string) {
		t.Helper()
		got := wedsync(t, append(args, "--addr", addr, "--data", data)...)
		p.looks(strings.Join(args, " "), []byte(got.out+got.errors))
	}
	run("apply", "-y", "-f", season)
	for _, days := range []vendors.Fault{{}, {Status: 401}, {Status: 500}, {Status: 422}, {Reset: true}} {
		for _, v := range sims.All() {
			v.Faults().Clear()
			if days.Status > 0 || days.Reset {
				v.Faults().Add(days)
			}
		}
		run("publish", "supplier:dashboard:42", "timeline.updated", timeline)
		for _, v := range sims.All() {
			run("integrations", "test", "sim-"+v.Name())
			run("integrations", "resume", "sim-"+v.Name())
		}
	}
	for _, v := range sims.All() {
		id := "sim-" + v.Name()
		run("integrations", "show", id, "--json")
		run("integrations", "health", id, "--json")
		run("integrations", "preview", id, "supplier:dashboard:42", "timeline.updated", timeline, "--json")
		run("integrations", "secrets", "set", id, "nothing=of-the-kind")
		if s, ok := v.(vendors.Sender); ok {
			for _, wrong := range []bool{true, false} {
				v.Faults().SpoilWebhooks(vendors.WebhookFault{WrongSignature: wrong})
				sent, err := s.Send(t.Context(), addr+"/api/webhooks/"+v.Name()+"/"+id, s.Webhooks()[0])
				if err != nil {
					t.Fatal(err)
				}
				p.looks(v.Name()+"'s webhook", sent[0].Body)
			}
		}
	}
	run("export")
	run("dead", "list", "--json")
	run("keys", "--json")
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/api/openapi.json", "/api/vendors", "/api/status"} {
		_, body := get(t, addr+path)
		p.looks(path, []byte(body))
	}
	got := wedsync(t, "serve", "--data", filepath.Join(dir, "other"), "--clickhouse=clickhouse://w:hunter2-planted@[bad/x")
	p.looks("a wrong configuration", []byte(got.out+got.errors))

	crash()
	p.looks("the log and the crash", logs())
	if !bytes.Contains(logs(), []byte("goroutine ")) || !bytes.Contains(logs(), []byte(`"level":"debug"`)) {
		t.Errorf("there is no crash, or no log, in what the node wrote: %.300s", logs())
	}
	keys := []string{apiKeyFile, tokenKeyFile, masterKeyFile}
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains(keys, d.Name()) {
			return err
		}
		left, err := os.ReadFile(path)
		p.looks(path, left)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.seen < 100 {
		t.Errorf("only %d texts were looked through", p.seen)
	}
	http.DefaultClient.CloseIdleConnections()
}

// serveApart runs "wedsync serve" as a process of its own. It returns what the process wrote on standard
// error so far, and what has it crash with a dump of all goroutines.
func serveApart(t *testing.T, dir string, flags ...string) (n *nodeproc.Node, logs func() []byte, crash func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	n, err = nodeproc.Start(nodeproc.Config{
		Binary: self, Dir: filepath.Join(dir, "data"), Flags: flags, Stderr: file, Env: []string{asCommand + "=1", "GOTRACEBACK=all"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := n.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	logs = func() []byte {
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return n, logs, func() {
		if err := syscall.Kill(n.PID(), syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		<-n.Done()
		_ = file.Close()
	}
}
