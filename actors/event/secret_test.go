package event_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	yaml "go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
)

const planted = "hunter2-planted-secret"

func TestSecretShowsItselfNowhere(t *testing.T) {
	t.Parallel()
	secret := event.Secret(planted)
	type holder struct {
		Secret  event.Secret
		Pointer *event.Secret
		Any     any
		List    []event.Secret
		Map     map[string]event.Secret
		Secrets event.Secrets
		Mail    *event.Mail
		HTTP    []event.HTTPCall
	}
	held := holder{
		secret, &secret, secret,
		[]event.Secret{secret},
		map[string]event.Secret{"a": secret},
		event.Secrets{"signing": {secret, secret}},
		&event.Mail{Password: secret},
		[]event.HTTPCall{{
			URL: "https://hooks.example.com/" + planted, Header: http.Header{"Authorization": {planted}}, Body: []byte(planted),
		}},
	}
	shown := map[string]string{}
	for _, flags := range []string{"", "+", "#", "-", " ", "0", "20", ".3", ".100"} {
		for verb := 'A'; verb <= 'z'; verb++ {
			if verb == 'p' || verb == 'w' || verb == 'T' { // see the comment on Secret; %T shows the type
				continue
			}
			format := "%" + flags + string(verb)
			for name, v := range map[string]any{"secret": secret, "pointer": &secret, "holder": held, "holder pointer": &held} {
				shown[format+" of "+name] = fmt.Sprintf(format, v)
			}
		}
	}
	shown["print"] = fmt.Sprint(secret, held)
	shown["extra argument"] = fmt.Sprintf(strings.Clone("x"), secret)
	shown["width"] = fmt.Sprintf(strings.Clone("%*d"), secret, 1)
	shown["wrapped"] = fmt.Errorf("%w: %v", errors.New("x"), secret).Error()
	shown["hex"] = fmt.Sprintf("%x", []any{secret})
	encode := func(name string, b []byte, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown[name] = string(b)
	}
	held.HTTP = nil // Format keeps it from being printed; nobody writes it as JSON
	b, err := json.Marshal(held)
	encode("json", b, err)
	b, err = yaml.Marshal(held)
	encode("yaml", b, err)
	b, err = xml.Marshal(secret)
	encode("xml", b, err)
	b, err = secret.MarshalText()
	encode("text", b, err)

	var log bytes.Buffer
	z := zerolog.New(&log)
	z.Info().Interface("secret", secret).Any("held", held).Fields(map[string]any{"a": secret}).Msgf("%v %s", secret, secret)
	z.Info().Err(fmt.Errorf("%s", secret)).Send()
	console := zerolog.New(zerolog.ConsoleWriter{Out: &log})
	console.Info().Interface("secret", secret).Send()
	shown["logs"] = log.String()

	var page bytes.Buffer
	if err := template.Must(template.New("").Parse(`<p title="{{.}}">{{.}}</p><script>x = {{.}}</script>`)).Execute(&page, secret); err != nil {
		t.Fatal(err)
	}
	shown["page"] = page.String()

	for name, text := range shown {
		if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) ||
			strings.Contains(text, fmt.Sprintf("%X", "hunter2")) {
			t.Errorf("%s shows it: %s", name, text)
		}
	}
	for _, name := range []string{"%s of secret", "%+v of holder", "%x of secret", "json", "yaml", "xml", "text", "page", "logs"} {
		if !strings.Contains(shown[name], "[secret]") {
			t.Errorf("%s: %q does not say [secret]", name, shown[name])
		}
	}
}

func TestSecretReads(t *testing.T) {
	t.Parallel()
	var in struct{ Signing event.Secret }
	if err := json.Unmarshal([]byte(`{"signing":"`+planted+`"}`), &in); err != nil {
		t.Fatal(err)
	}
	if in.Signing.Reveal() != planted {
		t.Errorf("got %d bytes, want the text itself", len(in.Signing.Reveal()))
	}
	err := json.Unmarshal([]byte(`{"signing":["`+planted+`"]}`), &in)
	if err == nil || strings.Contains(err.Error(), planted) {
		t.Errorf("a list: error %v", err)
	}
}

func TestSecretsCurrent(t *testing.T) {
	t.Parallel()
	s := event.Secrets{"a": {"new", "old"}, "b": {}}
	for name, want := range map[string]string{"a": "new", "b": "", "c": ""} {
		if got := s.Current(name).Reveal(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := event.Secrets(nil).Current("a"); got != "" {
		t.Error("nil secrets have one")
	}
}

func TestCallsShowWhereTheyGo(t *testing.T) {
	t.Parallel()
	call := event.Call{
		HTTP: &event.HTTPCall{Method: "POST", URL: "https://user:" + planted + "@hooks.example.com:8443/" + planted + "?t=" + planted, Body: []byte("12345")},
		Mail: &event.Mail{Host: "smtp.example.com", MessageID: "m1@wedsync", To: []string{"anna@example.com"}, Text: "private", Password: planted},
	}
	for v, want := range map[any]string{
		call.HTTP: "POST hooks.example.com:8443 (5 bytes)",
		call.Mail: "mail m1@wedsync through smtp.example.com to 1 recipients",
		&event.HTTPCall{Method: "GET", URL: "http://%zz/" + planted}: "GET ? (0 bytes)",
	} {
		if got := fmt.Sprintf("%+v", v); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
