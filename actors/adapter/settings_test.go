package adapter_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// problems connects and returns the fields that are wrong, sorted.
func problems(t *testing.T, vendor, settings string, secrets event.Secrets) ([]string, string) {
	t.Helper()
	a, err := adapter.Lookup(vendor)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := a.Connect(event.Integration{ID: "int_1", Settings: json.RawMessage(settings)}, secrets)
	if err == nil {
		return nil, ""
	}
	var e *adapter.SettingsError
	if !errors.As(err, &e) || conn != nil || e.Vendor != vendor {
		t.Fatalf("Connect gives %v, %v; want a *SettingsError and no connection", conn, err)
	}
	var fields []string
	for _, p := range e.Problems {
		if p.Reason == "" || !strings.Contains(err.Error(), p.Field) {
			t.Errorf("problem %+v in %q", p, err)
		}
		fields = append(fields, p.Field)
	}
	slices.Sort(fields)
	return fields, err.Error()
}

// TestSettingsNothing names everything that must be entered, in one error.
func TestSettingsNothing(t *testing.T) {
	t.Parallel()
	for vendor, want := range map[string][]string{
		"studiocloud":   {"secrets.signing", "settings.url"},
		"venuemaster":   {"secrets.signing", "settings.url"},
		"partyrental":   {"secrets.signing", "settings.url"},
		"eventplanning": {"secrets.signing", "settings.url"},
		"irisworks":     {"secrets.signing", "settings.url"},
		"shootq":        {"secrets.signing", "settings.url"},
		"tripleseat":    {"secrets.client_secret", "settings.client_id"},
		"vsco":          {"secrets.api_key", "settings.link"},
		"webhook":       {"secrets.signing", "settings.url"},
		"whatsapp":      {"secrets.access_token", "settings.phone_number_id", "settings.to"},
		"slack":         {"secrets.webhook_url"},
		"email":         {"settings.from", "settings.host", "settings.to"},
	} {
		for _, nothing := range []string{"", "null", "{}", " "} {
			if got, _ := problems(t, vendor, nothing, nil); !slices.Equal(got, want) {
				t.Errorf("%s with settings %q: problems %v, want %v", vendor, nothing, got, want)
			}
		}
	}
}

// TestSettingsStrict refuses what it does not know and what is not JSON, for every vendor.
func TestSettingsStrict(t *testing.T) {
	t.Parallel()
	for _, vendor := range adapter.Vendors() {
		settings, secrets := settled(vendor)
		if got, text := problems(t, vendor, settings, secrets); got != nil {
			t.Fatalf("%s: %s", vendor, text)
		}
		with := func(more string) string {
			return strings.Replace(strings.Replace(settings, "{", "{"+more+",", 1), ",}", "}", 1)
		}
		check := func(settings string, secrets event.Secrets, want, says string) {
			t.Helper()
			if got, text := problems(t, vendor, settings, secrets); !slices.Equal(got, []string{want}) || !strings.Contains(text, says) {
				t.Errorf("%s with %s: %q, want a problem of %s that says %q", vendor, settings, text, want, says)
			}
		}
		a, _ := adapter.Lookup(vendor)
		allowed := a.Describe().Settings[0].Name
		check(with(`"colour":"blue"`), secrets, "settings.colour", allowed)
		check(with(`"URL":"https://x.example"`), secrets, "settings.URL", allowed)
		more := event.Secrets{"tooth": {event.SecretOf("x")}}
		for name, values := range secrets {
			more[name] = values
		}
		check(settings, more, "secrets.tooth", "is not known")
		check(settings+"{}", secrets, "settings", "after")
		for _, bad := range []string{"[]", "7", `"x"`, "{", `{"a"`, `{"a":}`, `{"url":"x",`} {
			if got, _ := problems(t, vendor, bad, secrets); !slices.Contains(got, "settings") {
				t.Errorf("%s with %s: problems %v", vendor, bad, got)
			}
		}
	}
}

