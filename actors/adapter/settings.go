package adapter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
)

// form reads the settings and secrets of one integration as a Description declares them, and
// gathers everything that is wrong. Reads of what is missing or wrong give the zero value.
type form struct {
	desc     *Description
	values   map[string]json.RawMessage
	secrets  event.Secrets
	problems []Problem
}

func openForm(desc *Description, in event.Integration, secrets event.Secrets) *form {
	f := &form{desc: desc, values: map[string]json.RawMessage{}, secrets: secrets}
	f.readObject(in.Settings)
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if find(desc.Settings, name) == nil {
			f.problem("settings."+clip(name, 64), "is not known; allowed are "+names(desc.Settings))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if find(desc.Secrets, name) == nil {
			f.problem("secrets."+clip(name, 64), "is not known; allowed are "+names(desc.Secrets))
		}
	}
	return f
}

// readObject walks the object by tokens, so that a key given twice is seen.
func (f *form) readObject(raw json.RawMessage) {
	if text := bytes.TrimSpace(raw); len(text) == 0 || string(text) == "null" {
		return
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		f.problem("settings", "must be a JSON object")
		return
	}
	for dec.More() {
		key, err := dec.Token()
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil {
			f.problem("settings", "is not valid JSON: "+clip(err.Error(), 200))
			return
		}
		name, _ := key.(string) // the decoder gives no other key
		if _, twice := f.values[name]; twice {
			f.problem("settings."+clip(name, 64), "is given twice")
		}
		f.values[name] = value
	}
	if _, err := dec.Token(); err != nil {
		f.problem("settings", "is not valid JSON: "+clip(err.Error(), 200))
	} else if rest := bytes.TrimSpace(raw[dec.InputOffset():]); len(rest) > 0 {
		f.problem("settings", "has something after the object")
	}
}

func (f *form) problem(field, reason string) {
	f.problems = append(f.problems, Problem{Field: field, Reason: reason})
}

// err returns a *SettingsError with all that was found, or nil.
func (f *form) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return &SettingsError{Vendor: f.desc.Vendor, Problems: f.problems}
}

// decode reads a setting into the value that into points to; kind is what to call it.
func (f *form) decode(name, kind string, into any) (given bool) {
	raw, ok := f.values[name]
	if !ok || string(raw) == "null" {
		if field := find(f.desc.Settings, name); field.Required {
			f.problem("settings."+name, "is required: "+field.Help)
		}
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		f.problem("settings."+name, fmt.Sprintf("%.80s is not %s: %s", raw, kind, clip(err.Error(), 200)))
		return false
	}
	return true
}

// text reads a text setting, trimmed; where it is not given, its default.
func (f *form) text(name string) string {
	var s string
	if !f.decode(name, "a text", &s) {
		return find(f.desc.Settings, name).Default
	}
	s = strings.TrimSpace(s)
	field := find(f.desc.Settings, name)
	switch {
	case s == "" && field.Required:
		f.problem("settings."+name, "is empty: "+field.Help)
	case strings.ContainsFunc(s, isControl):
		f.problem("settings."+name, "holds a control character")
		return ""
	}
	if s == "" {
		return field.Default
	}
	return s
}

// oneOf reads a text setting that has a few allowed values.
func (f *form) oneOf(name string, allowed ...string) string {
	s := f.text(name)
	if s != "" && !slices.Contains(allowed, s) {
		f.problem("settings."+name, fmt.Sprintf("%.80q is not one of %s", s, strings.Join(allowed, ", ")))
	}
	return s
}

// matching reads a text setting of a certain form, which like describes.
func (f *form) matching(name, form, like string) string {
	s := f.text(name)
	if s != "" && !regexp.MustCompile(form).MatchString(s) {
		f.problem("settings."+name, fmt.Sprintf("%.80q is not %s", s, like))
	}
	return s
}

// port reads a port number, which a form may give as text.
func (f *form) port(name string) int {
	text := find(f.desc.Settings, name).Default
	if raw, ok := f.values[name]; ok {
		text, _ = scalar(raw)
		text = strings.TrimSpace(text)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		f.problem("settings."+name, fmt.Sprintf("%.40q is not a port from 1 to 65535", text))
	}
	return int(n)
}

// address reads a text setting that is an http or https URL.
func (f *form) address(name string) string {
	s := f.text(name)
	if s == "" {
		return ""
	}
	if reason := checkURL(s); reason != "" {
		f.problem("settings."+name, fmt.Sprintf("%.200q %s", s, reason))
	}
	return s
}

// checkURL says what keeps s from being an address to call, or "". What it may resolve to is for
// the sender to judge, when it dials.
func checkURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "is not a URL"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https:// (or http:// for a test server)"
	case u.Hostname() == "":
		return "has no host"
	case u.User != nil:
		return "must not hold a user name or password"
	case u.Fragment != "":
		return "must not hold a fragment (#...)"
	}
	return ""
}

// secret reads all values of a secret, the one in force first, trimmed. check says what is wrong
// with a value (never quoting it), or "".
func (f *form) secret(name string, check func(string) string) []event.Secret {
	var values []event.Secret
	for _, s := range f.secrets[name] {
		v := strings.TrimSpace(s.Reveal())
		if v == "" {
			continue
		}
		if reason := check(v); reason != "" {
			f.problem("secrets."+name, reason)
			return nil
		}
		values = append(values, event.SecretOf(v))
	}
	if field := find(f.desc.Secrets, name); len(values) == 0 && field.Required {
		f.problem("secrets."+name, "is required: "+field.Help)
	}
	return values
}

// given reports whether a secret was entered, right or wrong.
func (f *form) given(name string) bool {
	return strings.TrimSpace(f.secrets.Current(name).Reveal()) != ""
}

// checkToken allows what can stand in an Authorization header.
func checkToken(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "holds a space or a character that no token has; copy it again"
	}
	return ""
}

func anyText(string) string { return "" }

func first(values []event.Secret) event.Secret {
	if len(values) == 0 {
		return event.Secret{}
	}
	return values[0]
}

func find(fields []Field, name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

func names(fields []Field) string {
	all := make([]string, len(fields))
	for i := range fields {
		all[i] = fields[i].Name
	}
	return strings.Join(all, ", ")
}
