package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/analytics/embedded"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// TestSecretsShowNowhere runs a node through good and bad days, has its secrets changed and the node crash, and
// looks for the secrets of its vendors, old and new, and its own in all that it said and left behind.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	sims, err := vendors.StartAll(t.Context(), vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sims.Close() }()
	p := &planted{t: t, secrets: map[string]string{}}
	for _, v := range sims.All() {
		_, secrets := v.Integration("x")
		for name, values := range secrets {
			for _, value := range values {
				p.add(v.Name()+"'s "+name, value.Reveal())
			}
		}
	}
	dir := t.TempDir()
	engine, err := embedded.Start(t.Context(), embedded.Config{Dir: filepath.Join(dir, "engine")})
	if err != nil {
		t.Fatalf("this test needs a ClickHouse: %v", err)
	}
	defer func() { _ = engine.Stop(context.WithoutCancel(t.Context())) }()
	if u, err := url.Parse(engine.DSN()); err == nil {
		password, _ := u.User.Password()
		p.add("ClickHouse's password", password)
	}
	n, logs, crash := serveApart(t, dir, "--log-level=debug", "--log-format=json", "--clickhouse="+engine.DSN(),
		"--set=delivery.allowPrivate=127.0.0.0/8", "--set=delivery.retryWaits=1ms", "--set=delivery.breakerWait=100ms")
	s := &ordeal{planted: p, sims: sims, node: n, data: filepath.Join(dir, "data")}
	s.ownKeys()
	s.apply(filepath.Join(dir, "season.yaml"))
	s.days()
	s.asks()
	s.rotates()
	s.days()
	s.asks()
	s.recorded()
	if filled := p.queries(engine.DSN()); filled < 5 {
		t.Errorf("only %d tables have rows", filled)
	}
	crash()
	p.looks("the log and the crash", logs())
	if !bytes.Contains(logs(), []byte("goroutine ")) || !bytes.Contains(logs(), []byte(`"level":"debug"`)) {
		t.Errorf("there is no crash, or no log, in what the node wrote: %.300s", logs())
	}
	if !p.walks(s.data, `"venue":"Old Mill"`, apiKeyFile, tokenKeyFile, masterKeyFile) {
		t.Error("the log's files do not even show the events that are in them")
	}
	if p.seen < 300 {
		t.Errorf("only %d texts were looked through", p.seen)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A ClickHouse that cannot be had is told of without its password.
func TestTroubleWithClickHouseShowsNoPassword(t *testing.T) {
	t.Parallel()
	p := &planted{t: t, secrets: map[string]string{}}
	p.add("ClickHouse's password", "hunter2-planted")
	dir := t.TempDir()
	n, logs, crash := serveApart(t, dir, "--log-level=debug", "--clickhouse=clickhouse://w:hunter2-planted@127.0.0.1:1/x")
	waitComponent(t, n.URL(), "clickhouse", "not connected since")
	for _, path := range []string{"/metrics", "/readyz"} {
		_, body := get(t, n.URL()+path)
		p.looks(path, []byte(body))
	}
	crash()
	p.looks("the log and the crash", logs())
	got := wedsync(t, "serve", "--data", filepath.Join(dir, "other"), "--clickhouse=clickhouse://w:hunter2-planted@[bad/x")
	p.looks("a wrong configuration", []byte(got.out+got.errors))
	http.DefaultClient.CloseIdleConnections()
}

// ordeal is the life of a node that all simulators are connected to.
type ordeal struct {
	*planted
	sims *vendors.Set
	node *nodeproc.Node
	data string
}

// ownKeys plants the node's own.
func (s *ordeal) ownKeys() {
	s.t.Helper()
	for file, what := range map[string]string{apiKeyFile: "the API key", tokenKeyFile: "the key of tokens", masterKeyFile: "the master key"} {
		key, err := os.ReadFile(filepath.Join(s.data, file))
		if err != nil {
			s.t.Fatal(err)
		}
		s.add(what, strings.TrimSpace(string(key)))
	}
}

// run runs a command and looks through what it prints.
func (s *ordeal) run(args ...string) result {
	s.t.Helper()
	got := wedsync(s.t, append(args, "--addr", s.node.URL(), "--data", s.data)...)
	s.looks(strings.Join(args, " "), []byte(got.out+got.errors))
	return got
}

func (s *ordeal) apply(file string) {
	s.t.Helper()
	text, err := simSeason(s.sims)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if got := s.run("apply", "-y", "-f", file); got.code != exitOK {
		s.t.Fatalf("apply: %+v", got)
	}
}

// days are a good one and bad ones: each vendor gets an event and a test, and sends a webhook.
func (s *ordeal) days() {
	s.t.Helper()
	for _, fault := range []vendors.Fault{{}, {Status: 401}, {Status: 500}, {Status: 422}, {Reset: true}} {
		for _, v := range s.sims.All() {
			v.Faults().Clear()
			if fault.Status > 0 || fault.Reset {
				v.Faults().Add(fault)
			}
		}
		s.run("publish", "supplier:dashboard:42", "timeline.updated", timeline)
		for _, v := range s.sims.All() {
			s.run("integrations", "test", "sim-"+v.Name())
			s.run("integrations", "resume", "sim-"+v.Name())
		}
	}
	for _, v := range s.sims.All() {
		sender, ok := v.(vendors.Sender)
		if !ok {
			continue
		}
		for _, wrong := range []bool{true, false} {
			v.Faults().SpoilWebhooks(vendors.WebhookFault{WrongSignature: wrong})
			sent, err := sender.Send(s.t.Context(), s.node.URL()+"/api/webhooks/"+v.Name()+"/sim-"+v.Name(), sender.Webhooks()[0])
			if err != nil {
				s.t.Fatal(err)
			}
			s.looks(v.Name()+"'s webhook", sent[0].Body)
		}
	}
}

// asks looks through all that can be read.
func (s *ordeal) asks() {
	s.t.Helper()
	for _, v := range s.sims.All() {
		id := "sim-" + v.Name()
		s.run("integrations", "show", id, "--json")
		s.run("integrations", "health", id, "--json")
		s.run("integrations", "preview", id, "supplier:dashboard:42", "timeline.updated", timeline, "--json")
		s.run("integrations", "secrets", "set", id, "nothing=of-the-kind")
	}
	s.run("export")
	s.run("dead", "list", "--json")
	for _, path := range []string{"/metrics", "/readyz", "/healthz"} {
		_, body := get(s.t, s.node.URL()+path)
		s.looks(path, []byte(body))
	}
	for _, path := range []string{
		"openapi.json", "vendors", "status", "integrations", "integrations/health", "mappings", "keys", "scopes", "audit?limit=1000", "deliveries?limit=1000",
		"dead-letters", "channels/supplier:dashboard:42/history", "slo",
	} {
		if text := s.call(http.MethodGet, "/api/"+path, nil, ""); !json.Valid(text) {
			s.t.Errorf("%s: %.300s", path, text)
		}
	}
	var ended struct{ Items []struct{ ID string } }
	if err := json.Unmarshal(s.call(http.MethodGet, "/api/deliveries?limit=1000", nil, ""), &ended); err != nil {
		s.t.Fatal(err)
	}
	for _, d := range ended.Items {
		s.call(http.MethodGet, "/api/deliveries/"+d.ID, nil, "")
	}
}

// call asks the API as the administrator, and looks through the answer unless it shows a secret this once.
func (s *ordeal) call(method, path string, body []byte, idempotency string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.node.URL()+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+readKey(filepath.Join(s.data, apiKeyFile)))
	req.Header.Set("Content-Type", "application/json")
	if idempotency != "" {
		req.Header.Set("Idempotency-Key", idempotency)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		s.t.Errorf("%s %s is answered %d: %s", method, path, resp.StatusCode, text)
	}
	if idempotency == "" {
		s.looks(method+" "+path, text)
	}
	return text
}

