package ingest

import (
	"html"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"
)

// maxRounds bounds how often markup may come to light under markup ("&amp;lt;b&amp;gt;", "<<i>b>").
// Nobody writes that by accident; what is not plain by then loses every '<', '>' and '&'.
const maxRounds = 4

var (
	// mailAddress is "<anna@example.com>": an address, not a tag.
	mailAddress = regexp.MustCompile(`<([\w.+-]+@[\w-]+(?:\.[\w-]+)+)>`)
	// lineEnd is a tag after which a reader sees a new line.
	lineEnd = regexp.MustCompile(`(?i)<(?:br\s*/?|/(?:p|div|li|tr|h[1-6]))\s*>`)
)

// cleaner turns text that may be meant for a browser into plain text. It is safe for concurrent use.
type cleaner struct{ policy *bluemonday.Policy }

func newCleaner() *cleaner { return &cleaner{policy: bluemonday.StrictPolicy()} }

// clean returns the text without markup, without control characters except line feed and tab, and
// without bidirectional controls and invisible format characters. Character references stand for
// what they mean. A key has no line feed, tab or joiner either. What comes out is stable: clean
// leaves it as it is, and unescaping it as HTML brings no markup to light.
func (c *cleaner) clean(s string, key bool) string {
	for range maxRounds {
		was := s
		s = dropUnseen(decodeReferences(s), key)
		if markupAt(s, 0) >= 0 {
			s = dropUnseen(c.strip(s), key)
		}
		if s == was {
			return s
		}
	}
	s = strings.Map(func(r rune) rune {
		if r == '<' || r == '>' || r == '&' {
			return -1
		}
		return r
	}, s)
	return s
}

// strip takes markup out of s by bluemonday's strict policy. The policy answers in HTML, where text
// is escaped; its input is escaped too, so that it sees tags and nothing else, and unescaping its
// answer gives back exactly the text between them.
func (c *cleaner) strip(s string) string {
	s = mailAddress.ReplaceAllString(s, "$1")
	s = lineEnd.ReplaceAllString(s, "\n")
	s = openEnd(s)
	if markupAt(s, 0) < 0 {
		return s
	}
	s = c.policy.Sanitize(strings.ReplaceAll(s, "&", "&amp;"))
	return strings.TrimSpace(html.UnescapeString(s))
}

// openEnd puts a space behind each '<' that would begin a tag but finds no '>', so that "under <ten"
// keeps its end and still is no markup.
func openEnd(s string) string {
	last := strings.LastIndexByte(s, '>') + 1
	if markupAt(s, last) < 0 {
		return s
	}
	var b strings.Builder
	for at := last; ; {
		i := markupAt(s, at)
		if i < 0 {
			b.WriteString(s[at:])
			return s[:last] + b.String()
		}
		b.WriteString(s[at : i+1])
		b.WriteByte(' ')
		at = i + 1
	}
}

// markupAt returns where, from position from on, markup begins in s, or -1: a '<' before a letter,
// '/', '!' or '?' (WHATWG HTML 13.2.5.6, tag open state). Any other '<' is text to every browser.
func markupAt(s string, from int) int {
	for {
		i := strings.IndexByte(s[from:], '<')
		if i < 0 || from+i+1 == len(s) {
			return -1
		}
		from += i + 1
		switch c := s[from]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '/', c == '!', c == '?':
			return from - 1
		}
	}
}

// decodeReferences replaces character references by what they mean: numbers, and names that are
// properly closed ("&amp;", "&eacute;"). Of the names without a semicolon, which browsers read too,
// only those that could hide something, so that the address "?a=1&copy=2" keeps its parameter.
func decodeReferences(s string) string {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for i >= 0 {
		i += at
		end := referenceEnd(s, i)
		ref := s[i:end]
		if plain := html.UnescapeString(ref); plain != ref && (closed(ref, plain) || hides(plain, s[end:])) {
			b.WriteString(s[at:i])
			b.WriteString(plain)
			at = end
		} else {
			b.WriteString(s[at : i+1])
			at = i + 1
		}
		i = strings.IndexByte(s[at:], '&')
	}
	if b.Len() == 0 {
		return s
	}
	b.WriteString(s[at:])
	return b.String()
}

// referenceEnd returns the end of what at most belongs to the reference that begins at s[i].
func referenceEnd(s string, i int) int {
	end := i + 1
	for end < len(s) && (s[end] == '#' && end == i+1 || asciiAlnum(s[end])) {
		end++
	}
	if end < len(s) && s[end] == ';' {
		end++
	}
	return end
}

func asciiAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// closed reports whether ref is a number, or was read up to its semicolon, unlike "&notit;", which
// is "¬it;".
func closed(ref, plain string) bool {
	return ref[1] == '#' || strings.HasSuffix(ref, ";") && (!strings.HasSuffix(plain, ";") || ref == "&semi;")
}

// hides reports whether plain, which stood before rest, brings to light what clean looks for: a '<'
// that may begin markup, the '&' of another reference, or an unseen rune.
func hides(plain, rest string) bool {
	for i, r := range plain {
		after := plain[i+utf8.RuneLen(r):] + rest[:min(1, len(rest))]
		switch {
		case r == '<' && !strings.HasPrefix(after, "="),
			r == '&' && (strings.HasPrefix(after, "#") || html.UnescapeString(plain[i:]) != plain[i:]),
			unseen(r, false):
			return true
		}
	}
	return false
}

// dropUnseen takes out the runes that unseen names; other ways to end a line become line feeds.
func dropUnseen(s string, key bool) string {
	if strings.IndexFunc(s, func(r rune) bool { return unseen(r, key) || lineBreak(r) }) < 0 {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if !key && lineBreak(r) {
			return '\n'
		}
		if unseen(r, key) {
			return -1
		}
		return r
	}, s)
}

func lineBreak(r rune) bool { return r == '\r' || r == 0x2028 || r == 0x2029 }

// unseen reports whether r has no place in plain text: C0 and C1 controls, Unicode's Bidi_Control,
// invisible operators and fillers, interlinear annotation, noncharacters. The joiners U+200C and
// U+200D stay in values, where emoji and several scripts need them.
func unseen(r rune, key bool) bool {
	switch {
	case r < 0x20:
		return key || r != '\n' && r != '\t'
	case r < 0x7f:
		return false
	case r <= 0x9f:
		return true
	case r < 0x61c:
		return key && r == 0xad
	case r < 0x200b:
		return r == 0x61c || r == 0x180e
	case r <= 0x206f:
		switch {
		case r == 0x200c || r == 0x200d:
			return key
		case r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060:
			return true
		}
		return false
	case r < 0xfdd0:
		return false
	case r <= 0xfdef, r == 0xfeff, r >= 0xfff9 && r <= 0xfffb, r == 0xe0001:
		return true
	}
	return r&0xfffe == 0xfffe
}
