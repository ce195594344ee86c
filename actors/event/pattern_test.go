package event_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
)

func TestPatternMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, channel string
		want             map[string]string // nil: not selected; empty: selected, nothing captured
	}{
		{"a:b", "a:b", map[string]string{}},
		{"a:b", "a:c", nil},
		{"a:b", "a", nil},
		{"a:b", "a:b:c", nil},
		{"*", "a", map[string]string{}},
		{"*", "a:b", nil},
		{"a:*", "a:b", map[string]string{}},
		{"a:*", "a", nil},
		{"a:*:c", "a:b:c", map[string]string{}},
		{"**", "a", map[string]string{}},
		{"**", "a:b:c", map[string]string{}},
		{"a:**", "a:b", map[string]string{}},
		{"a:**", "a:b:c", map[string]string{}},
		{"a:**", "a", nil},
		{"a:**", "b:a", nil},
		{"supplier:dashboard:{supplierId}", "supplier:dashboard:42", map[string]string{"supplierId": "42"}},
		{"supplier:dashboard:{supplierId}", "supplier:dashboard", nil},
		{"supplier:dashboard:{supplierId}", "supplier:dashboard:42:x", nil},
		{"{a}:{b}", "1:2", map[string]string{"a": "1", "b": "2"}},
		{"{a}:x", "1:y", nil},
		{"{a}:**", "1:2:3", map[string]string{"a": "1"}},
	} {
		p, err := event.ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		vars, ok := p.Match(c.channel)
		if ok != (c.want != nil) || !maps.Equal(vars, c.want) {
			t.Errorf("%s on %s: got %v %t, want %v", c.pattern, c.channel, vars, ok, c.want)
		}
		if ok && len(c.want) == 0 && vars != nil {
			t.Errorf("%s on %s: captured nothing, but the map is not nil", c.pattern, c.channel)
		}
		if p.String() != c.pattern {
			t.Errorf("%s: String gives %s", c.pattern, p)
		}
	}
	if _, ok := (event.Pattern{}).Match("a"); ok {
		t.Error("the zero pattern selects a channel")
	}
}

func TestParsePatternRefuses(t *testing.T) {
	t.Parallel()
	for pattern, reason := range map[string]string{
		"":                                  "the name is empty",
		"a::b":                              "a segment is empty",
		"**:a":                              "only at the end",
		"a:**:**":                           "only at the end",
		"a*":                                "whole segments",
		"***":                               "whole segments",
		"{a":                                "whole segments",
		"a}":                                "whole segments",
		"{}":                                "is not a capture",
		"{a b}":                             "is not a capture",
		"{a-b}":                             "is not a capture",
		"{*}":                               "is not a capture",
		"{" + strings.Repeat("a", 65) + "}": "is not a capture",
		"{a}:{a}":                           "captured twice",
		"1:2:3:4:5:6:7:8:**":                "9 segments",
		"a b":                               `" " is not allowed`,
	} {
		p, err := event.ParsePattern(pattern)
		var bad *event.ChannelError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error %v, want a ChannelError with %q", pattern, err, reason)
		}
		if _, ok := p.Match("a"); ok {
			t.Errorf("%q: what was returned with the error selects a channel", pattern)
		}
	}
}

func TestPatternIsChannel(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]bool{"a:b": true, "a": true, "a:*": false, "**": false, "{a}": false} {
		p, err := event.ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if p.IsChannel() != want {
			t.Errorf("%s: got %t", pattern, !want)
		}
	}
	if (event.Pattern{}).IsChannel() {
		t.Error("the zero pattern is a channel")
	}
}

// reference is Match written another way: a pattern as a regular expression.
func reference(pattern string) func(string) (map[string]string, bool) {
	var form []string
	for s := range strings.SplitSeq(pattern, ":") {
		switch {
		case s == "**":
			s = `.+`
		case s == "*":
			s = `[^:]+`
		case s[0] == '{':
			s = `(?P<` + s[1:len(s)-1] + `>[^:]+)`
		default:
			s = regexp.QuoteMeta(s)
		}
		form = append(form, s)
	}
	re := regexp.MustCompile(`\A` + strings.Join(form, ":") + `\z`)
	return func(channel string) (map[string]string, bool) {
		found := re.FindStringSubmatch(channel)
		if found == nil {
			return nil, false
		}
		vars := map[string]string{}
		for i, name := range re.SubexpNames() {
			if name != "" {
				vars[name] = found[i]
			}
		}
		return vars, true
	}
}

func TestPatternAgreesWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	selected := 0
	for range 20_000 {
		var pattern, channel []string
		for i := range 1 + r.IntN(5) {
			pattern = append(pattern, pick("a", "b", "a.b", "*", "{v"+string(rune('0'+i))+"}"))
		}
		if r.IntN(4) == 0 {
			pattern = append(pattern, "**")
		}
		for range 1 + r.IntN(6) {
			channel = append(channel, pick("a", "b", "a.b", "c"))
		}
		selected += agree(t, strings.Join(pattern, ":"), strings.Join(channel, ":"))
	}
	if selected < 1000 {
		t.Errorf("only %d of the pairs matched: the test compares too little", selected)
	}
}

// agree returns 1 if the pattern selects the channel.
func agree(t *testing.T, pattern, channel string) int {
	t.Helper()
	p, err := event.ParsePattern(pattern)
	if err != nil {
		t.Fatal(err)
	}
	vars, ok := p.Match(channel)
	wantVars, want := reference(pattern)(channel)
	if ok != want || !maps.Equal(vars, wantVars) {
		t.Fatalf("%s on %s: got %v %t, want %v %t", pattern, channel, vars, ok, wantVars, want)
	}
	if ok {
		return 1
	}
	return 0
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"a:*", "a:b"}, {"{x}:**", "a:b:c"}, {"a.b:{c}", "a.b:d"}, {"**", "a"}, {"{a_1}", "x"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, channel string) {
		p, err := event.ParsePattern(pattern)
		if err != nil {
			return
		}
		if p.IsChannel() != (event.CheckChannel(pattern) == nil) {
			t.Fatalf("%q: IsChannel is %t", pattern, p.IsChannel())
		}
		// A capture of the regular expression may not begin with a digit; ours may.
		if event.CheckChannel(channel) != nil || regexp.MustCompile(`\{[0-9]`).MatchString(pattern) {
			return
		}
		agree(t, pattern, channel)
	})
}

func TestPatternCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, other string
		want           bool
	}{
		{"a:b", "a:b", true},
		{"a:b", "a:c", false},
		{"a:b", "a", false},
		{"a:b", "a:b:c", false},
		{"a:b", "a:*", false},
		{"a:b", "a:{b}", false},
		{"a:b", "**", false},
		{"a:*", "a:b", true},
		{"a:*", "a:*", true},
		{"a:*", "a:{b}", true},
		{"a:{x}", "a:{y}", true},
		{"a:*", "a:**", false},
		{"a:*", "a:b:c", false},
		{"a:**", "a:b", true},
		{"a:**", "a:b:*", true},
		{"a:**", "a:**", true},
		{"a:**", "a", false},
		{"a:**", "**", false},
		{"**", "**", true},
		{"**", "*:a", true},
	} {
		p, err := event.ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		other, err := event.ParsePattern(c.other)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Covers(other); got != c.want {
			t.Errorf("%s covers %s: %t", c.pattern, c.other, got)
		}
		if (event.Pattern{}).Covers(other) || p.Covers(event.Pattern{}) {
			t.Errorf("the zero pattern covers %s, or %s covers it", c.other, c.pattern)
		}
	}
}

// FuzzPatternCovers: what is covered selects nothing that the pattern does not.
func FuzzPatternCovers(f *testing.F) {
	f.Add("a:*", "a:b", "a:b")
	f.Add("a:**", "a:{x}:*", "a:b:c")
	f.Add("**", "*", "a")
	f.Fuzz(func(t *testing.T, pattern, other, channel string) {
		p, err1 := event.ParsePattern(pattern)
		o, err2 := event.ParsePattern(other)
		if err1 != nil || err2 != nil || event.CheckChannel(channel) != nil || !p.Covers(o) {
			return
		}
		_, selected := o.Match(channel)
		if _, ok := p.Match(channel); selected && !ok {
			t.Fatalf("%s covers %s, which selects %s", pattern, other, channel)
		}
	})
}
