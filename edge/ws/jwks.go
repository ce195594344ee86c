package ws

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// jwksFresh is how long keys are used before they are asked for again, where the answer does not say
	// (Cache-Control: max-age), and jwksFreshest and jwksOldest are the bounds of what it may say.
	jwksFresh    = 10 * time.Minute
	jwksFreshest = time.Minute
	jwksOldest   = 24 * time.Hour
	// jwksAgain is how long at least lies between two fetches, so that tokens with key ids that nobody knows
	// do not flood whoever has the keys.
	jwksAgain = 10 * time.Second
	// jwksTimeout bounds one fetch, and so how long a client waits for it.
	jwksTimeout = 5 * time.Second
	// maxJWKSBytes bounds the document.
	maxJWKSBytes = 256 << 10
	// minRSABits is the least that RS256 may have (RFC 7518 section 3.3).
	minRSABits = 2048
)

// jwks are the public keys at an address (RFC 7517). They are fetched when they are first needed, then again when
// they are no longer fresh, or when a token names one that is not among them, as after a rotation. While that fails
// those that are known are used on for jwksOldest. It is safe for concurrent use.
type jwks struct {
	url  string
	http http.Client
	log  zerolog.Logger
	now  func() time.Time

	fetches sync.WaitGroup
	ctx     context.Context // of fetches
	cancel  context.CancelFunc

	mu      sync.Mutex
	keys    map[string]any // *rsa.PublicKey or *ecdsa.PublicKey, by key id
	fetched time.Time      // when keys were
	fresh   time.Time      // until then
	tried   time.Time      // when they were last asked for
	flight  chan struct{}  // closed when the fetch under way has ended; nil: there is none
}

func newJWKS(cfg Config) *jwks {
	j := &jwks{url: cfg.JWKS, http: http.Client{Timeout: jwksTimeout}, log: cfg.Logger, now: cfg.Now}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j
}

// close ends the fetch under way.
func (j *jwks) close() {
	j.cancel()
	j.fetches.Wait()
	j.http.CloseIdleConnections()
}

var (
	errKeyUnknown = errors.New("no key with this id is known")
	// errKeysAway means that nobody can tell now whether there is such a key.
	errKeysAway = errors.New("the keys are not to be had now")
)

// key returns the key with that id, and waits for it where it may be new.
func (j *jwks) key(ctx context.Context, id string) (any, error) {
	key, flight := j.look(id)
	if key != nil {
		return key, nil
	}
	if flight == nil { // the last one was a moment ago, and may have been too early
		return nil, errKeysAway
	}
	select {
	case <-flight:
	case <-ctx.Done():
		return nil, errKeysAway
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fetched.Before(j.tried) { // it failed
		return nil, errKeysAway
	}
	if key = j.keys[id]; key == nil {
		return nil, errKeyUnknown
	}
	return key, nil
}

// look returns the key if it is known, and the fetch that may bring it, if there is one.
func (j *jwks) look(id string) (key any, flight <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	if now.Sub(j.fetched) < jwksOldest {
		key = j.keys[id]
	}
	if (key == nil || now.After(j.fresh)) && j.flight == nil && now.Sub(j.tried) >= jwksAgain {
		j.tried, j.flight = now, make(chan struct{})
		j.fetches.Go(j.fetch)
	}
	return key, j.flight
}

// fetch replaces the keys, if it succeeds.
func (j *jwks) fetch() {
	keys, fresh, err := j.ask()
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		now := j.now()
		j.keys, j.fetched, j.fresh = keys, now, now.Add(fresh)
	} else if j.ctx.Err() == nil {
		j.log.Error().Err(err).Str("url", j.url).Msg("the keys of clients' tokens could not be fetched; those known are used on")
	}
	close(j.flight)
	j.flight = nil
}

func (j *jwks) ask() (keys map[string]any, fresh time.Duration, err error) {
	req, err := http.NewRequestWithContext(j.ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := j.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("answered %s", resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, 0, err
	}
	keys, err = parseJWKS(data)
	return keys, freshFor(resp.Header.Get("Cache-Control")), err
}

// freshFor reads max-age (RFC 9111 section 5.2.2.1).
func freshFor(cacheControl string) time.Duration {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		if age, ok := strings.CutPrefix(strings.TrimSpace(directive), "max-age="); ok {
			if seconds, err := strconv.ParseUint(age, 10, 31); err == nil {
				return min(max(time.Duration(seconds)*time.Second, jwksFreshest), jwksOldest)
			}
		}
	}
	return jwksFresh
}

// jwk is a key (RFC 7518 section 6).
type jwk struct {
	Kty, Kid, Use, Alg, Crv string
	N, E, X, Y              string
}

// parseJWKS returns the keys that sign with RS256 or ES256, by id. Others are passed over.
func parseJWKS(data []byte) (map[string]any, error) {
	if len(data) > maxJWKSBytes {
		return nil, fmt.Errorf("has more than %d bytes", maxJWKSBytes)
	}
	var set struct{ Keys []jwk }
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("is no JWK set: %w", err)
	}
	keys := make(map[string]any, len(set.Keys))
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		key, err := k.public()
		if err != nil {
			return nil, fmt.Errorf("key %.80q: %w", k.Kid, err)
		}
		if key != nil {
			keys[k.Kid] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key for RS256 or ES256")
	}
	return keys, nil
}

// public returns nil for a key of another kind.
func (k jwk) public() (any, error) {
	switch {
	case k.Kty == "RSA" && (k.Alg == "" || k.Alg == algRS256):
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			return nil, fmt.Errorf("n: %w", err)
		}
		e, err := base64.RawURLEncoding.DecodeString(k.E)
		if err != nil {
			return nil, fmt.Errorf("e: %w", err)
		}
		exponent := new(big.Int).SetBytes(e)
		if !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 {
			return nil, errors.New("e is no exponent")
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
		return key, checkKey(key)
	case k.Kty == "EC" && k.Crv == "P-256":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil {
			return nil, fmt.Errorf("x: %w", err)
		}
		y, err := base64.RawURLEncoding.DecodeString(k.Y)
		if err != nil {
			return nil, fmt.Errorf("y: %w", err)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	}
	return nil, nil
}

// checkKey returns why a key is for neither RS256 nor ES256, or nil.
func checkKey(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSABits {
			return fmt.Errorf("has %d bits; RS256 needs at least %d", n, minRSABits)
		}
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return nil
		}
	}
	return fmt.Errorf("is a %T; an RSA key, or an ECDSA key on P-256, is needed", key)
}