// TestSettingsOne tries one wrong setting or secret at a time.
func TestSettingsOne(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		vendor, name string
		value        any
		says         string
	}{
		{"studiocloud", "url", "", "is empty"},
		{"studiocloud", "url", nil, "is required"},
		{"studiocloud", "url", 7, "is not a text"},
		{"studiocloud", "url", "ftp://x.example/", "https://"},
		{"studiocloud", "url", "/hook", "https://"},
		{"studiocloud", "url", "https://", "no host"},
		{"studiocloud", "url", "https://me:pw@x.example/", "user name"},
		{"studiocloud", "url", "https://x.example/#a", "fragment"},
		{"studiocloud", "url", "https://x.example/\u0000", "control character"},
		{"studiocloud", "url", "https://x example:99/", "not a URL"},
		{"vsco", "link", "http://a.b", "12 to 255"},
		{"vsco", "job_id", "42", "26"},
		{"vsco", "base_url", "workspace.vsco.co", "https://"},
		{"tripleseat", "client_id", "u i d", "UID"},
		{"tripleseat", "event_id", "evt_1", "digits"},
		{"tripleseat", "base_url", "api.tripleseat.com", "https://"},
		{"webhook", "format", "xml", "standard, cloudevents"},
		{"whatsapp", "phone_number_id", "abc", "digits"},
		{"whatsapp", "to", "0612345678", "+33612345678"},
		{"whatsapp", "to", "+0612345678", "+33612345678"},
		{"whatsapp", "to", "+33 6 12", "+33612345678"},
		{"whatsapp", "mode", "poem", "template, text"},
		{"whatsapp", "language", "english", "en_US"},
		{"whatsapp", "version", "24", "v24.0"},
		{"whatsapp", "base_url", "graph", "https://"},
		{"whatsapp", "templates", "x", "is not an object of templates"},
		{"whatsapp", "templates", map[string]any{"*": map[string]any{"name": "x", "lang": "en"}}, "lang"},
		{"email", "host", "smtp example", "host name"},
		{"email", "port", 0, "1 to 65535"},
		{"email", "port", 70000, "1 to 65535"},
		{"email", "port", "smtp", "1 to 65535"},
		{"email", "port", []int{1}, "1 to 65535"},
		{"email", "tls", "ssl", "starttls, implicit, none"},
		{"email", "from", "Weddings", "is not an address"},
		{"email", "to", "a@example.com; b@example.com", "separated by commas"},
		{"slack", "channel", "C1", "goes with a bot_token"},
		{"slack", "base_url", "slack", "https://"},
	} {
		settings, secrets := settled(test.vendor)
		in := withSetting(event.Integration{Settings: json.RawMessage(settings)}, test.name, test.value)
		want := "settings." + test.name
		if got, text := problems(t, test.vendor, string(in.Settings), secrets); !slices.Equal(got, []string{want}) || !strings.Contains(text, test.says) {
			t.Errorf("%s with %s %v: %q, want a problem of %s that says %q", test.vendor, test.name, test.value, text, want, test.says)
		}
	}
	twice := `{"url":"https://a.example","url":"https://b.example"}`
	if got, _ := problems(t, "studiocloud", twice, event.Secrets{"signing": {event.SecretOf(testSecret)}}); !slices.Equal(got, []string{"settings.url"}) {
		t.Errorf("a setting given twice: problems %v", got)
	}
}

func TestSettingsTemplates(t *testing.T) {
	t.Parallel()
	settings, secrets := settled("whatsapp")
	many := make([]string, 21)
	for i := range many {
		many[i] = "venue"
	}
	for _, test := range []struct {
		eventType string
		template  map[string]any
		says      string
	}{
		{"timeline.updated", map[string]any{"name": "Timeline"}, "a-z, 0-9 and _"},
		{"timeline.updated", map[string]any{}, "a-z, 0-9 and _"},
		{"Timeline", map[string]any{"name": "x"}, "write it like timeline.updated"},
		{"timeline.updated", map[string]any{"name": "x", "language": "?"}, "en_US"},
		{"*", map[string]any{"name": "x", "parameters": []string{"$everything"}}, "$summary"},
		{"*", map[string]any{"name": "x", "parameters": []string{""}}, "payload field"},
		{"*", map[string]any{"name": "x", "parameters": many}, "at most 20"},
	} {
		in := withSetting(event.Integration{Settings: json.RawMessage(settings)}, "templates", map[string]any{test.eventType: test.template})
		got, text := problems(t, "whatsapp", string(in.Settings), secrets)
		if !slices.Equal(got, []string{"settings.templates." + test.eventType}) || !strings.Contains(text, test.says) {
			t.Errorf("%v: %q, want one that says %q", test.template, text, test.says)
		}
	}
}

