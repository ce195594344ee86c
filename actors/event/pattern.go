package event

import (
	"fmt"
	"strings"
)

// Pattern selects channels. In a pattern, "*" stands for any one segment, a final "**" for all that
// remain (one or more), "{name}" for one segment that is captured under that name; everything else
// stands for itself. The zero Pattern matches nothing.
type Pattern struct {
	text     string
	segments []segment
}

type segment struct {
	kind segmentKind
	text string // the literal, or the name of the capture
}

type segmentKind uint8

const (
	literal segmentKind = iota
	anyOne
	capture
	anyRest
)

// ParsePattern returns the pattern, or a *ChannelError that says what is wrong with it.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	seen := map[string]bool{}
	rest := false
	err := eachSegment(text, func(s string) string {
		if rest {
			return `"**" stands only at the end of a pattern`
		}
		switch {
		case s == "*":
			p.segments = append(p.segments, segment{kind: anyOne})
		case s == "**":
			rest = true
			p.segments = append(p.segments, segment{kind: anyRest})
		case strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}"):
			name := s[1 : len(s)-1]
			if !validName(name) {
				return fmt.Sprintf("%q is not a capture; write {name} with a name of letters, digits and _", s)
			}
			if seen[name] {
				return fmt.Sprintf("{%s} is captured twice", name)
			}
			seen[name] = true
			p.segments = append(p.segments, segment{kind: capture, text: name})
		default:
			if reason := checkSegment(s); reason != "" {
				return reason + `; a pattern also takes *, ** and {name} as whole segments`
			}
			p.segments = append(p.segments, segment{kind: literal, text: s})
		}
		return ""
	})
	if err != nil {
		return Pattern{}, err
	}
	return p, nil
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= MaxSegmentBytes
}

// String returns the pattern as it was parsed.
func (p Pattern) String() string { return p.text }

// IsChannel reports whether the pattern selects exactly one channel, its own text.
func (p Pattern) IsChannel() bool {
	for _, s := range p.segments {
		if s.kind != literal {
			return false
		}
	}
	return len(p.segments) > 0
}

// Match reports whether the channel is selected, with what was captured (nil if nothing was). The
// channel is one that CheckChannel accepts; of other texts it may select some.
func (p Pattern) Match(channel string) (vars map[string]string, ok bool) {
	if len(p.segments) == 0 {
		return nil, false
	}
	rest := channel
	for i, s := range p.segments {
		if s.kind == anyRest {
			return vars, true
		}
		head, tail, more := strings.Cut(rest, ":")
		if more == (i == len(p.segments)-1) {
			return nil, false
		}
		switch s.kind {
		case literal:
			if head != s.text {
				return nil, false
			}
		case capture:
			if vars == nil {
				vars = make(map[string]string, 2)
			}
			vars[s.text] = head
		}
		rest = tail
	}
	return vars, true
}

// Covers reports whether the pattern selects every channel that the other selects. What the zero
// Pattern selects, nothing, is covered by none.
func (p Pattern) Covers(other Pattern) bool {
	for i, s := range p.segments {
		if i >= len(other.segments) {
			return false
		}
		o := other.segments[i]
		switch {
		case s.kind == anyRest:
			return true
		case o.kind == anyRest, s.kind == literal && o != s:
			return false
		}
	}
	return len(p.segments) > 0 && len(p.segments) == len(other.segments)
}

// Template is a channel name with {name} holes, such as "couple:updates:{coupleId}".
type Template struct{ pattern Pattern }

// ParseTemplate returns the template, or a *ChannelError; wildcards are not allowed in it, nor are the system's channels.
func ParseTemplate(text string) (Template, error) {
	p, err := ParsePattern(text)
	if err != nil {
		return Template{}, err
	}
	for _, s := range p.segments {
		if s.kind == anyOne || s.kind == anyRest {
			return Template{}, &ChannelError{Name: text, Reason: "a template takes {name}, not * or **"}
		}
	}
	if err := CheckNotSystem(text); err != nil {
		return Template{}, err
	}
	return Template{p}, nil
}

// Fill puts values in the holes. It fails, with a *ChannelError, where lookup has no value for a
// name, the value cannot be a segment, or the channel becomes too long.
func (t Template) Fill(lookup func(name string) (string, bool)) (string, error) {
	var b strings.Builder
	for i, s := range t.pattern.segments {
		if i > 0 {
			b.WriteByte(':')
		}
		if s.kind == literal {
			b.WriteString(s.text)
			continue
		}
		v, ok := lookup(s.text)
		if !ok {
			return "", &ChannelError{Name: t.pattern.text, Reason: fmt.Sprintf("there is no value for {%s}", s.text)}
		}
		if reason := checkSegment(v); reason != "" {
			return "", &ChannelError{Name: t.pattern.text, Reason: fmt.Sprintf("the value of {%s} does not fit: %s", s.text, reason)}
		}
		b.WriteString(v)
	}
	name := b.String()
	if err := CheckChannel(name); err != nil {
		return "", err
	}
	return name, nil
}
