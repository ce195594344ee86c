package vendors_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestWhatsAppRefuses(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartWhatsApp, vendors.Config{})
	_, secrets := v.Integration("i")
	h := http.Header{"Authorization": {"Bearer " + secrets.Current("access_token").Reveal()}}
	url := v.URL() + "/v24.0/106540352242922/messages"
	message := func(content string) string {
		return `{"messaging_product":"whatsapp","recipient_type":"individual","to":"+33612345678","biz_opaque_callback_data":"dlv_1",` + content + `}`
	}
	text := func(body string) string { return message(`"type":"text","text":{"body":"` + body + `"}`) }
	template := func(parameters string) string {
		return message(`"type":"template","template":{"name":"n","language":{"code":"en"},"components":[{"type":"body","parameters":[` + parameters + `]}]}`)
	}
	word := func(text string) string { return `{"type":"text","text":"` + text + `"}` }
	for _, test := range []struct {
		body string
		code int
	}{
		{text("hello"), 0},
		{template(word("hello")), 0},
		{template(word("four    spaces")), 0},
		{`{`, 100},
		{strings.Replace(text("x"), `:"whatsapp"`, `:"x"`, 1), 100},
		{strings.Replace(text("x"), `individual`, `group`, 1), 131009},
		{strings.Replace(text("x"), `+33612345678`, ``, 1), 131008},
		{strings.Replace(text("x"), `+33612345678`, `home`, 1), 131009},
		{strings.Replace(text("x"), `dlv_1`, strings.Repeat("d", 513), 1), 100},
		{text(""), 100},
		{text(strings.Repeat("é", 4097)), 100},
		{message(`"type":"text"`), 131008},
		{message(`"type":"template"`), 131008},
		{message(`"type":"text","text":{"body":"x"},"template":{}`), 100},
		{message(`"type":"poll"`), 131051},
		{message(`"type":"template","template":{"name":"n"}`), 131008},
		{template(word("")), 131008},
		{template(word(`a\nb`)), 132005},
		{template(word("five     spaces")), 132005},
		{template(`{"type":"image"}`), 132012},
		{template(word(strings.Repeat("x", 600)) + "," + word(strings.Repeat("x", 600))), 132005},
	} {
		status, _, body := do(t, http.MethodPost, url, h, test.body)
		want := 400
		if test.code == 0 {
			want = 200
		}
		if status != want || test.code != 0 && !strings.Contains(body, fmt.Sprintf(`"code":%d`, test.code)) {
			t.Errorf("%.120s: answered %d %s, want code %d", test.body, status, body, test.code)
		}
		if test.code == 0 && !strings.Contains(body, `"id":"wamid.`) {
			t.Errorf("answered %s", body)
		}
	}
	if c := v.Counts(); c.Taken != 3 || c.Distinct != 1 {
		t.Errorf("counts %+v", c)
	}
	if status, _, body := do(t, http.MethodPost, url, nil, text("x")); status != 401 || !strings.Contains(body, `"code":190`) {
		t.Errorf("without a token: answered %d %s", status, body)
	}
	for code, want := range map[string]int{"2": 503, "131000": 500, "80007": 429, "190": 401, "131047": 400} {
		remove := v.Faults().Add(vendors.Fault{Code: code})
		if status, _, body := do(t, http.MethodPost, url, h, text("x")); status != want || !strings.Contains(body, `"code":`+code) {
			t.Errorf("code %s is answered %d %s, want %d", code, status, body, want)
		}
		remove()
	}
	for status, code := range map[int]string{400: "100", 403: "10", 429: "130429", 500: "131000", 503: "131016", 418: "131000"} {
		remove := v.Faults().Add(vendors.Fault{Status: status})
		if got, _, body := do(t, http.MethodPost, url, h, text("x")); got != status || !strings.Contains(body, `"code":`+code) {
			t.Errorf("status %d is answered %d %s, want code %s", status, got, body, code)
		}
		remove()
	}
}

