package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// count writes a number with its thousands apart.
func count[N int | uint64](n N) string {
	s := strconv.FormatUint(uint64(max(n, 0)), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// wordsOf takes apart what is searched for.
func wordsOf(search string) []string { return strings.Fields(strings.ToLower(search)) }

// hasAll reports whether all words are in a text.
func hasAll(text string, words []string) bool {
	text = strings.ToLower(text)
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// percent writes a share, and never 100 for what is less.
func percent(share float64) string {
	text := strconv.FormatFloat(share*100, 'f', 2, 64)
	if text == "100.00" && share < 1 {
		return "99.99 %"
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".") + " %"
}

// rate writes how many a second.
func rate(n float64) string {
	if n >= 100 {
		return count(int(n))
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

// fraction writes a share for the attribute of an element.
func fraction(share float64) string { return strconv.FormatFloat(share, 'f', 4, 64) }

// lasted writes a duration as people read it.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d >= 10*time.Second && d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}

// at is a moment, "never" where there was none.
func at(t time.Time) (machine, person string) {
	if t.IsZero() {
		return "", "never"
	}
	return t.UTC().Format(time.RFC3339), t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func ownerText(owner map[string]string) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(owner)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%s", name, owner[name])
	}
	return b.String()
}

// stateName is a state in words.
func stateName(s event.State) string {
	switch s {
	case event.Open:
		return "Not reachable"
	case event.DisabledState:
		return "Disabled"
	case event.Idle:
		return "Nothing to do"
	}
	return cmp.Or(sentence(string(s)), "Not known")
}

// hours writes the length of a window.
func hours(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return count(int(d/(24*time.Hour))) + plural(int(d/(24*time.Hour)), " day", " days")
	case d >= time.Hour:
		return count(int(d/time.Hour)) + plural(int(d/time.Hour), " hour", " hours")
	}
	return count(int(d/time.Minute)) + plural(int(d/time.Minute), " minute", " minutes")
}

// indent writes JSON so that it can be read, and leaves all else.
func indent(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return unescape.Replace(b.String())
}

// unescape undoes what encoding/json does for HTML, which templ does itself. What a backslash stands before is no escape.
var unescape = strings.NewReplacer(`\\`, `\\`, `\u0026`, "&", `\u003c`, "<", `\u003e`, ">")
