package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// page is a couple's page: it follows a channel with the centrifuge SDK, shows what it sees, and tells
// the test what it shows. The SDK runs as it is.
const page = `<!doctype html>
<meta charset="utf-8">
<title>Wedding</title>
<ol id="seen"></ol>
<script src="/centrifuge.js"></script>
<script>
  const tell = (what) => fetch('/told', {method: 'POST', body: JSON.stringify(what)});
  const query = new URLSearchParams(location.search);
  const client = new Centrifuge(query.get('node'));
  client.on('error', (c) => tell({event: 'error', text: c.error.message}));
  client.on('disconnected', (c) => tell({event: 'disconnected', text: c.reason}));
  const sub = client.newSubscription(query.get('channel'));
  sub.on('subscribed', () => tell({event: 'subscribed'}));
  sub.on('publication', (c) => {
    const item = document.createElement('li');
    item.textContent = c.data.id + ' ' + c.data.type + ' ' + c.data.payload.ceremonyTime;
    document.getElementById('seen').append(item);
    tell({event: 'shown', text: document.getElementById('seen').innerText});
  });
  sub.subscribe();
  client.connect();
  const connect = {subs: {[query.get('channel')]: {}}};
  const node = query.get('node').replace('ws', 'http').replace('websocket', 'uni_sse');
  const events = new EventSource(node + '?cf_connect=' + encodeURIComponent(JSON.stringify(connect)));
  events.onmessage = (e) => {
    const push = JSON.parse(e.data);
    const came = push.connect ? push.connect.subs[query.get('channel')].publications || [] : push.pub ? [push.pub] : [];
    if (push.connect) tell({event: 'listening'});
    for (const pub of came) tell({event: 'heard', text: pub.data.id});
  };
</script>
`

// told is what the page tells.
type told struct{ Event, Text string }

// pageServer serves the page and collects what it tells.
func pageServer(t *testing.T) (*httptest.Server, <-chan told) {
	t.Helper()
	sdk := filepath.Join("..", "js", "node_modules", "centrifuge", "dist", "centrifuge.js")
	if _, err := os.Stat(sdk); err != nil {
		t.Fatalf("the npm package centrifuge is not installed (%v); run: make deps", err)
	}
	says := make(chan told, 1000)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	})
	mux.HandleFunc("GET /centrifuge.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, sdk) })
	mux.HandleFunc("POST /told", func(_ http.ResponseWriter, r *http.Request) {
		var what told
		if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
			what = told{"unreadable", err.Error()}
		}
		select {
		case says <- what:
		default: // a page that cannot connect says so again and again
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, says
}

// browse opens an address in a browser without a screen, and closes it with the test.
func browse(t *testing.T, address string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Chromium is missing (%v); run: make deps", err)
	}
	profile := t.TempDir()
	output, err := os.Create(filepath.Join(t.TempDir(), "chromium"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(
		chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir="+profile, "--remote-debugging-port=0", address,
	)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it is a group of processes, all of them ours
		_ = cmd.Wait()
		_ = output.Close()
		if text, err := os.ReadFile(output.Name()); err == nil && t.Failed() {
			t.Logf("Chromium wrote: %.4000s", text)
		}
	})
}

// hear waits until the page tells of that event.
func hear(ctx context.Context, t *testing.T, says <-chan told, event string) told {
	t.Helper()
	var before []told
	for {
		select {
		case what := <-says:
			if what.Event == event {
				return what
			}
			before = append(before, what)
		case <-ctx.Done():
			t.Fatalf("the page did not tell of %q: %v; it told %v", event, ctx.Err(), before)
		}
	}
}

// hearAll waits until the page has told of all these events, in whatever order.
func hearAll(ctx context.Context, t *testing.T, says <-chan told, events ...string) map[string]string {
	t.Helper()
	heard := map[string]string{}
	for len(heard) < len(events) {
		select {
		case what := <-says:
			if slices.Contains(events, what.Event) {
				heard[what.Event] = what.Text
			}
		case <-ctx.Done():
			t.Fatalf("the page did not tell of all %q: %v; it told %v", events, ctx.Err(), heard)
		}
	}
	return heard
}

// TestBrowserSeesWhatACommandPublishes shows an event that "wedsync publish" sent in a browser's page, over a WebSocket
// that is compressed and as a server-sent event, also after the node was killed, and none on a page of an origin that
// was not let in.
func TestBrowserSeesWhatACommandPublishes(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	server, says := pageServer(t)
	stranger, strangerSays := pageServer(t)
	st := newStation(t, "--clickhouse", "off", "--set", "ws.origins="+server.URL, "--set", "ws.deflate=true")
	st.start(ctx)
	query := url.Values{"node": {st.node.WebSocketURL()}, "channel": {"journey:milestone:c1"}}.Encode()
	browse(t, server.URL+"/?"+query)
	browse(t, stranger.URL+"/?"+query)
	hearAll(ctx, t, says, "subscribed", "listening")
	hear(ctx, t, strangerSays, "error")

	shows := ""
	publish := func(id string) {
		t.Helper()
		got := wedsync(ctx, t, "publish", "journey:milestone:c1", "timeline.updated",
			`{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00"}`, "--id", id, "--addr", st.node.URL(), "--data", st.cfg.Dir)
		if got.code != 0 || !strings.Contains(got.stdout, id+" is in the log") {
			t.Fatalf("wedsync publish: %+v", got)
		}
		shows = strings.TrimSpace(shows + "\n" + id + " timeline.updated 2027-06-12T16:00:00+02:00")
		if told := hearAll(ctx, t, says, "shown", "heard"); told["shown"] != shows || told["heard"] != id {
			t.Errorf("the page shows %q and heard %q, want %q and %q", told["shown"], told["heard"], shows, id)
		}
	}
	publish("evt-browser")
	st.node.Kill()
	st.start(ctx)
	publish("evt-after")
	for {
		select {
		case what := <-strangerSays:
			if what.Event != "error" && what.Event != "disconnected" {
				t.Errorf("the stranger's page tells %s", fmt.Sprintf("%+v", what))
			}
			continue
		default:
		}
		break
	}
	st.stop(ctx)
}
