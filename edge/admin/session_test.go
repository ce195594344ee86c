package admin_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/admin"
)

func TestOnlyWhoHasAKeyIsLetIn(t *testing.T) {
	t.Parallel()
	n := start(t)
	b := n.browser(t)
	if got := b.get("/admin"); got.status != http.StatusSeeOther || got.header.Get("Location") != home {
		t.Errorf("/admin: %d to %s", got.status, got.header.Get("Location"))
	}
	if got := b.get(home + "?q=a"); got.status != http.StatusSeeOther || got.header.Get("Location") != "/admin/sign-in?to="+url.QueryEscape(home+"?q=a") {
		t.Errorf("without a session: %d to %s", got.status, got.header.Get("Location"))
	}
	if got := b.get(home+"/live", "Accept", "text/event-stream"); got.status != http.StatusUnauthorized {
		t.Errorf("what is live, without a session: %d", got.status)
	}
	if got := b.get(home, "Hx-Request", "true", "Hx-Current-Url", n.url+home+"?q=b"); got.status != http.StatusUnauthorized || !strings.HasSuffix(got.header.Get("Hx-Redirect"), "q%3Db") {
		t.Errorf("a part without a session: %d %v", got.status, got.header)
	}
	if got := b.get(home, "Sec-Fetch-Site", "cross-site"); got.status != http.StatusOK || !strings.Contains(got.body, `http-equiv="refresh"`) {
		t.Errorf("from another site's link: %d %s", got.status, got.body)
	}
	for _, wrong := range []string{"", "wsk_nobody_x", adminKey + "x"} {
		if got := b.post("/admin/sign-in", url.Values{"key": {wrong}}); got.status != http.StatusUnauthorized || !strings.Contains(got.body, "not known") || strings.Contains(got.body, adminKey) {
			t.Errorf("with the key %q: %d", wrong, got.status)
		}
	}
	for to, at := range map[string]string{home + "?q=a": home + "?q=a", "https://evil.example/admin/x": home, "//evil.example/admin/x": home, "/api/keys": home, `/\evil`: home, `/admin/../\evil.example`: home, "": home} {
		if got := n.browser(t).post("/admin/sign-in", url.Values{"key": {" " + adminKey + "\n"}, "to": {to}}); got.header.Get("Location") != at {
			t.Errorf("signing in to %q led to %q", to, got.header.Get("Location"))
		}
	}
	b = n.signedIn(t, adminKey)
	if got := b.get(home); got.status != http.StatusOK || !strings.Contains(got.body, "There is no integration yet") {
		t.Errorf("signed in: %d %s", got.status, got.body)
	}
	if got := b.get("/admin/sign-in"); got.status != http.StatusSeeOther {
		t.Errorf("signing in once more: %d", got.status)
	}
	if got := b.post("/admin/sign-out", url.Values{}); got.status != http.StatusSeeOther {
		t.Errorf("signing out: %d", got.status)
	}
	if got := b.get(home); got.status != http.StatusSeeOther {
		t.Errorf("signed out: %d", got.status)
	}
	if got := n.audited(); !strings.Contains(got, "session.begin ok") || !strings.Contains(got, "session.end ok") {
		t.Errorf("audited: %s", got)
	}
}

func TestWhoHasAnOldKeyIsToldSo(t *testing.T) {
	t.Parallel()
	n := start(t)
	key := n.key(t, access.Key{Name: "k", Scopes: []access.Scope{access.StatusRead}, ExpiresAt: time.Now().Add(200 * time.Millisecond)})
	b := n.browser(t)
	eventually(t, "the key to have expired", func() bool {
		got := b.post("/admin/sign-in", url.Values{"key": {key}})
		return got.status == http.StatusUnauthorized && strings.Contains(got.body, "has expired") && len(got.header.Values("Set-Cookie")) == 0
	})
}

