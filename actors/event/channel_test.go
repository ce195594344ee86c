package event_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

// channelForm is the reference: the rule of CheckChannel, but for the length of the whole.
var channelForm = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,64}(:[A-Za-z0-9_.-]{1,64}){0,7}\z`)

func TestCheckChannel(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", event.MaxSegmentBytes)
	for name, reason := range map[string]string{
		"a":                        "",
		"supplier:dashboard:42":    "",
		"form:response:a.b_c-D":    "",
		"1:2:3:4:5:6:7:8":          "",
		long + ":" + long:          "",
		"":                         "the name is empty",
		"a::b":                     "a segment is empty",
		"a:":                       "a segment is empty",
		":a":                       "a segment is empty",
		"1:2:3:4:5:6:7:8:9":        "9 segments, at most 8",
		long + "a":                 "65 bytes, at most 64",
		strings.Repeat("a:", 127):  "128 segments, at most 8",
		strings.Repeat(long, 5):    "the name has 320 bytes, at most 256",
		"supplier:*":               `"*" is not allowed`,
		"supplier:{supplierId}":    `"{" is not allowed`,
		"supplier:dash board":      `" " is not allowed`,
		"supplier:hochzeit-müller": `"ü" is not allowed`,
		"a:\xff":                   `"\xff" is not allowed`,
		"a\n":                      `"\n" is not allowed`,
		"a\x00":                    `"\x00" is not allowed`,
	} {
		err := event.CheckChannel(name)
		if reason == "" {
			if err != nil {
				t.Errorf("%.40q: %v, want it accepted", name, err)
			}
			continue
		}
		var bad *event.ChannelError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%.40q: error %v, want a ChannelError with %q", name, err, reason)
			continue
		}
		if len(bad.Name) > event.MaxChannelBytes || !strings.HasPrefix(name, bad.Name) {
			t.Errorf("%.40q: the error names %.300q", name, bad.Name)
		}
	}
}

func FuzzCheckChannel(f *testing.F) {
	for _, s := range []string{"a", "a:b", "a::b", "ü", "*", strings.Repeat("a:", 9), strings.Repeat("x", 65)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		want := len(name) <= event.MaxChannelBytes && channelForm.MatchString(name)
		if err := event.CheckChannel(name); (err == nil) != want {
			t.Fatalf("%q: error %v, want accepted: %t", name, err, want)
		}
		if event.ValidSegment(name) != (want && !strings.Contains(name, ":")) {
			t.Fatalf("%q: ValidSegment says %t", name, event.ValidSegment(name))
		}
	})
}

func TestCheckType(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"timeline.updated":       true,
		"wedding.date_changed":   true,
		"a":                      true,
		"a-1.b_2":                true,
		strings.Repeat("a", 64):  true,
		strings.Repeat("a", 65):  false,
		"":                       false,
		"1a":                     false,
		".a":                     false,
		"_a":                     false,
		"Timeline.updated":       false,
		"timeline updated":       false,
		"timeline:updated":       false,
		"timeline.*":             false,
		"é":                      false,
		"a\n":                    false,
		strings.Repeat("é", 999): false,
	} {
		err := event.CheckType(name)
		if (err == nil) != ok {
			t.Errorf("%.40q: error %v, want accepted: %t", name, err, ok)
		}
		if err != nil && len(err.Error()) > 512 {
			t.Errorf("%.40q: the error has %d bytes", name, len(err.Error()))
		}
	}
}

func TestCheckID(t *testing.T) {
	t.Parallel()
	for id, reason := range map[string]string{
		"studio-cloud_42":       "",
		"A":                     "",
		strings.Repeat("a", 64): "",
		"":                      "must have 1 to 64 bytes",
		strings.Repeat("a", 65): "must have 1 to 64 bytes",
		"a.b":                   `"." is not allowed`,
		"a:b":                   `":" is not allowed`,
		"a b":                   `" " is not allowed`,
		"aé":                    `"é" is not allowed`,
	} {
		err := event.CheckID(id)
		if reason == "" && err != nil || reason != "" && (err == nil || !strings.Contains(err.Error(), reason)) {
			t.Errorf("%.40q: error %v, want %q", id, err, reason)
		}
	}
}

func BenchmarkCheckChannel(b *testing.B) {
	for b.Loop() {
		if event.CheckChannel("supplier:dashboard:3f2504e0-4f89-41d3-9a0c-0305e82c3301") != nil {
			b.Fatal("refused")
		}
	}
}
