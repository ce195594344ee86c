package event_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

func TestTemplate(t *testing.T) {
	t.Parallel()
	x64, y61 := strings.Repeat("x", 64), strings.Repeat("y", 61)
	vars := map[string]string{
		"coupleId": "7", "bad": "a b", "empty": "", "wild": "*", "long": x64, "long2": x64, "long3": x64,
	}
	lookup := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	for _, c := range []struct{ text, want, reason string }{
		{"couple:updates:{coupleId}", "couple:updates:7", ""},
		{"couple:updates", "couple:updates", ""},
		{"{coupleId}", "7", ""},
		{"couple:{guestId}", "", "there is no value for {guestId}"},
		{"couple:{bad}", "", `the value of {bad} does not fit: " " is not allowed`},
		{"couple:{empty}", "", "the value of {empty} does not fit: a segment is empty"},
		{"couple:{wild}", "", `the value of {wild} does not fit: "*" is not allowed`},
		{"{long}:{long2}:{long3}:" + y61, strings.Repeat(x64+":", 3) + y61, ""},
		{"{long}:{long2}:{long3}:y" + y61, "", "the name has 257 bytes, at most 256"},
	} {
		tpl, err := event.ParseTemplate(c.text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpl.Fill(lookup)
		var bad *event.ChannelError
		if got != c.want || (c.reason != "" && (!errors.As(err, &bad) || !strings.Contains(err.Error(), c.reason))) || c.reason == "" && err != nil {
			t.Errorf("%s: got %q, %v; want %q, %s", c.text, got, err, c.want, c.reason)
		}
	}
	if got, err := (event.Template{}).Fill(lookup); err == nil {
		t.Errorf("the zero template fills to %q", got)
	}
}

func TestParseTemplateRefuses(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		"a:*":  "a template takes {name}, not * or **",
		"a:**": "a template takes {name}, not * or **",
		"a b":  "is not allowed",
		"":     "the name is empty",

		"slo:burn:{vendor}":       "nobody else publishes there",
		"integration:health:mine": "nobody else publishes there",
	} {
		_, err := event.ParseTemplate(text)
		var bad *event.ChannelError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want a ChannelError with %q", text, err, reason)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("couple:{id}", "7")
	f.Add("{a}:{b}:{c}", "x:y")
	f.Add("a", "*")
	f.Fuzz(func(t *testing.T, text, value string) {
		tpl, err := event.ParseTemplate(text)
		if err != nil {
			return
		}
		name, err := tpl.Fill(func(string) (string, bool) { return value, true })
		if (err == nil) != (name != "") {
			t.Fatalf("%q with %q: %q and error %v", text, value, name, err)
		}
		if err != nil {
			return
		}
		if err := event.CheckChannel(name); err != nil {
			t.Fatalf("%q with %q: %v", text, value, err)
		}
		// What a template made, the same text selects as a pattern.
		if p, err := event.ParsePattern(text); err != nil {
			t.Fatal(err)
		} else if _, ok := p.Match(name); !ok {
			t.Fatalf("%q with %q: made %q, and does not select it", text, value, name)
		}
	})
}