func TestSessionsOutsideAreForTLSAlone(t *testing.T) {
	t.Parallel()
	n := start(t)
	for host, secure := range map[string]bool{"127.0.0.1:8080": false, "localhost": false, "[::1]:80": false, "wedsync.example": true, "10.0.0.7:8080": true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/admin/sign-in", strings.NewReader(url.Values{"key": {adminKey}}.Encode()))
		must(t, err)
		req.Host = host
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := n.browser(t).client.Do(req)
		must(t, err)
		resp.Body.Close()
		c := resp.Cookies()
		if len(c) != 1 || c[0].Secure != secure || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Path != "/admin" || c[0].MaxAge <= 0 {
			t.Errorf("at %s: %v", host, c)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/admin/sign-in", http.NoBody)
	must(t, err)
	req.Host = "wedsync.example"
	resp, err := n.browser(t).client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body := make([]byte, 1<<16)
	size, _ := resp.Body.Read(body)
	if !strings.Contains(string(body[:size]), "not encrypted") {
		t.Error("who comes without TLS is not told that it cannot work")
	}
}

func TestOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		for _, path := range []string{"/admin/sign-out", "/admin/sign-in", "/admin/theme", "/admin/integration/a/pause", "/admin/integration/a/settings"} {
			if got := b.post(path, url.Values{"reason": {"x"}}, header...); got.status != http.StatusForbidden || !strings.Contains(got.body, "origin_not_allowed") {
				t.Errorf("%v to %s: %d %s", header, path, got.status, got.body)
			}
		}
	}
	if e, _ := n.registry.Lookup("a"); e.Integration.Paused != nil {
		t.Error("another origin paused the integration")
	}
}

// endless is a form that goes on and on, and counts what was taken of it.
type endless struct{ taken atomic.Int64 }

func (e *endless) Read(b []byte) (int, error) {
	const most = 64 << 20
	if e.taken.Load() >= most {
		return 0, io.EOF
	}
	for i := range b {
		b[i] = 'x'
	}
	e.taken.Add(int64(len(b)))
	return len(b), nil
}

// Who has not signed in cannot fill the node's memory or disk, by whatever kind of form.
func TestNobodySendsMoreThanAForm(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, c := range [][2]string{{http.MethodPost, "/admin/theme"}, {http.MethodPost, "/admin/sign-in"}, {http.MethodGet, "/admin/sign-in"}} {
		sent := &endless{}
		body := io.MultiReader(strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"to\"; filename=\"f\"\r\n\r\n"), sent)
		req, err := http.NewRequestWithContext(t.Context(), c[0], n.url+c[1], body)
		must(t, err)
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		if resp, err := n.browser(t).client.Do(req); err == nil { // else it was cut off while it sent
			resp.Body.Close()
		}
		if took := sent.taken.Load(); took > 32<<20 {
			t.Errorf("%s %s took %d bytes", c[0], c[1], took)
		}
	}
}

func TestNothingRunsThatDoesNotStandInAFile(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "a", nil)
	b := n.signedIn(t, adminKey)
	inline := regexp.MustCompile(`(?i)<script(?:[^>]*[^/])?>[^<]|<style|\sstyle=|\son\w+=|javascript:|(?:src|href|action)="https?:`)
	asset := regexp.MustCompile(`/admin/assets/[a-z]+\.[0-9a-f]{12}\.(css|js|svg)`)
	total := 0
	seen := map[string]bool{}
	for _, path := range []string{"/admin/sign-in", home, "/admin/integration/a", "/admin/nowhere"} {
		got := b.get(path)
		if path == "/admin/sign-in" {
			got = n.browser(t).get(path)
		}
		if csp := got.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, got.header)
		}
		if found := inline.FindString(got.body); found != "" {
			t.Errorf("%s has %q", path, found)
		}
		if strings.Contains(got.body, "<b>") || path == home && !strings.Contains(got.body, "&lt;b&gt;") {
			t.Errorf("%s takes a name for HTML", path)
		}
		for _, address := range asset.FindAllString(got.body, -1) {
			if seen[address] {
				continue
			}
			seen[address] = true
			file := b.get(address)
			if file.status != http.StatusOK || file.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || file.header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s: %d %v", address, file.status, file.header)
			}
			length := 0
			for _, c := range file.header.Get("Content-Length") {
				length = 10*length + int(c-'0')
			}
			total += length
			if plain := b.get(address, "Accept-Encoding", "identity"); plain.body != file.body || plain.header.Get("Content-Encoding") != "" {
				t.Errorf("%s is another without gzip", address)
			}
		}
	}
	if len(seen) != 5 || total > 120<<10 {
		t.Errorf("%d assets of %d bytes", len(seen), total)
	}
	if got := b.get("/admin/assets/app.000000000000.js"); got.status != http.StatusNotFound {
		t.Errorf("an asset of another release: %d", got.status)
	}
	if got := b.get("/admin/nowhere"); got.status != http.StatusNotFound || !strings.Contains(got.body, "There is no page at") {
		t.Errorf("nowhere: %d %s", got.status, got.body)
	}
}

