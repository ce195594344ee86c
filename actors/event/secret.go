package event

import "fmt"

const redacted = "[secret]"

// Secret is a text that shows itself nowhere: format verbs, JSON and text give "[secret]".
//
// Not every printer asks: fmt calls no method of an unexported field nor for %p and %w, a panic prints a
// text as it is, dumpers follow pointers by reflection. So the text is where none of them reaches: of a
// function they show the address. Secrets have no ==; see Equal.
type Secret struct{ open func() string }

// SecretOf keeps a text secret.
func SecretOf(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{func() string { return text }}
}

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.open == nil {
		return ""
	}
	return s.open()
}

// Equal reports whether two secrets are the same text. Its time tells how far they are: it is for
// secrets that are both ours, not for what a stranger gives.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// Format writes "[secret]".
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText writes "[secret]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = SecretOf(string(text))
	return nil
}

// Secrets are an integration's secrets by the adapter's field name. The first of a name is in
// force; others are from before a rotation and still verify what comes in.
type Secrets map[string][]Secret

// Current returns the secret of that name that is in force, or an empty one.
func (s Secrets) Current(name string) Secret {
	if v := s[name]; len(v) > 0 {
		return v[0]
	}
	return Secret{}
}
