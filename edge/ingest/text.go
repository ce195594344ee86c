package ingest

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/wedsync/wedsync/edge/problem"
)

// str reads a string and cleans it. It returns the text that comes out, which may be part of in; a
// value's is good until the next string.
func (s *scanner) str(key bool) ([]byte, *Reject) {
	from := s.pos
	s.pos++
	escaped, suspect, rej := s.span(key)
	if rej != nil {
		return nil, rej
	}
	raw := s.in[from+1 : s.pos-1]
	if n := len(raw); n > s.limits.StringBytes || key && n > s.limits.KeyBytes {
		return nil, s.tooLong(raw, key)
	}
	text, broken := raw, false
	if escaped {
		s.text, broken = unescape(s.text[:0], raw)
		if text = s.text; key {
			text = bytes.Clone(text) // outlives the scratch
		}
		suspect = suspect || suspicious(text, key)
	}
	if !suspect && !broken || s.cleaner == nil {
		return text, nil
	}
	plain := s.cleaner.clean(string(text), key)
	if broken || plain != string(text) {
		if key && plain == "" {
			return nil, reject(problem.PayloadKeyInvalid, "the key %.80q holds no plain text", text)
		}
		s.replace(from, quote(plain))
	}
	return []byte(plain), nil
}

func (s *scanner) tooLong(raw []byte, key bool) *Reject {
	code, what, limit := problem.StringTooLong, "string", s.limits.StringBytes
	if key {
		code, what, limit = problem.KeyTooLong, "key", s.limits.KeyBytes
	}
	return reject(code, "a %s has %d bytes, at most %d are allowed; it begins with %.40q", what, len(raw), limit, raw)
}

// plainByte tells the bytes that need no second look within a string.
var plainByte = func() (t [utf8.RuneSelf]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\' && c != '<' && c != '&'
	}
	return t
}()

// span moves past a string's closing quote. It reports whether there were escapes, and whether there
// was, unescaped, something that must be looked at for cleaning.
func (s *scanner) span(key bool) (escaped, suspect bool, rej *Reject) {
	for s.pos < len(s.in) {
		c := s.in[s.pos]
		switch {
		case c < utf8.RuneSelf && plainByte[c]:
			s.pos++
		case c == '"':
			s.pos++
			return escaped, suspect, nil
		case c == '\\':
			escaped = true
			n := escapeLen(s.in[s.pos:])
			if n == 0 {
				return false, false, s.malformed("a string has an escape that JSON does not know")
			}
			s.pos += n
		case c < ' ':
			return false, false, s.malformed("a string has a control character that is not escaped")
		case c < utf8.RuneSelf:
			suspect = true
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.in[s.pos:])
			if n == 1 {
				return false, false, reject(problem.UTF8Invalid, "the byte %#02x is not valid UTF-8 (at byte %d)", c, s.pos)
			}
			suspect = suspect || unseen(r, key)
			s.pos += n
		}
	}
	return false, false, s.malformed("it ends within a string")
}

// suspicious does for decoded text what span does for raw text.
func suspicious(text []byte, key bool) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if !plainByte[c] && c != '"' && c != '\\' && (key || c != '\n' && c != '\t') {
				return true
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if unseen(r, key) {
			return true
		}
		i += n
	}
	return false
}

// escapeLen returns the length of the escape that b begins with, or 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads the \uXXXX that b begins with.
func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape appends to dst what raw, whose escapes are known to be good, stands for. Half a
// surrogate pair, which no UTF-8 can hold, becomes U+FFFD and is reported as broken.
func unescape(dst, raw []byte) (text []byte, broken bool) {
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return append(dst, raw...), broken
		}
		dst = append(dst, raw[:i]...)
		raw = raw[i:]
		n := 2
		switch c := raw[1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			n = 6
			r, _ := hex4(raw)
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw[6:])
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					n = 12
				} else {
					broken = true
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		raw = raw[n:]
	}
	return dst, broken
}

// quote returns the JSON string of cleaned text.
func quote(text string) []byte {
	b := make([]byte, 0, len(text)+2)
	b = append(b, '"')
	for i := range len(text) {
		switch c := text[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
