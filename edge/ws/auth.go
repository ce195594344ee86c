package ws

import (
	"encoding/json"
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
	// Info is what others who may know that learn of the client besides its user: any JSON.
	Info json.RawMessage `json:"info"`
}

// authority tells who bears a token. It is safe for concurrent use.
type authority struct {
	keys     jwt.VerificationKeySet
	insecure bool
	parser   *jwt.Parser
}

func newAuthority(cfg Config) *authority {
	a := &authority{
		insecure: cfg.Insecure,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithTimeFunc(cfg.Now),
		),
	}
	for _, k := range cfg.TokenKeys {
		a.keys.Keys = append(a.keys.Keys, []byte(k.Reveal()))
	}
	return a
}

// identify returns errTokenExpired, or another error that says what is wrong with the token.
func (a *authority) identify(token string) (*identity, error) {
	if a.insecure {
		return &identity{user: "anonymous", all: true}, nil
	}
	if token == "" {
		return nil, errors.New("there is no token")
	}
	var c claims
	_, err := a.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return a.keys, nil })
	if errors.Is(err, jwt.ErrTokenExpired) { // the signature was good, or it would not have come so far
		return nil, errTokenExpired
	}
	if err != nil {
		return nil, err
	}
	if c.Subject == "" || len(c.Subject) > maxUserBytes {
		return nil, fmt.Errorf("the sub claim has %d bytes; it must have 1 to %d", len(c.Subject), maxUserBytes)
	}
	id := &identity{user: c.Subject}
	if c.ExpiresAt != nil {
		id.expires = c.ExpiresAt.Time
	}
	if id.subscribe, err = patterns("channels", c.Channels); err != nil {
		return nil, err
	}
	if id.publish, err = patterns("publish", c.Publish); err != nil {
		return nil, err
	}
	if id.presence, err = patterns("presence", c.Presence); err != nil {
		return nil, err
	}
	if len(c.Info) > maxInfoBytes {
		return nil, fmt.Errorf("the info claim has %d bytes; at most %d are allowed", len(c.Info), maxInfoBytes)
	}
	id.info = c.Info
	return id, nil
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

// sender is on whose rate the client's events count: its user's, however many connections that has.
func (id *identity) sender() string {
	if id.all {
		return ""
	}
	return "client:" + id.user
}

// maySubscribe reports whether p, a channel or a pattern, lies within what the token allows.
func (id *identity) maySubscribe(p event.Pattern) bool { return id.all || within(p, id.subscribe) }

// mayWatch reports whether the token allows to know who is on the channel.
func (id *identity) mayWatch(channel event.Pattern) bool {
	return id.all || within(channel, id.presence)
}

// mayPublish reports whether the token allows to publish on the channel.
func (id *identity) mayPublish(channel string) bool {
	if id.all {
		return true
	}
	for _, allowed := range id.publish {
		if _, ok := allowed.Match(channel); ok {
			return true
		}
	}
	return false
}

func within(p event.Pattern, allowed []event.Pattern) bool {
	for _, a := range allowed {
		if covers(a.String(), p.String()) {
			return true
		}
	}
	return false
}

// covers reports whether every channel that the inner pattern selects is selected by the outer one.
// Both are valid patterns.
func covers(outer, inner string) bool {
	for {
		o, oRest, oMore := strings.Cut(outer, ":")
		i, iRest, iMore := strings.Cut(inner, ":")
		switch {
		case o == "**":
			return true
		case i == "**":
			return false
		case !wild(o) && o != i:
			return false
		case oMore != iMore:
			return false
		case !oMore:
			return true
		}
		outer, inner = oRest, iRest
	}
}

// wild reports whether the segment stands for any one segment.
func wild(segment string) bool { return segment == "*" || strings.HasPrefix(segment, "{") }
