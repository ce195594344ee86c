package admin_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/admin"
	"github.com/wedsync/wedsync/edge/api"
)

// stream is a page's live parts, as a browser hears them.
type stream struct {
	t        *testing.T
	encoding string
	lines    *bufio.Scanner
}

func (b *browser) listen(ctx context.Context, path string, header ...string) *stream {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+path, http.NoBody)
	must(b.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	must(b.t, err)
	b.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	body := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		body, err = gzip.NewReader(body)
		must(b.t, err)
	}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	return &stream{b.t, resp.Header.Get("Content-Encoding"), lines}
}

// next returns the next event of that name whose data has a text.
func (s *stream) next(name, has string) string {
	s.t.Helper()
	at, data := "", ""
	for s.lines.Scan() {
		line := s.lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			at, data = line[7:], ""
		case strings.HasPrefix(line, "data: "):
			data += line[6:]
		case line == "" && at == name && strings.Contains(data, has):
			return data
		}
	}
	s.t.Fatalf("the stream ended before %q with %q", name, has)
	return ""
}

func TestOpenPagesSeeWhatChanges(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	one, other := b.listen(ctx, home+"/live"), b.listen(ctx, home+"/live")
	page := b.listen(ctx, "/admin/integration/a/live")
	one.next("fleet", "row-a")
	if nav := other.next("pages", ""); strings.Contains(nav, "badge") {
		t.Errorf("nothing fails, and the navigation has %s", nav)
	}
	must(t, n.registry.Pause(t.Context(), "a", event.Pause{Reason: "moving house", By: "system", At: time.Now()}))
	one.next("fleet", "Moving house")
	other.next("pages", `class="badge"`)
	page.next("health", "Moving house")
	page.next("actions", "Resume")
}

// Browsers get it compressed, and read each part as it comes.
func TestWhatIsLiveIsCompressed(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := b.listen(ctx, home+"/live", "Accept-Encoding", "gzip")
	if s.encoding != "gzip" {
		t.Fatalf("it is encoded as %q", s.encoding)
	}
	s.next("fleet", "row-a")
	must(t, n.registry.Pause(t.Context(), "a", event.Pause{Reason: "moving house", By: "x", At: time.Now()}))
	s.next("fleet", "Moving house")
	must(t, n.registry.Resume(t.Context(), "a"))
	s.next("states", "is-idle")
}

// Two keys with the same rights share what is made live, and it does not say whose page it is.
func TestNobodyIsShownAsSomebodyElse(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	key := func(name string) string {
		return n.key(t, access.Key{Name: name, Scopes: []access.Scope{access.IntegrationsRead}})
	}
	first := n.signedIn(t, key("alice"))
	first.listen(ctx, home+"/live").next("pages", "Overview")
	second := n.signedIn(t, key("bob"))
	if got := second.listen(ctx, home+"/live").next("pages", "Overview"); strings.Contains(got, "alice") {
		t.Errorf("bob is shown %s", got)
	}
	second.get(home).shows(t, "<span>key:bob/")
}

func TestWhoIsSignedOutSeesNoMore(t *testing.T) {
	t.Parallel()
	n := start(t)
	k, text, err := n.keys.Create(t.Context(), access.Everybody("x"), access.Key{Name: "k", Scopes: []access.Scope{access.IntegrationsRead}})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b := n.signedIn(t, text.Reveal())
	s := b.listen(ctx, home+"/live")
	s.next("fleet", "no integration")
	_, err = n.keys.Revoke(t.Context(), access.Everybody("x"), k.ID)
	must(t, err)
	s.next("signed-out", "")
	if s.lines.Scan() {
		t.Errorf("and then: %s", s.lines.Text())
	}
}

