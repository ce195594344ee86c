package event

import "fmt"

// Secret is a text that shows itself nowhere: format verbs, JSON and text give "[secret]".
//
// It is a string underneath, so three ways around it are left. fmt calls no methods on unexported
// fields: a struct that keeps a Secret in one must not be printed itself. A verb that go vet refuses
// for the value, such as %p or %w, has fmt dump it raw. And encoding/json writes map keys raw.
type Secret string

const redacted = "[secret]"

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Format writes "[secret]".
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText writes "[secret]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Secrets are an integration's secrets by the adapter's field name. The first of a name is in
// force; others are from before a rotation and still verify what comes in.
type Secrets map[string][]Secret

// Current returns the secret of that name that is in force, or "".
func (s Secrets) Current(name string) Secret {
	if v := s[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
