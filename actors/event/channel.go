package event

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on channel names.
const (
	MaxChannelBytes    = 256
	MaxChannelSegments = 8
	MaxSegmentBytes    = 64
)

// ChannelError says what is wrong with a channel name or a pattern.
type ChannelError struct {
	Name   string // as given, cut to MaxChannelBytes
	Reason string
}

func (e *ChannelError) Error() string {
	return fmt.Sprintf("channel %q: %s", e.Name, e.Reason)
}

// CheckChannel returns a *ChannelError unless name is a channel: one to eight segments separated by
// ":", each 1 to 64 of A-Za-z0-9_-. and the whole at most 256 bytes. A pattern is not a channel.
func CheckChannel(name string) error {
	return eachSegment(name, checkSegment)
}

// ValidSegment reports whether s can stand as one segment of a channel name.
func ValidSegment(s string) bool { return checkSegment(s) == "" }

// checkSegment returns what is wrong with s as a segment, or "".
func checkSegment(s string) string {
	switch {
	case s == "":
		return "a segment is empty"
	case len(s) > MaxSegmentBytes:
		return fmt.Sprintf("a segment has %d bytes, at most %d are allowed", len(s), MaxSegmentBytes)
	}
	if bad := firstOther(s, segmentByte); bad != "" {
		return fmt.Sprintf("%q is not allowed; a segment is made of A-Z a-z 0-9 _ - and .", bad)
	}
	return ""
}

// firstOther returns the first character of s that is not made of the bytes allowed, or "".
func firstOther(s string, allowed func(byte) bool) string {
	for i := range len(s) {
		if !allowed(s[i]) {
			_, size := utf8.DecodeRuneInString(s[i:])
			return s[i : i+size]
		}
	}
	return ""
}

func segmentByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
}

// eachSegment bounds a name and calls check with its segments until that finds something wrong.
func eachSegment(name string, check func(string) string) error {
	fail := func(reason string) error {
		return &ChannelError{Name: name[:min(len(name), MaxChannelBytes)], Reason: reason}
	}
	if name == "" {
		return fail("the name is empty")
	}
	if len(name) > MaxChannelBytes {
		return fail(fmt.Sprintf("the name has %d bytes, at most %d are allowed", len(name), MaxChannelBytes))
	}
	if n := strings.Count(name, ":") + 1; n > MaxChannelSegments {
		return fail(fmt.Sprintf("the name has %d segments, at most %d are allowed", n, MaxChannelSegments))
	}
	for segment := range strings.SplitSeq(name, ":") {
		if reason := check(segment); reason != "" {
			return fail(reason)
		}
	}
	return nil
}
