package vendors_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestMain(m *testing.M) {
	// net/http's ends by itself, half a second after a body was refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func start[V vendors.Vendor](tb testing.TB, f func(context.Context, vendors.Config) (V, error), cfg vendors.Config) V {
	tb.Helper()
	v, err := f(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := v.Close(); err != nil {
			tb.Error(err)
		}
	})
	return v
}

// do makes a request, and gives the status 0 where no answer came.
func do(tb testing.TB, method, url string, header http.Header, body string) (status int, h http.Header, answer string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = header
	req.Close = true // leave no connection behind
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// signedCall makes the headers of a Standard Webhook.
func signedCall(tb testing.TB, v vendors.Vendor, id, body string) http.Header {
	tb.Helper()
	_, secrets := v.Integration("i")
	key, err := standardwebhooks.NewWebhook(secrets.Current("signing").Reveal())
	if err != nil {
		tb.Fatal(err)
	}
	now := time.Now()
	signature, err := key.Sign(id, now, []byte(body))
	if err != nil {
		tb.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	h.Set("webhook-signature", signature)
	h.Set("content-type", "application/json")
	return h
}

const (
	shoot  = `{"client_id":"c","shoot_date":"2026-06-20T16:00:00+02:00","location":null,"timeline":[],"special_requests":"x"}`
	guests = `{"type":"guest_count.changed","timestamp":"2026-03-14T09:26:53Z","data":{"client_id":"c","guest_count":3}}`
)

func postShoot(tb testing.TB, v *vendors.StudioCloud, id string) (int, http.Header, string) {
	tb.Helper()
	return do(tb, http.MethodPost, v.URL()+"/webhooks/wedding", signedCall(tb, v, id, shoot), shoot)
}

func TestStartAll(t *testing.T) {
	t.Parallel()
	set, err := vendors.StartAll(t.Context(), vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range set.All() {
		names = append(names, v.Name())
		if set.Lookup(v.Name()) != v {
			t.Errorf("Lookup(%s) is another", v.Name())
		}
		a, err := adapter.Lookup(v.Name())
		if err != nil {
			t.Fatal(err)
		}
		in, secrets := v.Integration("sim")
		if in.ID != "sim" || in.Vendor != v.Name() || in.Category != cmp.Or(a.Describe().Category, in.Category) || in.Category == "" {
			t.Errorf("integration %+v", in)
		}
		if _, err := a.Connect(in, secrets); err != nil {
			t.Errorf("the settings of %s do not connect: %v", v.Name(), err)
		}
	}
	slices.Sort(names)
	if want := outside(t); !slices.Equal(names, want) {
		t.Errorf("simulators of %v, adapters of %v", names, want)
	}
	if v := set.Lookup("fax"); v != nil {
		t.Errorf("Lookup(fax) gives %v", v)
	}
	if err := errors.Join(set.Close(), set.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	for _, v := range set.All() {
		if status, _, _ := do(t, http.MethodGet, v.URL()+"/_sim/counts", nil, ""); status != 0 {
			t.Errorf("%s answers after Close", v.Name())
		}
	}
}

// freeRange finds n ports in a row that are free now.
func freeRange(t *testing.T, n int) int {
	t.Helper()
	var listen net.ListenConfig
	for range 50 {
		first, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		base := first.Addr().(*net.TCPAddr).Port
		first.Close()
		free := base < 65000
		for port := base; free && port < base+n; port++ {
			ln, err := listen.Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if free = err == nil; free {
				ln.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("there are no free ports in a row")
	return 0
}

// outside returns the vendors that are systems outside wedsync.
func outside(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(adapter.Vendors(), func(vendor string) bool {
		a, err := adapter.Lookup(vendor)
		if err != nil {
			t.Fatal(err)
		}
		return a.Describe().Internal
	})
}

func TestFixedPorts(t *testing.T) {
	t.Parallel()
	ports := len(outside(t)) + 1 // the mail server has two
	base := freeRange(t, ports)
	set, err := vendors.StartAll(t.Context(), vendors.Config{Port: base})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	in, secrets := set.Email.Integration("i")
	at := base
	for _, v := range set.All() {
		if want := "http://127.0.0.1:" + strconv.Itoa(at); v.URL() != want {
			t.Errorf("%s is at %s, want %s", v.Name(), v.URL(), want)
		}
		at++
		if v == vendors.Vendor(set.Email) {
			if !strings.Contains(string(in.Settings), `"port":`+strconv.Itoa(at)) {
				t.Errorf("mail is taken at %s, want %d", in.Settings, at)
			}
			at++
		}
	}
	// Started again, the secrets are the same.
	other := start(t, vendors.StartEmail, vendors.Config{})
	if _, again := other.Integration("i"); again.Current("password").Reveal() != secrets.Current("password").Reveal() {
		t.Error("the secrets change from start to start")
	}
	for offset := range ports { // every port but one is free: whatever had started is closed again
		at := freeRange(t, ports)
		var listen net.ListenConfig
		ln, err := listen.Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(at+offset)))
		if err != nil {
			t.Fatal(err)
		}
		if set, err := vendors.StartAll(t.Context(), vendors.Config{Port: at}); err == nil {
			set.Close()
			t.Errorf("it starts though port %d is taken", at+offset)
		}
		ln.Close()
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for says, cfg := range map[string]vendors.Config{
		"port is -1": {Port: -1}, "port is 65535": {Port: 65535}, "keep is -1": {Keep: -1},
	} {
		if _, err := vendors.StartAll(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want an error that says %q", cfg, err, says)
		}
	}
	if c := (vendors.Config{}).WithDefaults(); c.Host != "127.0.0.1" || c.Keep != 10_000 || c.Now == nil {
		t.Errorf("defaults %+v", c)
	}
}

func TestSignedRefuses(t *testing.T) {
	t.Parallel()
	studio := start(t, vendors.StartStudioCloud, vendors.Config{})
	venue := start(t, vendors.StartVenueMaster, vendors.Config{})
	system := start(t, vendors.StartAnySystem, vendors.Config{})
	path := "/webhooks/wedding"
	details := `{"type":"event.details","timestamp":"2026-03-14T09:26:53Z","data":{"client_id":"c","event_date":"2026-06-20T16:00:00+02:00","guest_count":3}}`
	wrap := `{"type":"a.b","timestamp":"2026-03-14T09:26:53Z","id":"e","channel":"c","data":{}}`
	cloud := `{"specversion":"1.0","id":"e","source":"/channels/c","type":"a.b","time":"2026-03-14T09:26:53Z","datacontenttype":"application/json","data":{}}`
	for _, test := range []struct {
		v            vendors.Vendor
		body, reason string
	}{
		{studio, `{`, "JSON"},
		{studio, `{"client_id":"c"}`, "fields must be"},
		{studio, strings.Replace(shoot, "{", `{"more":1,`, 1), "fields must be"},
		{studio, strings.Replace(shoot, `"c"`, `""`, 1), "client_id is missing"},
		{studio, strings.Replace(shoot, `T16:00:00+02:00`, ``, 1), "RFC 3339"},
		{studio, strings.Replace(shoot, `null`, `{}`, 1), "location"},
		{venue, `[]`, "unmarshal"},
		{venue, strings.Replace(guests, "09:26", "9", 1), "RFC 3339"},
		{venue, strings.Replace(guests, `"c"`, `7`, 1), "client_id"},
		{venue, strings.Replace(guests, `3}`, `"3"}`, 1), "guest_count"},
		{venue, strings.Replace(guests, `guest_count.`, `x.`, 1), "not known"},
		{venue, strings.Replace(guests, `guest_count.changed`, `timeline.updated`, 1), "event_date is missing"},
		{venue, `{"type":"wedding.date_changed","timestamp":"2026-03-14T09:26:53Z","data":{"client_id":"c","event_date":"x"}}`, "event_date"},
		{venue, strings.Replace(details, "3}", "-3}", 1), "guest_count"},
		{venue, strings.Replace(details, "T16:00:00+02:00", "", 1), "event_date"},
		{venue, `{"type":"setup.changed","timestamp":"2026-03-14T09:26:53Z","data":{"client_id":"c"}}`, "layout is missing"},
		{system, `{`, "JSON"},
		{system, strings.Replace(wrap, `{}`, `[]`, 1), "data must be an object"},
		{system, strings.Replace(wrap, `"c"`, `""`, 1), "channel is missing"},
		{system, strings.Replace(cloud, `1.0`, `0.3`, 1), "specversion is 0.3"},
		{system, strings.Replace(cloud, `"id"`, `"wedding_id":"w","id"`, 1), "name of an attribute"},
		{system, strings.Replace(cloud, `/channels`, `%`, 1), "source"},
		{system, strings.Replace(cloud, `application/json`, `text/plain`, 1), "datacontenttype"},
		{system, strings.Replace(cloud, `a.b`, ``, 1), "type is missing"},
	} {
		h := signedCall(t, test.v, "id", test.body)
		if strings.Contains(test.body, "specversion") {
			h.Set("Content-Type", "application/cloudevents+json")
		}
		status, _, body := do(t, http.MethodPost, test.v.URL()+path, h, test.body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(body, test.reason) {
			t.Errorf("%s %s: answered %d %s, want 422 that says %q", test.v.Name(), test.body, status, body, test.reason)
		}
		status, _, body = do(t, http.MethodPost, test.v.URL()+path, http.Header{}, test.body)
		if status != http.StatusUnauthorized {
			t.Errorf("without a signature: answered %d %s", status, body)
		}
	}
	h := signedCall(t, system, "id", cloud)
	if status, _, body := do(t, http.MethodPost, system.URL()+path, h, cloud); status != http.StatusUnprocessableEntity || !strings.Contains(body, "content type") {
		t.Errorf("a CloudEvent as application/json: answered %d %s", status, body)
	}
	if c := studio.Counts(); c.Taken != 0 || c.Refused != c.Calls || c.Calls == 0 {
		t.Errorf("counts %+v", c)
	}
	if status, _, _ := do(t, http.MethodPost, studio.URL()+path, nil, strings.Repeat("x", 2<<20)); status != http.StatusRequestEntityTooLarge && status != 0 {
		t.Errorf("2 MiB are answered %d", status)
	}
}

// TestWebhooks sends each sample to an address that always answers the same.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	set, err := vendors.StartAll(t.Context(), vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	var mu sync.Mutex
	bodies := map[string][]byte{}
	var headers []http.Header
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies[string(raw)], headers = raw, append(headers, req.Header)
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("thanks"))
	}))
	defer to.Close()
	for _, v := range set.All() {
		sender, ok := v.(vendors.Sender)
		if !ok {
			continue
		}
		for _, w := range sender.Webhooks() {
			sent, err := sender.Send(t.Context(), to.URL, w)
			if err != nil || len(sent) != 1 || sent[0].Status != http.StatusAccepted || sent[0].ID == "" || string(sent[0].Body) != "thanks" {
				t.Errorf("%s %s: %+v, %v", v.Name(), w.Type, sent, err)
			}
		}
		sender.Faults().SpoilWebhooks(vendors.WebhookFault{Duplicate: true})
		sent, err := sender.Send(t.Context(), to.URL, vendors.Webhook{ID: "mine", Type: sender.Webhooks()[0].Type, Data: map[string]any{}})
		if err != nil || len(sent) != 2 || sent[0].ID != "mine" || sent[1].ID != "mine" {
			t.Errorf("%s: %+v, %v", v.Name(), sent, err)
		}
		if _, err := sender.Send(t.Context(), "http://127.0.0.1:1/", sender.Webhooks()[0]); err == nil {
			t.Errorf("%s sends to nobody", v.Name())
		}
		if _, err := sender.Send(t.Context(), "::", sender.Webhooks()[0]); err == nil {
			t.Errorf("%s sends to nowhere", v.Name())
		}
		if _, err := sender.Send(t.Context(), to.URL, vendors.Webhook{Type: sender.Webhooks()[0].Type, Data: map[string]any{"x": func() {}}}); err == nil {
			t.Errorf("%s writes a function as JSON", v.Name())
		}
	}
	mu.Lock()
	retried := false
	for _, h := range headers {
		retried = retried || h.Get("X-Slack-Retry-Num") == "1"
	}
	if !retried {
		t.Error("Slack does not number its retries")
	}
	escaped := false
	for _, raw := range bodies {
		if bytes.Contains(raw, []byte("whatsapp_business_account")) {
			escaped = escaped || bytes.Contains(raw, []byte(`\u00e0 16 h`)) && bytes.Contains(raw, []byte(`\ud83c\udf89`))
			if bytes.ContainsFunc(raw, func(r rune) bool { return r > 127 }) || !json.Valid(raw) {
				t.Errorf("Meta escapes what is beyond ASCII: %s", raw)
			}
		}
	}
	mu.Unlock()
	if !escaped {
		t.Errorf("Meta's escapes are missing in %d bodies", len(bodies))
	}
	if _, err := set.WhatsApp.Send(t.Context(), to.URL, vendors.Webhook{Type: "call"}); err == nil {
		t.Error("WhatsApp sends a webhook of an unknown type")
	}
	for name, check := range map[string]func(context.Context, string) error{"slack": set.Slack.Handshake, "whatsapp": set.WhatsApp.Handshake} {
		if err := check(t.Context(), to.URL); err == nil || !strings.Contains(err.Error(), "not the challenge") {
			t.Errorf("%s takes an address that echoes nothing: %v", name, err)
		}
		if err := check(t.Context(), "http://127.0.0.1:1/"); err == nil {
			t.Errorf("%s takes an address where nobody is", name)
		}
		if err := check(t.Context(), "::"); err == nil {
			t.Errorf("%s takes no address", name)
		}
	}
}
