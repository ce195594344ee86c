package adapter

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDetail bounds Verdict.Detail, in bytes.
const maxDetail = 1 << 10

// clip cuts s to at most n bytes, between runes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// shorten cuts s to at most n characters; a cut one ends with "…".
func shorten(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	count := 0
	for i := range s {
		if count == n-1 {
			return strings.TrimRightFunc(s[:i], unicode.IsSpace) + "…"
		}
		count++
	}
	return s
}

// oneLine replaces every run of white space and control characters by one space, and trims.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || isControl(r)
	}), " ")
}

func isControl(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }

// detail makes Verdict.Detail of the vendor's words: one line of valid UTF-8, at most 1 KiB, and
// without the secrets, should the vendor echo them.
func detail(words string, secrets ...string) string {
	words = clip(words, 4*maxDetail)
	for _, s := range secrets {
		if s != "" {
			words = strings.ReplaceAll(words, s, "[secret]")
		}
	}
	return clip(oneLine(words), maxDetail)
}

// isCode reports whether text is an error code rather than words or a page.
func isCode(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_0123456789") == ""
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}