func TestThemeIsKept(t *testing.T) {
	t.Parallel()
	n := start(t)
	b := n.signedIn(t, adminKey)
	for _, want := range []string{`data-theme="light"`, `data-theme="dark"`, `data-theme=""`} {
		if got := b.post("/admin/theme", url.Values{"to": {home + "?q=1"}}); got.header.Get("Location") != home+"?q=1" {
			t.Errorf("led to %s", got.header.Get("Location"))
		}
		if got := b.get(home); !strings.Contains(got.body, want) {
			t.Errorf("the page has not %s", want)
		}
	}
}

func TestScopesSayWhatIsShown(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.connect(t, "mine", map[string]string{"supplierId": "42"})
	n.connect(t, "other", map[string]string{"supplierId": "43"})
	key := func(k access.Key) string {
		k.Name = "k"
		_, text, err := n.keys.Create(t.Context(), access.Everybody("x"), k)
		must(t, err)
		return text.Reveal()
	}
	none := n.signedIn(t, key(access.Key{Scopes: []access.Scope{access.StatusRead}}))
	if got := none.get(home); got.status != http.StatusForbidden || !strings.Contains(got.body, "integrations:read") || strings.Contains(got.body, "mine") {
		t.Errorf("without the scope: %d %s", got.status, got.body)
	}
	if got := none.get(home + "/live"); got.status != http.StatusForbidden {
		t.Errorf("live without the scope: %d", got.status)
	}
	bound := n.signedIn(t, key(access.Key{Scopes: []access.Scope{access.IntegrationsRead, access.DeliveriesRead}, Owner: map[string]string{"supplierId": "42"}}))
	if got := bound.get(home); !strings.Contains(got.body, "row-mine") || strings.Contains(got.body, "other") || !strings.Contains(got.body, "Throughput now") {
		t.Errorf("a bound key sees %s", got.body)
	}
	if got := bound.get("/admin/integration/other"); got.status != http.StatusNotFound {
		t.Errorf("a bound key and another's integration: %d", got.status)
	}
	if got := bound.get("/admin/integration/mine"); got.status != http.StatusOK || strings.Contains(got.body, "Save settings") || strings.Contains(got.body, "Pause") {
		t.Errorf("who may only look: %d", got.status)
	}
	if got := bound.post("/admin/integration/mine/pause", url.Values{"reason": {"x"}}, htmx()...); got.status != http.StatusForbidden || got.header.Get("Hx-Retarget") != "#notices" {
		t.Errorf("pausing with a key that may not: %d", got.status)
	}
	if got := n.audited(); !strings.Contains(got, "access.refuse scope_missing") {
		t.Errorf("audited: %s", got)
	}
}

func TestNewNeedsWhatItStandsOn(t *testing.T) {
	t.Parallel()
	if _, err := admin.New(admin.Config{}); err == nil {
		t.Error("without an API there is a page")
	}
}
