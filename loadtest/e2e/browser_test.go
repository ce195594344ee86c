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

// TestBrowserSeesWhatACommandPublishes shows an event that "wedsync publish" sent in a browser's page,
// and no event on a page of an origin that was not let in.
func TestBrowserSeesWhatACommandPublishes(t *testing.T) {
	t.Parallel()
	ctx := within(t, 3*time.Minute)
	server, says := pageServer(t)
	stranger, strangerSays := pageServer(t)
	st := newStation(t, "--clickhouse", "off", "--set", "ws.origins="+server.URL)
	st.start(ctx)
	query := url.Values{"node": {st.node.WebSocketURL()}, "channel": {"journey:milestone:c1"}}.Encode()
	browse(t, server.URL+"/?"+query)
	browse(t, stranger.URL+"/?"+query)
	hear(ctx, t, says, "subscribed")
	hear(ctx, t, strangerSays, "error")

	got := wedsync(ctx, t, "publish", "journey:milestone:c1", "timeline.updated",
		`{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00"}`, "--id", "evt-browser", "--addr", st.node.URL(), "--data", st.cfg.Dir)
	if got.code != 0 || !strings.Contains(got.stdout, "evt-browser is in the log") {
		t.Fatalf("wedsync publish: %+v", got)
	}
	shown := hear(ctx, t, says, "shown")
	if want := "evt-browser timeline.updated 2027-06-12T16:00:00+02:00"; shown.Text != want {
		t.Errorf("the page shows %q, want %q", shown.Text, want)
	}
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
