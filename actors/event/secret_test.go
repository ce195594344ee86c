package event_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	yaml "go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
)

const planted = "hunter2-planted-secret"

// holder has a secret in every kind of place. Fields that no method of is called are among them.
type holder struct {
	Secret  event.Secret
	Pointer *event.Secret
	Any     any
	List    []event.Secret
	Map     map[string]event.Secret
	Secrets event.Secrets
	Mail    *event.Mail
	hidden  event.Secret
	pointer *event.Secret
	any     any
	list    [2]event.Secret
	byName  map[string][]event.Secret
	inner   struct{ hidden event.Secret }
	reveal  func() string
}

func newHolder() holder {
	secret := event.SecretOf(planted)
	return holder{
		secret, &secret, secret,
		[]event.Secret{secret},
		map[string]event.Secret{"a": secret},
		event.Secrets{"signing": {secret, secret}},
		&event.Mail{Password: secret}, secret, &secret, secret,
		[2]event.Secret{secret, secret},
		map[string][]event.Secret{"a": {secret}},
		struct{ hidden event.Secret }{secret},
		secret.Reveal,
	}
}

// failed is an error that keeps a secret, by value and as what it wraps.
type failed struct {
	secret event.Secret
	cause  error
}

func (f failed) Error() string { return fmt.Sprintf("failed with %v: %v", f.secret, f.cause) }
func (f failed) Unwrap() error { return f.cause }

// carriers are values to print that have a secret in them, by what they are.
func carriers() map[string]any {
	secret, held := event.SecretOf(planted), newHolder()
	err := failed{secret, fmt.Errorf("%w: %v", errors.New("x"), secret)}
	return map[string]any{
		"secret": secret, "pointer": &secret, "holder": held, "holder pointer": &held, "slice": []any{secret, held}, "array": [1]holder{held},
		"map": map[string]holder{"a": held}, "error": err, "wrapped": fmt.Errorf("wrapped: %w", err), "joined": errors.Join(err, err),
	}
}

// shows reports whether the planted secret stands in a text, in a way that fmt has.
func shows(text string) bool {
	list := fmt.Sprintf("%d", []byte(planted))
	listed := fmt.Sprintf("%#v", []byte(planted))
	for _, shape := range []string{
		"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), fmt.Sprintf("% x", "hunter2"),
		strings.Trim(list, "[]"), listed[strings.IndexByte(listed, '{')+1 : len(listed)-1],
	} {
		if strings.Contains(text, shape) {
			return true
		}
	}
	return false
}

func TestSecretShowsItselfNowhere(t *testing.T) {
	t.Parallel()
	secret, held := event.SecretOf(planted), newHolder()
	shown := map[string]string{}
	for _, flags := range []string{"", "+", "#", "-", " ", "#+", "0", "20", ".3", ".100"} {
		for verb := 'A'; verb <= 'z'; verb++ {
			format := "%" + flags + string(verb)
			for name, v := range carriers() {
				shown[format+" of "+name] = fmt.Sprintf(format, v)
			}
		}
	}
	for name, v := range carriers() {
		shown["dump of "+name] = dump(reflect.ValueOf(v), map[uintptr]bool{})
		shown["%w of "+name] = fmt.Errorf(strings.Clone("%w %w"), v, v).Error()
	}
	shown["print"] = fmt.Sprint(secret, held)
	shown["extra argument"] = fmt.Sprintf(strings.Clone("x"), secret)
	shown["width"] = fmt.Sprintf(strings.Clone("%*d"), secret, 1)
	shown["hex"] = fmt.Sprintf("%x", []any{secret})
	encode := func(name string, b []byte, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		shown[name] = string(b)
	}
	b, err := json.Marshal(struct {
		holder
		Inner holder
	}{held, held})
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
	z.Info().Err(failed{secret, nil}).Send()
	console := zerolog.New(zerolog.ConsoleWriter{Out: &log})
	console.Info().Interface("secret", secret).Any("held", &held).Send()
	shown["logs"] = log.String()

	var page bytes.Buffer
	if err := template.Must(template.New("").Parse(`<p title="{{.}}">{{.}}</p><script>x = {{.}}</script>`)).Execute(&page, secret); err != nil {
		t.Fatal(err)
	}
	shown["page"] = page.String()

	for name, text := range shown {
		if shows(text) {
			t.Errorf("%s shows it: %s", name, text)
		}
	}
	for _, name := range []string{"%s of secret", "%+v of holder", "%x of secret", "%v of error", "json", "yaml", "xml", "text", "page", "logs"} {
		if !strings.Contains(shown[name], "[secret]") {
			t.Errorf("%s: %q does not say [secret]", name, shown[name])
		}
	}
}