// TestWhatsAppRates: a burst of 45 to one recipient, then one every six seconds.
func TestWhatsAppRates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := start(t, vendors.StartWhatsApp, vendors.Config{RateLimits: true, Now: func() time.Time { return now }})
	_, secrets := v.Integration("i")
	h := http.Header{"Authorization": {"Bearer " + secrets.Current("access_token").Reveal()}}
	send := func(to string) string {
		_, _, body := do(t, http.MethodPost, v.URL()+"/v24.0/106540352242922/messages", h,
			`{"messaging_product":"whatsapp","to":"`+to+`","type":"text","text":{"body":"x"}}`)
		return body
	}
	for i := range 45 {
		if body := send("+33612345678"); strings.Contains(body, "error") {
			t.Fatalf("message %d: %s", i+1, body)
		}
	}
	if body := send("+33612345678"); !strings.Contains(body, "131056") {
		t.Errorf("message 46 to one recipient: %s", body)
	}
	for i := range 34 { // with the 46 before, 80 in this second
		if body := send(fmt.Sprintf("+336123456%02d", i)); strings.Contains(body, "error") {
			t.Fatalf("to another, %d: %s", i, body)
		}
	}
	if body := send("+33700000000"); !strings.Contains(body, "130429") {
		t.Errorf("message 81: %s", body)
	}
}

func TestVSCORefuses(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartVSCO, vendors.Config{})
	_, secrets := v.Integration("i")
	key := http.Header{"X-Api-Key": {secrets.Current("api_key").Reveal()}}
	const entry = `{"startDate":"2026-06-20","startTime":"16:00:00","descriptionHtml":"x"`
	for _, c := range []struct {
		name, method, path string
		header             http.Header
		body               string
		status             int
		words              string
	}{
		{"no key", "POST", "/event", http.Header{}, entry + `}`, 401, "Unauthorized"},
		{"no key to look up", "GET", "/event?externalMappingId=c&pageSize=10", http.Header{}, ``, 401, "Unauthorized"},
		{"no key to update", "PUT", "/event/x", http.Header{}, entry + `}`, 401, "Unauthorized"},
		{"a small page", "GET", "/event?pageSize=1", key, ``, 400, "from 10 to 100"},
		{"no JSON", "POST", "/event", key, `{`, 400, "unexpected end"},
		{"a time with an offset", "POST", "/event", key, `{"startTime":"16:00:00+02:00"}`, 400, "startTime"},
		{"a date with a time", "POST", "/event", key, `{"startDate":"2026-06-20T16:00:00Z"}`, 400, "startDate"},
		{"no description", "POST", "/event", key, `{"startDate":"2026-06-20","startTime":"16:00:00"}`, 400, "descriptionHtml is missing"},
		{"a long name", "POST", "/event", key, `{"name":"` + strings.Repeat("x", 256) + `"}`, 400, "255"},
		{"a field it has not", "POST", "/event", key, `{"shoot_date":"x"}`, 400, "shoot_date: is not known"},
		{"a mapping updated", "PUT", "/event/x", key, `{"externalMappings":[]}`, 400, "can not be updated"},
		{"no such entry", "PUT", "/event/x", key, entry + `}`, 404, "Not Found"},
	} {
		if status, _, answer := do(t, c.method, v.URL()+c.path, c.header, c.body); status != c.status || !strings.Contains(answer, c.words) {
			t.Errorf("%s: answered %d %s, want %d with %q", c.name, status, answer, c.status, c.words)
		}
	}
	if n := v.Counts().Taken; n != 0 || len(v.Entries()) != 0 {
		t.Errorf("%d calls were taken", n)
	}
	for range 2 { // it has no idempotency key
		if status, _, answer := do(t, "POST", v.URL()+"/event", key, entry+`}`); status != 201 {
			t.Errorf("answered %d %s", status, answer)
		}
	}
	if n := len(v.Entries()); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

func TestTripleseatRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := start(t, vendors.StartTripleseat, vendors.Config{RateLimits: true, Now: func() time.Time { return now }})
	in, secrets := v.Integration("i")
	var settings struct {
		Client string `json:"client_id"`
	}
	if err := json.Unmarshal(in.Settings, &settings); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {settings.Client}, "client_secret": {secrets.Current("client_secret").Reveal()}}
	asForm := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	grant := func(h http.Header, body string) (int, string) {
		status, _, answer := do(t, http.MethodPost, v.URL()+"/oauth2/token", h, body)
		return status, answer
	}
	for name, test := range map[string]struct {
		header http.Header
		body   string
		want   string
	}{
		"no form":      {nil, form.Encode(), "invalid_request"},
		"a bad form":   {asForm, "%", "invalid_request"},
		"grant type":   {asForm, strings.Replace(form.Encode(), "client_credentials", "password", 1), "unsupported_grant_type"},
		"wrong secret": {asForm, strings.Replace(form.Encode(), "client_secret=", "client_secret=x", 1), "invalid_client"},
		"wrong client": {asForm, strings.Replace(form.Encode(), "client_id=", "client_id=x", 1), "invalid_client"},
	} {
		if status, body := grant(test.header, test.body); status < 400 || !strings.Contains(body, test.want) {
			t.Errorf("%s: answered %d %s, want %s", name, status, body, test.want)
		}
	}
	_, answer := grant(asForm, form.Encode())
	var granted struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(answer), &granted); err != nil || granted.Token == "" || granted.Seconds != 7200 || v.Grants() != 1 {
		t.Fatalf("granted %s, %v", answer, err)
	}
	bearer := http.Header{"Authorization": {"Bearer " + granted.Token}}
	const path, guests = "/v1/events/61680687.json", `{"event":{"guest_count":3,"event_start":"06/20/2026 04:00 PM"}}`
	for _, test := range []struct {
		path, body string
		header     http.Header
		status     int
	}{
		{path, guests, bearer, 200},
		{path, guests, nil, 401},
		{path, guests, http.Header{"Authorization": {"Bearer x"}}, 401},
		{"/v1/events/1.json", guests, bearer, 404},
		{path, `{`, bearer, 400},
		{path, `{}`, bearer, 422},
		{path, `{"event":{"guest_count":"3"}}`, bearer, 422},
		{path, `{"event":{"event_end":"2026-06-20T16:00:00Z"}}`, bearer, 422},
		{path, `{"event":{"colour":"blue"}}`, bearer, 422},
	} {
		if status, _, body := do(t, http.MethodPut, v.URL()+test.path, test.header, test.body); status != test.status {
			t.Errorf("%s %s: answered %d %s, want %d", test.path, test.body, status, body, test.status)
		}
	}
	for range 3 { // with the seven before that had a token, ten in this second
		do(t, http.MethodPut, v.URL()+path, bearer, guests)
	}
	if status, h, _ := do(t, http.MethodPut, v.URL()+path, bearer, guests); status != 429 || h.Get("Retry-After") != "1" {
		t.Errorf("call 11: answered %d, %v", status, h)
	}
	if status, _, body := do(t, http.MethodGet, v.URL()+"/v1/sites.json", bearer, ""); status != 200 || !strings.Contains(body, "Vaux") {
		t.Errorf("sites: answered %d %s", status, body)
	}
	remove := v.Faults().Add(vendors.Fault{Code: "server_error"})
	if status, _, body := do(t, http.MethodPut, v.URL()+path, bearer, guests); status != 500 || !strings.Contains(body, "server_error") {
		t.Errorf("answered %d %s", status, body)
	}
	remove()
	now = now.Add(7200 * time.Second)
	if status, _, _ := do(t, http.MethodGet, v.URL()+"/v1/sites.json", bearer, ""); status != 401 {
		t.Errorf("a token that has ended is answered %d", status)
	}
}

