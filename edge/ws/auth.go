package ws

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/actors/event"
)

// maxUserBytes bounds the sub claim: it becomes part of an event's source.
const maxUserBytes = 128

// maxInfoBytes bounds the info claim: it goes to everybody who may know who is on a channel.
const maxInfoBytes = 1 << 10

// maxPatterns bounds a claim's patterns: each may be held against each subscription.
const maxPatterns = 1000

// The algorithms that tokens may be signed with (RFC 7518 section 3.1).
const (
	algHS256 = "HS256"
	algRS256 = "RS256"
	algES256 = "ES256"
)

// errTokenExpired is the one refusal after which a client should come back with another token.
var errTokenExpired = errors.New("the token has expired")

// identity is who a client is and what it may do. It is immutable.
type identity struct {
	user      string
	expires   time.Time // zero: never
	all       bool      // the insecure mode
	info      []byte    // JSON; nil: none
	subscribe []event.Pattern
	publish   []event.Pattern
	presence  []event.Pattern
	subs      map[string]subClaim // by channel or pattern
}

// claims of a client's token. Others are ignored.
type claims struct {
	jwt.RegisteredClaims
	// Channels are patterns of channels that may be subscribed to and whose history may be read. A
	// pattern may itself be subscribed to where one of them covers it.
	Channels []string `json:"channels"`
	// Publish are patterns of channels that may be published on.
	Publish []string `json:"publish"`
	// Presence are patterns of channels of which the client may know who is there, comes and goes.
	Presence []string `json:"presence"`
	// Subs are channels and patterns that the server subscribes the client to as it connects.
	Subs map[string]subClaim `json:"subs"`
	// Info is what others who may know that learn of the client besides its user: any JSON.
	Info json.RawMessage `json:"info"`
}

type subClaim struct {
	Info json.RawMessage `json:"info"` // besides claims.Info
}

// subscriptionClaims are those of a token for one subscription.
type subscriptionClaims struct {
	jwt.RegisteredClaims
	Channel string          `json:"channel"` // or a pattern
	Info    json.RawMessage `json:"info"`    // besides claims.Info
}

// authority tells who bears a token. It is safe for concurrent use.
type authority struct {
	keys     jwt.VerificationKeySet // for HS256
	rsa      jwt.VerificationKeySet
	ecdsa    jwt.VerificationKeySet
	remote   *jwks // nil: none
	insecure bool
	parser   *jwt.Parser
}

func newAuthority(cfg Config) (*authority, error) {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{algHS256, algRS256, algES256}), jwt.WithTimeFunc(cfg.Now),
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	a := &authority{insecure: cfg.Insecure, parser: jwt.NewParser(options...)}
	for _, k := range cfg.TokenKeys {
		a.keys.Keys = append(a.keys.Keys, []byte(k.Reveal()))
	}
	for i, text := range cfg.PublicKeys {
		key, err := ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("ws: PublicKeys[%d] %w", i, err)
		}
		switch k := key.(type) {
		case *rsa.PublicKey:
			a.rsa.Keys = append(a.rsa.Keys, k)
		case *ecdsa.PublicKey:
			a.ecdsa.Keys = append(a.ecdsa.Keys, k)
		}
	}
	if cfg.JWKS != "" {
		a.remote = newJWKS(cfg)
	}
	return a, nil
}

// ParsePublicKey reads an RSA key of at least 2048 bits, or an ECDSA key on P-256, in PEM (PUBLIC KEY). Its error
// goes on from the key's name.
func ParsePublicKey(text string) (any, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || strings.TrimSpace(string(rest)) != "" {
		return nil, errors.New(`is no single PEM block; write it with "-----BEGIN PUBLIC KEY-----" and all lines after it`)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("is a PEM block %q that holds no public key: %w", block.Type, err)
	}
	return key, checkKey(key)
}

func (a *authority) close() {
	if a.remote != nil {
		a.remote.close()
	}
}