func TestPagesThatAreOpenAreBounded(t *testing.T) {
	t.Parallel()
	n := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b := n.signedIn(t, adminKey)
	for i := range admin.MaxViews {
		b.listen(ctx, home+"/live?q="+strconv.Itoa(i))
	}
	if got := b.get(home + "/live?q=more"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "close some") {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	b.listen(ctx, home+"/live?q=0").next("fleet", "") // which is open already
	other := n.signedIn(t, n.key(t, access.Key{Name: "k", Scopes: []access.Scope{access.IntegrationsRead}}))
	other.listen(ctx, home+"/live?q=more").next("fleet", "")
}

func TestShutdownEndsWhatIsLive(t *testing.T) {
	t.Parallel()
	n := start(t)
	b := n.signedIn(t, adminKey)
	s := b.listen(t.Context(), home+"/live")
	s.next("fleet", "")
	must(t, n.admin.Shutdown(t.Context()))
	for s.lines.Scan() { // to the end
	}
	if got := b.get(home + "/live"); got.status != http.StatusServiceUnavailable {
		t.Errorf("after that: %d", got.status)
	}
}

func TestOverviewFinds(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, id := range []string{"a", "b", "c"} {
		n.connect(t, id, map[string]string{"supplierId": "4" + id})
	}
	_, err := n.registry.Put(t.Context(), event.Integration{V: event.Version, ID: "z", Vendor: "slack", Settings: []byte(`{}`)})
	must(t, err)
	must(t, n.registry.Pause(t.Context(), "c", event.Pause{Reason: "http_401", By: "system", At: time.Now()}))
	b := n.signedIn(t, adminKey)
	for query, want := range map[string]string{ // what fails is first, then what cannot begin
		"": "czab", "?q=supplierId%3D4b": "b", "?q=the+webhook": "cab", "?q=nothing": "", "?vendor=slack": "z", "?state=failing": "cz", "?state=idle": "zab", "?page=99": "czab", "?page=x": "czab",
	} {
		got := b.get(home+query, htmx()...)
		found := ""
		for _, row := range strings.Split(got.body, `<tr id="row-`)[1:] {
			found += row[:1]
		}
		if found != want || strings.Contains(got.body, "<html") {
			t.Errorf("%q found %q, want %q", query, found, want)
		}
	}
	if got := b.get(home); !strings.Contains(got.body, "Not complete") || !strings.Contains(got.body, "secrets.webhook_url is required") ||
		!strings.Contains(got.body, "HTTP 401") || !strings.Contains(got.body, "2<span class=\"hidden\"> integrations fail") {
		t.Error("it is not told what fails, and why")
	}
	b.get("/admin/integration/z") // its actor begins, and sees that it can do nothing
	eventually(t, "what cannot begin to fail though it is paused", func() bool {
		return strings.Contains(b.get(home+"?state=paused").body, `<tr id="row-z" class="failing">`)
	})
}

func TestManyIntegrationsArePaged(t *testing.T) {
	t.Parallel()
	n := start(t)
	for i := range 51 {
		_, err := n.registry.Put(t.Context(), event.Integration{V: event.Version, ID: "i" + string(rune('A'+i/26)) + string(rune('a'+i%26)), Vendor: "slack", Settings: []byte(`{}`)})
		must(t, err)
	}
	b := n.signedIn(t, adminKey)
	first, second := b.get(home), b.get(home+"?"+url.Values{"page": {"2"}, "vendor": {"slack"}}.Encode())
	if strings.Count(first.body, `<tr id="row-`) != 50 || strings.Count(second.body, `<tr id="row-`) != 1 ||
		!strings.Contains(first.body, `rel="next"`) || !strings.Contains(second.body, "vendor=slack") || !strings.Contains(second.body, "page 2 of 2") {
		t.Errorf("%d and %d rows", strings.Count(first.body, `<tr id="row-`), strings.Count(second.body, `<tr id="row-`))
	}
}

// failing is a log of which one question panics.
type failing struct{ log }

func (failing) Peers(context.Context) ([]journal.Peer, error) { panic("no peers") }

// A page that is open is made on no request's goroutine, of which net/http would bear the panic.
func TestAPageThatPanicsIsNotTheEnd(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *api.Config) { c.History = failing{c.History} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	b := n.signedIn(t, adminKey)
	b.listen(ctx, "/admin/cluster/live").next("trouble", "could not be made")
	b.get(home).shows(t, "There is no integration yet")
}

// The log may have what others published on the channel of an integration's states, when they still could.
func TestTheTimelineBearsWhatOthersPublished(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	n.publish(t, "integration:health:a", `{"since":"2026-06-20T10:00:00Z"}`)
	n.signedIn(t, adminKey).get("/admin/integration/a").shows(t, "Not known")
}