func TestSlackRefuses(t *testing.T) {
	t.Parallel()
	v := start(t, vendors.StartSlack, vendors.Config{})
	_, hookSecrets := v.Integration("i")
	in, botSecrets := v.BotIntegration("i")
	if !strings.Contains(string(in.Settings), "C024BE91L") {
		t.Errorf("settings %s", in.Settings)
	}
	hook, post := hookSecrets.Current("webhook_url").Reveal(), v.URL()+"/api/chat.postMessage"
	bot := http.Header{"Authorization": {"Bearer " + botSecrets.Current("bot_token").Reveal()}, "Content-Type": {"application/json"}}
	message := func(content string) string { return `{"channel":"C024BE91L","text":"x",` + content + `}` }
	section := func(text string) string {
		return message(`"blocks":[{"type":"section","text":{"type":"mrkdwn","text":"` + text + `"}}]`)
	}
	many := strings.TrimSuffix(strings.Repeat(`{"type":"divider"},`, 51), ",")
	fields := strings.TrimSuffix(strings.Repeat(`{"type":"mrkdwn","text":"x"},`, 11), ",")
	for _, test := range []struct{ body, hook, bot string }{
		{section("hello"), "ok", ""},
		{section(strings.Repeat("é", 3000)), "ok", ""},
		{message(`"blocks":[{"type":"divider"}]`), "ok", ""},
		{`{`, "invalid_payload", "invalid_json"},
		{`{"channel":"C024BE91L"}`, "no_text", "no_text"},
		{section(strings.Repeat("é", 3001)), "invalid_blocks", "invalid_blocks"},
		{section(""), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[` + many + `]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"section"}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"section","fields":[` + fields + `]}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"section","fields":[{"type":"html","text":"x"}]}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"header","text":{"type":"mrkdwn","text":"x"}}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"header","block_id":"` + strings.Repeat("b", 256) + `","text":{"type":"plain_text","text":"x"}}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"context","elements":[]}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"blocks":[{"type":"carousel"}]`), "invalid_blocks", "invalid_blocks"},
		{message(`"metadata":{"event_payload":{}}`), "invalid_blocks", "invalid_metadata_format"},
		{`{"channel":"C024BE91L","text":"` + strings.Repeat("x", 40_001) + `"}`, "invalid_blocks", "msg_too_long"},
	} {
		if _, _, body := do(t, http.MethodPost, hook, nil, test.body); body != test.hook {
			t.Errorf("%.100s to the webhook: %s, want %s", test.body, body, test.hook)
		}
		status, _, body := do(t, http.MethodPost, post, bot, test.body)
		if status != 200 || test.bot == "" && !strings.Contains(body, `"ok":true`) || test.bot != "" && !strings.Contains(body, `"error":"`+test.bot+`"`) {
			t.Errorf("%.100s to the API: %d %s, want %s", test.body, status, body, test.bot)
		}
	}
	check := func(want string, h http.Header, body string) {
		t.Helper()
		if _, _, got := do(t, http.MethodPost, post, h, body); !strings.Contains(got, want) {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
	check("not_authed", nil, section("x"))
	check("invalid_auth", http.Header{"Authorization": {"Bearer x"}}, section("x"))
	check("invalid_json", http.Header{"Authorization": bot["Authorization"]}, section("x"))
	check("channel_not_found", bot, `{"channel":"C1","text":"x"}`)
	if status, _, body := do(t, http.MethodPost, v.URL()+"/services/T/B/guess", nil, section("x")); status != 404 || body != "no_service" {
		t.Errorf("another webhook: answered %d %s", status, body)
	}
	if _, _, body := do(t, http.MethodPost, v.URL()+"/api/auth.test", nil, ""); !strings.Contains(body, "not_authed") {
		t.Errorf("auth.test: %s", body)
	}
	for code, want := range map[string]int{"": 400, "rollup_error": 500, "no_service": 404} {
		remove := v.Faults().Add(vendors.Fault{Code: code, Status: map[string]int{"": 400}[code]})
		if status, _, _ := do(t, http.MethodPost, hook, nil, section("x")); status != want {
			t.Errorf("code %q is answered %d, want %d", code, status, want)
		}
		remove()
	}
	remove := v.Faults().Add(vendors.Fault{Status: 500})
	if status, _, body := do(t, http.MethodPost, post, bot, section("x")); status != 500 || !strings.Contains(body, "internal_error") {
		t.Errorf("answered %d %s", status, body)
	}
	remove()
}

// TestSlackRates: about one a second, with short bursts.
func TestSlackRates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	v := start(t, vendors.StartSlack, vendors.Config{RateLimits: true, Now: func() time.Time { return now }})
	_, secrets := v.Integration("i")
	_, botSecrets := v.BotIntegration("i")
	for i := range 6 {
		status, h, body := do(t, http.MethodPost, secrets.Current("webhook_url").Reveal(), nil, `{"text":"x"}`)
		if limited := i == 5; limited != (status == 429) || limited && (h.Get("Retry-After") != "1" || body != "rate_limited") {
			t.Errorf("message %d: answered %d %s", i+1, status, body)
		}
	}
	status, h, body := do(t, http.MethodPost, v.URL()+"/api/chat.postMessage",
		http.Header{"Authorization": {"Bearer " + botSecrets.Current("bot_token").Reveal()}}, `{}`)
	if status != 429 || h.Get("Retry-After") != "1" || !strings.Contains(body, "ratelimited") {
		t.Errorf("answered %d %s", status, body)
	}
}

// BenchmarkTake is what a simulator costs, client included.
func BenchmarkTake(b *testing.B) {
	for name, cfg := range map[string]vendors.Config{"kept": {}, "discarded": {Discard: true}} {
		b.Run(name, func(b *testing.B) {
			v := start(b, vendors.StartVenueMaster, cfg)
			h := signedCall(b, v, "id", guests)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, v.URL()+"/webhooks/wedding", strings.NewReader(guests))
					if err != nil {
						b.Error(err)
						return
					}
					req.Header = h
					resp, err := client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					resp.Body.Close()
				}
			})
			if c := v.Counts(); c.Taken != b.N {
				b.Errorf("took %d of %d", c.Taken, b.N)
			}
		})
	}
}