// keysFor returns the keys that a token may be signed with: those of its own algorithm alone, so that none is
// taken for what it is not.
func (a *authority) keysFor(ctx context.Context) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		alg := t.Method.Alg()
		set := map[string]jwt.VerificationKeySet{algHS256: a.keys, algRS256: a.rsa, algES256: a.ecdsa}[alg]
		if alg == algHS256 || a.remote == nil {
			return set, nil
		}
		id, _ := t.Header["kid"].(string)
		key, err := a.remote.key(ctx, id)
		switch k := key.(type) {
		case *rsa.PublicKey:
			if alg == algRS256 {
				return k, nil
			}
		case *ecdsa.PublicKey:
			if alg == algES256 {
				return k, nil
			}
		}
		if len(set.Keys) > 0 {
			return set, nil
		}
		if err == nil {
			err = fmt.Errorf("it is not for %s", alg)
		}
		return nil, fmt.Errorf("key id %.80q: %w", id, err)
	}
}

// read verifies a token and reads its claims. It returns errTokenExpired, or another error that says what is
// wrong with it.
func (a *authority) read(ctx context.Context, token string, into jwt.Claims) error {
	if token == "" {
		return errors.New("there is no token")
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	_, err := a.parser.ParseWithClaims(token, into, a.keysFor(ctx))
	if errors.Is(err, jwt.ErrTokenExpired) { // the signature was good, or it would not have come so far
		return errTokenExpired
	}
	return err
}

// identify returns errTokenExpired, or another error that says what is wrong with the token.
func (a *authority) identify(ctx context.Context, token string) (*identity, error) {
	if a.insecure {
		return &identity{user: "anonymous", all: true}, nil
	}
	var c claims
	if err := a.read(ctx, token, &c); err != nil {
		return nil, err
	}
	if c.Subject == "" || len(c.Subject) > maxUserBytes {
		return nil, fmt.Errorf("the sub claim has %d bytes; it must have 1 to %d", len(c.Subject), maxUserBytes)
	}
	id := &identity{user: c.Subject, info: c.Info, expires: expiry(c.RegisteredClaims), subs: c.Subs}
	for _, p := range []struct {
		claim string
		texts []string
		to    *[]event.Pattern
	}{{"channels", c.Channels, &id.subscribe}, {"publish", c.Publish, &id.publish}, {"presence", c.Presence, &id.presence}} {
		var err error
		if *p.to, err = patterns(p.claim, p.texts); err != nil {
			return nil, err
		}
	}
	for name, s := range c.Subs {
		if _, err := event.ParsePattern(name); err != nil {
			return nil, fmt.Errorf("the subs claim: %w", err)
		}
		if err := checkInfo(s.Info); err != nil {
			return nil, err
		}
	}
	return id, checkInfo(c.Info)
}

// pass is what a subscription token allows.
type pass struct {
	expires time.Time // zero: never
	info    []byte
}

// admit returns what a token allows its bearer: to subscribe to that channel or pattern.
func (a *authority) admit(ctx context.Context, token, user, name string) (pass, error) {
	var c subscriptionClaims
	err := a.read(ctx, token, &c)
	switch {
	case err != nil:
		return pass{}, err
	case c.Subject != user:
		return pass{}, errors.New("the token is another user's")
	case c.Channel != name:
		return pass{}, errors.New("the token is for another channel")
	}
	return pass{expiry(c.RegisteredClaims), c.Info}, checkInfo(c.Info)
}

func expiry(c jwt.RegisteredClaims) time.Time {
	if c.ExpiresAt == nil {
		return time.Time{}
	}
	return c.ExpiresAt.Time
}

func checkInfo(info json.RawMessage) error {
	if len(info) > maxInfoBytes {
		return fmt.Errorf("an info claim has %d bytes; at most %d are allowed", len(info), maxInfoBytes)
	}
	return nil
}

func patterns(claim string, texts []string) ([]event.Pattern, error) {
	if len(texts) > maxPatterns {
		return nil, fmt.Errorf("the %s claim has %d patterns; at most %d are allowed", claim, len(texts), maxPatterns)
	}
	out := make([]event.Pattern, 0, len(texts))
	for _, text := range texts {
		p, err := event.ParsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("the %s claim: %w", claim, err)
		}
		out = append(out, p)
	}
	return out, nil
}