// TestSecrets tries wrong secrets; no error shows any of them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	short, long := "whsec_"+strings.Repeat("QUJD", 7), "whsec_"+strings.Repeat("QUJD", 22)
	for _, test := range []struct {
		vendor, name, value, says string
	}{
		{"studiocloud", "signing", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"},
		{"studiocloud", "signing", "whsec_%%%", "base64"},
		{"studiocloud", "signing", short, "21 bytes"},
		{"studiocloud", "webhook", long, "66 bytes"},
		{"studiocloud", "signing", " ", "is required"},
		{"whatsapp", "access_token", "two words", "copy it again"},
		{"whatsapp", "app_secret", "naïve", "copy it again"},
		{"slack", "webhook_url", "hooks.slack.com/services", "https://"},
		{"email", "password", "alone", "settings.username"},
	} {
		settings, secrets := settled(test.vendor)
		secrets[test.name] = []event.Secret{event.SecretOf(test.value)}
		got, text := problems(t, test.vendor, settings, secrets)
		if len(got) != 1 || !strings.Contains(text, test.says) || len(test.value) > 1 && strings.Contains(text, test.value) {
			t.Errorf("%s %s: %q, want one problem that says %q and not the secret", test.vendor, test.name, text, test.says)
		}
	}
	for _, n := range []int{8, 21} { // 24 and 63 bytes
		settings, secrets := settled("studiocloud")
		secrets["signing"] = []event.Secret{event.SecretOf("  whsec_" + strings.Repeat("QUJD", n) + "\n")}
		if got, text := problems(t, "studiocloud", settings, secrets); got != nil {
			t.Errorf("a secret of %d bytes: %s", 3*n, text)
		}
	}
}

func TestSlackWays(t *testing.T) {
	t.Parallel()
	hook, bot := event.SecretOf("https://hooks.slack.com/services/T/B/X"), event.SecretOf("xoxb-1")
	for _, test := range []struct {
		settings string
		secrets  event.Secrets
		want     []string
	}{
		{`{}`, event.Secrets{"webhook_url": {hook}}, nil},
		{`{"channel":"C1"}`, event.Secrets{"bot_token": {bot}}, nil},
		{`{}`, event.Secrets{"bot_token": {bot}}, []string{"settings.channel"}},
		{`{"channel":"C1"}`, event.Secrets{"bot_token": {bot}, "webhook_url": {hook}}, []string{"secrets.webhook_url"}},
	} {
		if got, text := problems(t, "slack", test.settings, test.secrets); !slices.Equal(got, test.want) {
			t.Errorf("%s with %d secrets: %s", test.settings, len(test.secrets), text)
		}
	}
}

func TestEmailCredentials(t *testing.T) {
	t.Parallel()
	settings, _ := settled("email")
	in := withSetting(event.Integration{Settings: json.RawMessage(settings)}, "username", "me")
	if got, _ := problems(t, "email", string(in.Settings), nil); !slices.Equal(got, []string{"secrets.password"}) {
		t.Errorf("a user name alone: problems %v", got)
	}
	for _, port := range []any{25, "465"} {
		in := withSetting(event.Integration{Settings: json.RawMessage(settings)}, "port", port)
		if got, text := problems(t, "email", string(in.Settings), nil); got != nil {
			t.Errorf("port %v: %s", port, text)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	want := []string{
		"client-communications", "email", "eventplanning", "irisworks", "partyrental", "project-management", "shootq", "slack", "studiocloud", "supplier-dashboards",
		"timeline-coordination", "tripleseat", "venuemaster", "vsco", "webhook", "whatsapp",
	}
	if got := adapter.Vendors(); !slices.Equal(got, want) {
		t.Errorf("vendors %v, want %v", got, want)
	}
	_, err := adapter.Lookup("fax")
	var unknown *adapter.UnknownVendorError
	if !errors.As(err, &unknown) || unknown.Vendor != "fax" || !strings.Contains(err.Error(), "studiocloud") {
		t.Errorf("Lookup(fax) gives %v", err)
	}
	for _, vendor := range want {
		a, err := adapter.Lookup(vendor)
		if err != nil || a.Describe().Vendor != vendor {
			t.Errorf("Lookup(%s) gives %v", vendor, err)
		}
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	for kind, want := range map[adapter.Kind]string{
		adapter.KindRetry: "retry", adapter.KindDelivered: "delivered", adapter.KindPause: "pause",
		adapter.KindDead: "dead", adapter.KindInstead: "instead", 77: "Kind(77)",
	} {
		if got := fmt.Sprint(kind); got != want {
			t.Errorf("kind %d is %q, want %q", kind, got, want)
		}
	}
}