// dump writes all that reflection reaches, as debugging printers do: through pointers and unexported
// fields, and past every method.
func dump(v reflect.Value, seen map[uintptr]bool) string {
	var b strings.Builder
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			b.WriteString(dump(v.Elem(), seen))
		}
	case reflect.Interface:
		if !v.IsNil() {
			b.WriteString(dump(v.Elem(), seen))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			b.WriteString(v.Type().Field(i).Name + ":" + dump(v.Field(i), seen) + ",")
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			b.WriteString(dump(v.Index(i), seen) + ",")
		}
	case reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			b.WriteString(dump(iter.Key(), seen) + ":" + dump(iter.Value(), seen) + ",")
		}
	case reflect.Func:
		fmt.Fprintf(&b, "%#x", v.Pointer())
	default:
		fmt.Fprint(&b, v)
	}
	return b.String()
}

// TestDumpReaches: the test above could not fail if dump saw nothing.
func TestDumpReaches(t *testing.T) {
	t.Parallel()
	type deep struct{ at *map[string][]any }
	v := struct{ hidden deep }{deep{&map[string][]any{"a": {planted}}}}
	if text := dump(reflect.ValueOf(v), map[uintptr]bool{}); !shows(text) {
		t.Errorf("a text that is no secret is not in %s", text)
	}
}

// TestSecretsShowInNoPanic has a process of its own panic with each carrier.
func TestSecretsShowInNoPanic(t *testing.T) {
	t.Parallel()
	const asked = "WEDSYNC_TEST_PANIC"
	if name := os.Getenv(asked); name != "" {
		if name == "text" {
			panic(planted)
		}
		panic(carriers()[name])
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	panics := func(name string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), asked+"="+name, "GOTRACEBACK=system")
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !bytes.Contains(out, []byte("panic: ")) || !bytes.Contains(out, []byte("goroutine ")) {
			t.Errorf("%s: no panic: %v: %s", name, err, out)
		}
		return string(out)
	}
	for name := range carriers() {
		if out := panics(name); shows(out) {
			t.Errorf("a panic with %s shows it: %s", name, out)
		}
	}
	if !shows(panics("text")) {
		t.Error("a panic with a text that is no secret does not show it")
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
	for _, wrong := range []string{`["` + planted + `"]`, `{"a":"` + planted + `"}`, strconv.Quote(planted) + planted} {
		if err := json.Unmarshal([]byte(`{"signing":`+wrong+`}`), &in); err == nil || shows(err.Error()) {
			t.Errorf("another value than a text: error %v", err)
		}
	}
}

func TestSecretsAreEqualByText(t *testing.T) {
	t.Parallel()
	a := event.SecretOf(planted)
	if !a.Equal(event.SecretOf(planted)) || a.Equal(event.SecretOf(planted+"x")) || a.Equal(event.Secret{}) {
		t.Error("secrets are not compared by their texts")
	}
	if !reflect.DeepEqual(event.SecretOf(""), event.Secret{}) {
		t.Error("an empty secret is not the zero one")
	}
}

func TestSecretsCurrent(t *testing.T) {
	t.Parallel()
	s := event.Secrets{"a": {event.SecretOf("new"), event.SecretOf("old")}, "b": {}}
	for name, want := range map[string]string{"a": "new", "b": "", "c": ""} {
		if got := s.Current(name).Reveal(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := event.Secrets(nil).Current("a"); got.Reveal() != "" {
		t.Error("nil secrets have one")
	}
}

func TestCallsShowWhereTheyGo(t *testing.T) {
	t.Parallel()
	call := event.Call{
		HTTP: &event.HTTPCall{
			Method: "POST", URL: "https://user:" + planted + "@hooks.example.com:8443/" + planted + "?t=" + planted,
			Header: http.Header{"Authorization": {planted}}, Body: []byte(planted),
		},
		Mail: &event.Mail{Host: "smtp.example.com", MessageID: "m1@wedsync", To: []string{"anna@example.com"}, Text: "private", Password: event.SecretOf(planted)},
	}
	for v, want := range map[any]string{
		call.HTTP: "POST hooks.example.com:8443 (22 bytes)",
		call.Mail: "mail m1@wedsync through smtp.example.com to 1 recipients",
		&event.HTTPCall{Method: "GET", URL: "http://%zz/" + planted}: "GET ? (0 bytes)",
	} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(format, v); got != want {
				t.Errorf("%s: got %s, want %s", format, got, want)
			}
		}
	}
}
