package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// MinKeyBytes is how long a configured key must be at least: a key is looked up by a fast hash, so it
// must be one that nobody can guess.
const MinKeyBytes = 20

// Bounds of what a key says.
const (
	maxName     = 64
	maxChannels = 32
)

// Key is an API key without its text.
type Key struct {
	ID        string            `json:"id,omitempty" doc:"Chosen by the node; it stands in the key's text."`
	Name      string            `json:"name" doc:"Who holds it: 1 to 64 printable characters without spaces."`
	Scopes    []Scope           `json:"scopes" nullable:"false" doc:"What it may do."`
	Owner     map[string]string `json:"owner,omitempty" doc:"Such as supplierId=42: it reaches only what is that owner's."`
	Channels  []string          `json:"channels,omitempty" doc:"Patterns of the channels that it reaches, in which {supplierId} stands for the owner's. Without any: all, or none if it has an owner."`
	ExpiresAt time.Time         `json:"expiresAt,omitzero" doc:"Default: never."`
	CreatedBy string            `json:"createdBy,omitempty"`
	CreatedAt time.Time         `json:"createdAt,omitzero"`

	LastUsedAt time.Time `json:"lastUsedAt,omitzero" doc:"To the minute; left out: never. Requests that were refused for their scope count too."`
}

// stored is a key as the bucket has it.
type stored struct {
	V int `json:"v"`
	Key
	Hash string `json:"hash"` // SHA-256 of the text, hex
}

// InvalidError says what is wrong with a key that is to be made.
type InvalidError struct{ Err error }

func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// ExceedsError says what a key that is to be made could do beyond who makes it.
type ExceedsError struct{ What string }

func (e *ExceedsError) Error() string { return e.What }

const prefix = "wsk_"

// newText returns the text of a new key, of 256 random bits, and its id.
func newText() (id string, text event.Secret) {
	id = strings.ToLower(rand.Text()[:10])
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	return id, event.SecretOf(prefix + id + "_" + base64.RawURLEncoding.EncodeToString(raw[:]))
}

// idOf returns the id that stands in a key's text, "" if there is none.
func idOf(text string) string {
	rest, ok := strings.CutPrefix(text, prefix)
	id, _, found := strings.Cut(rest, "_")
	if !ok || !found {
		return ""
	}
	return id
}

func checkName(name string) error {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("name %.70q: must have 1 to %d printable characters without spaces", name, maxName)
	}
	return nil
}

// check returns what is wrong with a key that is to be made.
func (k *Key) check(now time.Time) error {
	if err := checkName(k.Name); err != nil {
		return err
	}
	if len(k.Owner) > event.MaxChannelSegments {
		return fmt.Errorf("owner: %d variables, at most %d are allowed", len(k.Owner), event.MaxChannelSegments)
	}
	for name, v := range k.Owner {
		if _, err := event.ParseTemplate("{" + name + "}"); err != nil {
			return fmt.Errorf("owner: %.80q is no variable name; use letters, digits and _, as in supplierId", name)
		}
		if !event.ValidSegment(v) {
			return fmt.Errorf("owner: %s=%.80q cannot be a segment of a channel", name, v)
		}
	}
	if err := checkScopes(k.Scopes, len(k.Owner) > 0); err != nil {
		return err
	}
	if len(k.Channels) > maxChannels {
		return fmt.Errorf("channels: %d patterns, at most %d are allowed", len(k.Channels), maxChannels)
	}
	for i, text := range k.Channels {
		if err := checkChannel(text, k.Owner); err != nil {
			return fmt.Errorf("channels[%d]: %w", i, err)
		}
	}
	if !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		return fmt.Errorf("expiresAt %s is not in the future", k.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

// checkChannel refuses, for an owner, a pattern that leaves open whose channels it selects.
func checkChannel(text string, owner map[string]string) error {
	p, err := event.ParsePattern(fill(text, owner))
	switch {
	case err != nil:
		return err
	case len(owner) == 0 || p.IsChannel():
		return nil
	}
	for segment := range strings.SplitSeq(p.String(), ":") {
		for _, v := range owner {
			if segment == v {
				return nil
			}
		}
	}
	return fmt.Errorf("%q selects channels of other owners; write the owner's variable or value into it, as in supplier:dashboard:{supplierId}", text)
}

// within returns an *ExceedsError unless whoever makes the key may do all that it may.
func (k *Key) within(by *Caller) error {
	exceeds := func(format string, args ...any) error { return &ExceedsError{fmt.Sprintf(format, args...)} }
	for _, s := range k.Scopes {
		if !by.Has(s) {
			return exceeds("scopes: %s is not among those of the key that makes it, %s", s, by.Scopes())
		}
	}
	if !by.Owns(k.Owner) {
		return exceeds("owner: the key that makes it is bound to another")
	}
	if len(k.Channels) == 0 && len(k.Owner) == 0 && by.limited() {
		return exceeds("channels: the key that makes it does not reach all channels; name those that it should reach")
	}
	for i, text := range k.Channels {
		if !by.Covers(text, k.Owner) {
			return exceeds("channels[%d]: the key that makes it does not reach all of %q", i, text)
		}
	}
	if !by.expires.IsZero() && (k.ExpiresAt.IsZero() || k.ExpiresAt.After(by.expires)) {
		return exceeds("expiresAt: it must not be later than %s, when the key that makes it expires", by.expires.Format(time.RFC3339))
	}
	return nil
}

// Actor is the name of who holds the key in audit records.
func (k *Key) Actor() string { return "key:" + k.Name + "/" + k.ID }

// caller returns who holds the key. What cannot be read in it allows nothing.
func (k *Key) caller() *Caller {
	c := &Caller{
		actor: k.Actor(), scopes: setOf(k.Scopes...), owner: k.Owner, expires: k.ExpiresAt,
		channels: make([]event.Pattern, len(k.Channels)),
	}
	for i, text := range k.Channels {
		c.channels[i], _ = event.ParsePattern(fill(text, k.Owner)) // the zero pattern selects nothing
	}
	return c
}

// held is a key as a node holds it.
type held struct {
	key    Key
	hash   [sha256.Size]byte
	caller *Caller
	used   *usage
}

// decode reads a stored key; id is that of the bucket's key.
func decode(id string, data []byte) (*held, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("not a key in JSON: %w", err)
	}
	hash, err := hex.DecodeString(s.Hash)
	switch {
	case s.V != event.Version:
		return nil, fmt.Errorf("version %d, this release reads %d", s.V, event.Version)
	case s.ID != id:
		return nil, fmt.Errorf("it holds the id %.80q", s.ID)
	case err != nil || len(hash) != sha256.Size:
		return nil, errors.New("its hash is none")
	}
	return &held{s.Key, [sha256.Size]byte(hash), s.caller(), &usage{}}, nil
}

func encode(k Key, text event.Secret) ([]byte, error) {
	sum := sha256.Sum256([]byte(text.Reveal()))
	return json.Marshal(stored{event.Version, k, hex.EncodeToString(sum[:])})
}
