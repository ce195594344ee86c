package adapter

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/wedsync/wedsync/actors/event"
)

// payload is an event's payload, decoded once.
type payload map[string]json.RawMessage

func readPayload(ev *event.Event) (payload, error) {
	var p payload
	if err := json.Unmarshal(ev.Payload, &p); err != nil || p == nil {
		return nil, &EncodeError{Field: "", Reason: "the payload is not a JSON object"}
	}
	return p, nil
}

// has reports whether the field is there and not null.
func (p payload) has(name string) bool {
	raw, ok := p[name]
	return ok && string(raw) != "null"
}

// raw returns the field as it stands, or null.
func (p payload) raw(name string) json.RawMessage {
	if !p.has(name) {
		return json.RawMessage("null")
	}
	return p[name]
}

// text returns a field that is a text or a number, or "" where it is missing.
func (p payload) text(name string) (string, error) {
	if !p.has(name) {
		return "", nil
	}
	if s, ok := scalar(p[name]); ok {
		return s, nil
	}
	return "", &EncodeError{Field: name, Reason: "must be a text"}
}

// need is text of a field that must not be missing or empty.
func (p payload) need(name string) (string, error) {
	s, err := p.text(name)
	if err == nil && s == "" {
		err = &EncodeError{Field: name, Reason: "is missing"}
	}
	return s, err
}

// needTime is need of a field that is an RFC 3339 time; the text is kept with its offset.
func (p payload) needTime(name string) (string, time.Time, error) {
	s, err := p.need(name)
	if err != nil {
		return "", time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return "", time.Time{}, &EncodeError{Field: name, Reason: "must be a time with its offset, such as 2026-06-20T16:00:00+02:00"}
	}
	return s, t, nil
}

// needInt is need of a field that is a whole number of at least 0.
func (p payload) needInt(name string) (int, error) {
	n, given, err := p.int(name)
	if err == nil && !given {
		err = &EncodeError{Field: name, Reason: "is missing"}
	}
	return n, err
}

func (p payload) int(name string) (n int, given bool, err error) {
	if !p.has(name) {
		return 0, false, nil
	}
	v, err := strconv.ParseInt(string(bytes.TrimSpace(p[name])), 10, 32)
	if err != nil || v < 0 {
		return 0, true, &EncodeError{Field: name, Reason: "must be a whole number of at least 0"}
	}
	return int(v), true, nil
}

// scalar gives a JSON text, number or boolean as plain text.
func scalar(raw json.RawMessage) (string, bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch raw[0] {
	case '"':
		if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
			return string(inner), true
		}
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err == nil
	case '{', '[', 'n':
		return "", false
	}
	return string(raw), true
}

// joinObjects gives one JSON object with the fields of both, those of a first. Neither is checked:
// both were written by this package.
func joinObjects(a, b json.RawMessage) (json.RawMessage, error) {
	a, b = bytes.TrimSpace(a), bytes.TrimSpace(b)
	if len(a) < 2 || len(b) < 2 || a[0] != '{' || b[0] != '{' {
		return nil, errors.New("the stored body is not a JSON object; it was not written by this adapter")
	}
	if len(a) == 2 || len(b) == 2 {
		return append(append(json.RawMessage{}, a[:len(a)-1]...), b[1:]...), nil
	}
	out := make(json.RawMessage, 0, len(a)+len(b))
	out = append(out, a[:len(a)-1]...)
	out = append(out, ',')
	return append(out, b[1:]...), nil
}
