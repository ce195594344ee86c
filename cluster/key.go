package cluster

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// KeyBytes is how long a cluster key is.
const KeyBytes = 32

// Key is a cluster key: what nodes of one cluster share. It shows its id only, whatever prints it; the
// zero Key is none.
type Key struct{ open func() []byte } // a function, so that no dumper reaches the bytes

// GenerateKey returns a new key.
func GenerateKey() Key {
	for {
		raw := make([]byte, KeyBytes)
		_, _ = rand.Read(raw)                      // never fails
		if k := keyOf(raw); k.Reveal()[0] != '-' { // on a command line that would begin a flag
			return k
		}
	}
}

func keyOf(raw []byte) Key { return Key{func() []byte { return raw }} }

// base64url writes and reads keys, whatever alphabet and padding they are given in.
var base64url = base64.RawURLEncoding.Strict()

// ParseKey reads a key: 32 bytes in base64, as GenerateKey and "openssl rand -base64 32" make them.
// The error does not show the text.
func ParseKey(text string) (Key, error) {
	plain := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	raw, err := base64url.DecodeString(plain)
	switch {
	case plain == "":
		return Key{}, errors.New("the cluster key is empty; it is 32 random bytes in base64")
	case err != nil:
		return Key{}, fmt.Errorf("the cluster key, of %d characters, is not base64; it is 32 random bytes in base64", len(text))
	case len(raw) != KeyBytes:
		return Key{}, fmt.Errorf("the cluster key has %d bytes; it is 32 random bytes in base64", len(raw))
	}
	return keyOf(raw), nil
}

// Reveal returns the key's text, "" of the zero Key.
func (k Key) Reveal() string {
	if k.open == nil {
		return ""
	}
	return base64url.EncodeToString(k.open())
}

// ID returns what a key may be called by: ten hexadecimal digits, of which nobody finds the key.
func (k Key) ID() string {
	if k.open == nil {
		return ""
	}
	return hex.EncodeToString(k.derive("id", 5))
}

// Format writes the id.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "[key %s]", k.ID()) }

// MarshalText returns the id.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.ID()), nil }

// derive returns n bytes for one purpose, of which those for another tell nothing (RFC 5869).
func (k Key) derive(purpose string, n int) []byte {
	out, err := hkdf.Key(sha256.New, k.open(), nil, "wedsync cluster "+purpose, n)
	if err != nil {
		panic(err) // more than 255 hashes were asked for
	}
	return out
}
