package ingest

import (
	"bytes"
	"strconv"

	"github.com/wedsync/wedsync/edge/problem"
)

// scanner reads one payload in one pass: it checks that it is well-formed JSON (RFC 8259) within the
// limits, cleans keys and strings, leaves numbers as they were written, and drops white space. It
// copies nothing until something must change.
type scanner struct {
	limits  Limits
	cleaner *cleaner // nil: only check

	in   []byte
	pos  int
	out  []byte // what comes out for in[:kept]
	kept int

	depth, keys, elements int
	names                 [][]byte // keys of the objects that are open, cleaned
	text                  []byte   // scratch

	wedding, couple string // top-level weddingId and coupleId, cleaned, as text
}

// run returns the payload as it goes into the log: in itself where nothing had to change.
func (s *scanner) run(in []byte) ([]byte, *Reject) {
	s.in, s.pos, s.out, s.kept = in, 0, nil, 0
	s.depth, s.keys, s.elements = 0, 0, 0
	s.names, s.wedding, s.couple = s.names[:0], "", ""
	s.space()
	if first := s.peek(); first != '{' {
		if _, rej := s.value(); rej != nil {
			return nil, rej
		}
		return nil, reject(problem.PayloadNotObject, "it is %s; it must be a JSON object", kindOf(first))
	}
	if rej := s.object(); rej != nil {
		return nil, rej
	}
	s.space()
	if s.pos != len(in) {
		return nil, s.malformed("there is more after the end of the object")
	}
	if s.kept == 0 {
		return in, nil
	}
	return append(s.out, in[s.kept:]...), nil
}

func kindOf(c byte) string {
	switch c {
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func (s *scanner) malformed(what string) *Reject {
	return reject(problem.JSONMalformed, "%s (at byte %d)", what, s.pos)
}

// peek returns the byte at the position, or 0 at the end, which is no token either.
func (s *scanner) peek() byte {
	if s.pos < len(s.in) {
		return s.in[s.pos]
	}
	return 0
}

// space skips white space and leaves it out.
func (s *scanner) space() {
	from := s.pos
	for s.pos < len(s.in) {
		switch s.in[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
			continue
		}
		break
	}
	if s.pos > from {
		s.replace(from, nil)
	}
}

// replace puts text in the place of in[from:pos].
func (s *scanner) replace(from int, text []byte) {
	if s.cleaner == nil {
		return
	}
	if s.out == nil {
		s.out = make([]byte, 0, len(s.in)+16)
	}
	s.out = append(append(s.out, s.in[s.kept:from]...), text...)
	s.kept = s.pos
}

// value reads any value. It returns what a top-level id would read as: the text of a string or
// number, else nil.
func (s *scanner) value() ([]byte, *Reject) {
	switch c := s.peek(); {
	case c == '"':
		return s.str(false)
	case c == '{':
		return nil, s.object()
	case c == '[':
		return nil, s.array()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return nil, s.word("true")
	case c == 'f':
		return nil, s.word("false")
	case c == 'n':
		return nil, s.word("null")
	case s.pos == len(s.in):
		return nil, s.malformed("it ends where a value is expected")
	}
	return nil, s.malformed("a value is expected, not " + strconv.QuoteRuneToASCII(rune(s.peek())))
}

func (s *scanner) word(w string) *Reject {
	if !bytes.HasPrefix(s.in[s.pos:], []byte(w)) {
		return s.malformed("a value is expected; did you mean " + w + "?")
	}
	s.pos += len(w)
	return nil
}

func (s *scanner) enter() *Reject {
	if s.depth++; s.depth > s.limits.Depth {
		return reject(problem.PayloadTooDeep, "it is nested more than %d deep (at byte %d)", s.limits.Depth, s.pos)
	}
	s.pos++
	s.space()
	return nil
}

func (s *scanner) object() *Reject {
	if rej := s.enter(); rej != nil {
		return rej
	}
	names := newNames(s)
	if s.peek() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		key, rej := s.key()
		if rej != nil {
			return rej
		}
		if !names.add(key) {
			return reject(problem.DuplicateKey, "the key %.80q stands twice in one object (at byte %d)", key, s.pos)
		}
		v, rej := s.value()
		if rej != nil {
			return rej
		}
		if s.depth == 1 && v != nil {
			s.note(key, v)
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			s.depth--
			names.close()
			return nil
		default:
			return s.malformed(`"," or "}" is expected in an object`)
		}
	}
}

// key reads a key and its colon.
func (s *scanner) key() ([]byte, *Reject) {
	if s.peek() != '"' {
		return nil, s.malformed("a key in quotes is expected in an object")
	}
	if s.keys++; s.keys > s.limits.Keys {
		return nil, reject(problem.PayloadTooWide, "it has more than %d keys", s.limits.Keys)
	}
	key, rej := s.str(true)
	if rej != nil {
		return nil, rej
	}
	s.space()
	if s.peek() != ':' {
		return nil, s.malformed(`":" is expected after a key`)
	}
	s.pos++
	s.space()
	return key, nil
}

func (s *scanner) note(key, v []byte) {
	switch string(key) {
	case "weddingId":
		s.wedding = string(v)
	case "coupleId":
		s.couple = string(v)
	}
}

func (s *scanner) array() *Reject {
	if rej := s.enter(); rej != nil {
		return rej
	}
	if s.peek() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if s.elements++; s.elements > s.limits.Elements {
			return reject(problem.TooManyElements, "it has more than %d array elements", s.limits.Elements)
		}
		if _, rej := s.value(); rej != nil {
			return rej
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			s.depth--
			return nil
		default:
			return s.malformed(`"," or "]" is expected in an array`)
		}
	}
}

// maxNumberBytes is more than any number that a program can hold needs.
const maxNumberBytes = 128

func (s *scanner) number() ([]byte, *Reject) {
	from := s.pos
	digits := func() bool {
		at := s.pos
		for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
			s.pos++
		}
		return s.pos > at
	}
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.peek() == '0':
		s.pos++
	case !digits():
		return nil, s.malformed("a digit is expected in a number")
	}
	if s.peek() == '.' {
		s.pos++
		if !digits() {
			return nil, s.malformed("a digit is expected after a number's point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !digits() {
			return nil, s.malformed("a digit is expected in a number's exponent")
		}
	}
	if n := s.pos - from; n > maxNumberBytes {
		return nil, reject(problem.NumberTooLong, "a number has %d characters, at most %d are allowed", n, maxNumberBytes)
	}
	return s.in[from:s.pos], nil
}