// rotates has every vendor's secrets replaced, makes an API key, and plants all these too. What is shown
// once may be repeated to the same Idempotency-Key: the log must not keep it for that.
func (s *ordeal) rotates() {
	s.t.Helper()
	for _, v := range s.sims.All() {
		path := "/api/integrations/sim-" + v.Name() + "/secrets"
		_, secrets := v.Integration("x")
		set := map[string]string{}
		for name := range secrets {
			if name == "signing" || name == "webhook" {
				var made struct{ Secret string }
				if err := json.Unmarshal(s.call(http.MethodPost, path+"/"+name+"/rotate", nil, "once-"+v.Name()+name), &made); err != nil {
					s.t.Fatal(err)
				}
				s.add(v.Name()+"'s new "+name, made.Secret)
				continue
			}
			set[name] = "replaced-" + v.Name() + "-" + name
			if name == "webhook_url" {
				set[name] = "https://hooks.slack.example/services/" + set[name]
			}
			s.add(v.Name()+"'s new "+name, set[name])
		}
		if len(set) > 0 {
			body, err := json.Marshal(set)
			if err != nil {
				s.t.Fatal(err)
			}
			s.looks("the answer to new secrets", s.call(http.MethodPut, path, body, "set-"+v.Name()))
		}
	}
	var made struct{ Key string }
	if err := json.Unmarshal(s.call(http.MethodPost, "/api/keys", []byte(`{"name":"guest","scopes":["channels:read"]}`), "once-key"), &made); err != nil {
		s.t.Fatal(err)
	}
	s.add("a guest's API key", made.Key)
	s.run("publish", "a:b", "x.y", "{}", "--key", made.Key)
	s.run("publish", "a:b", "x.y", "{}", "--key", made.Key+"x")
	for _, v := range s.sims.All() {
		s.run("integrations", "secrets", "retire", "sim-"+v.Name())
	}
}

// recorded waits until ClickHouse has all that was done so far.
func (s *ordeal) recorded() {
	s.t.Helper()
	s.run("integrations", "pause", "sim-email")
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.run("audit", "--action=integration.pause", "--json").out, "sim-email") {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatal("ClickHouse does not have what was done last")
		}
	}
	for _, path := range []string{"/api/audit?limit=1000", "/api/deliveries?limit=1000"} {
		s.call(http.MethodGet, path, nil, "")
	}
}
