package ws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wedsync/wedsync/edge/ws"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(curve, rand.Reader))
}

func publicPEM(key crypto.PublicKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))}))
}

// signWith makes a token with a private key; kid "" names none.
func signWith(method jwt.SigningMethod, key any, kid string, claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	return must(token.SignedString(key))
}

func TestPublicKeys(t *testing.T) {
	t.Parallel()
	ec, other := ecKey(elliptic.P256()), ecKey(elliptic.P256())
	rsaPEM := publicPEM(&rsaKey().PublicKey)
	n := startNode(t, openJournal(t), func(c *ws.Config) {
		c.TokenKeys, c.PublicKeys = nil, []string{rsaPEM, publicPEM(&ec.PublicKey), publicPEM(&other.PublicKey)}
		c.Issuer, c.Audience = "https://login.example.com", "wedsync"
	})
	claims := jwt.MapClaims{"sub": "u", "iss": "https://login.example.com", "aud": []string{"x", "wedsync"}}
	for _, token := range []string{
		signWith(jwt.SigningMethodRS256, rsaKey(), "", claims),
		signWith(jwt.SigningMethodES256, ec, "any", claims),
		signWith(jwt.SigningMethodES256, other, "", claims),
	} {
		dialRaw(t, n.addr).connect(token)
	}
	for name, token := range map[string]string{
		"the public key as a secret": signWith(jwt.SigningMethodHS256, []byte(rsaPEM), "", claims),
		"no secret":                  signWith(jwt.SigningMethodHS256, []byte{}, "", claims),
		"another algorithm":          signWith(jwt.SigningMethodRS512, rsaKey(), "", claims),
		"padded otherwise":           signWith(jwt.SigningMethodPS256, rsaKey(), "", claims),
		"another key":                signWith(jwt.SigningMethodES256, ecKey(elliptic.P256()), "", claims),
		"another issuer":             signWith(jwt.SigningMethodES256, ec, "", jwt.MapClaims{"sub": "u", "iss": "x", "aud": "wedsync"}),
		"for somebody else":          signWith(jwt.SigningMethodES256, ec, "", jwt.MapClaims{"sub": "u", "iss": "https://login.example.com"}),
	} {
		c := dialRaw(t, n.addr)
		c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token))
		if _, err := c.next(); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	waitMetric(t, n, 7, "wedsync_ws_connections_closed_total", "code", "3500")
}

func TestPublicKeysThatCannotBe(t *testing.T) {
	t.Parallel()
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	good := publicPEM(&rsaKey().PublicKey)
	for text, want := range map[string]string{
		"":          "no single PEM block",
		good + good: "no single PEM block",
		"-----BEGIN X-----\nAAAA\n-----END X-----":   `"X" that holds no public key`,
		publicPEM(&small.PublicKey):                  "1024 bits",
		publicPEM(&ecKey(elliptic.P384()).PublicKey): "P-256",
	} {
		if _, err := ws.ParsePublicKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want something of %s", text, err, want)
		}
	}
}

// provider has the keys of an identity provider.
type provider struct {
	*httptest.Server
	body, cache atomic.Value // strings
	status      atomic.Int32
	asked       atomic.Int32
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.cache.Store("")
	p.status.Store(http.StatusOK)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		w.Header().Set("Cache-Control", p.cache.Load().(string))
		w.WriteHeader(int(p.status.Load()))
		_, _ = w.Write([]byte(p.body.Load().(string)))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) offer(keys ...map[string]string) {
	p.body.Store(string(must(json.Marshal(map[string]any{"keys": keys}))))
}

func jwkOf(kid string, key any) map[string]string {
	text := base64.RawURLEncoding.EncodeToString
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": text(k.N.Bytes()), "e": text(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PrivateKey:
		point := must(k.PublicKey.Bytes())
		return map[string]string{"kty": "EC", "kid": kid, "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:])}
	}
	return nil
}

// clock is a time that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

func TestJWKS(t *testing.T) {
	t.Parallel()
	p, time := newProvider(t), &clock{}
	first, second := ecKey(elliptic.P256()), ecKey(elliptic.P256())
	p.offer(jwkOf("a", first), jwkOf("r", rsaKey()), map[string]string{"kty": "OKP", "kid": "o"}, map[string]string{"kty": "RSA", "use": "enc", "kid": "e"})
	p.cache.Store("public, max-age=3600")
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.JWKS, c.Now = p.URL, time.now })
	claims := jwt.MapClaims{"sub": "u"}
	in := func(token string) {
		t.Helper()
		dialRaw(t, n.addr).connect(token)
	}
	wantAsked := func(times int32) {
		t.Helper()
		if got := p.asked.Load(); got != times {
			t.Errorf("the keys were asked for %d times, want %d", got, times)
		}
	}
	refused := func(token string, code uint32) {
		t.Helper()
		if r := dialRaw(t, n.addr).do(fmt.Sprintf(`"connect":{"token":%q}`, token)); r.Error.GetCode() != code || !r.Error.GetTemporary() {
			t.Errorf("%v, want a temporary error %d", r, code)
		}
	}
	in(all(t)) // HS256 needs none
	wantAsked(0)
	for range 3 {
		in(signWith(jwt.SigningMethodES256, first, "a", claims))
		in(signWith(jwt.SigningMethodRS256, rsaKey(), "r", claims))
	}
	wantAsked(1)

	// A rotation: the new key is fetched when a token names it, but not for each token that names some other.
	p.offer(jwkOf("b", second))
	refused(signWith(jwt.SigningMethodES256, second, "b", claims), ws.ErrInternal)
	wantAsked(1)
	time.pass(11e9)
	in(signWith(jwt.SigningMethodES256, second, "b", claims))
	wantAsked(2)
	time.pass(11e9)
	c := dialRaw(t, n.addr) // which was taken out
	c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, signWith(jwt.SigningMethodES256, first, "a", claims)))
	c.wantClose(ws.CloseInvalidToken)
	wantAsked(3)
	c = dialRaw(t, n.addr) // a key of the other kind
	c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, signWith(jwt.SigningMethodRS256, rsaKey(), "b", claims)))
	c.wantClose(ws.CloseInvalidToken)

	// While the provider is away the keys go on for a day; of others nobody can tell.
	p.status.Store(http.StatusBadGateway)
	time.pass(2 * 3600e9)
	in(signWith(jwt.SigningMethodES256, second, "b", claims))
	time.pass(11e9)
	refused(signWith(jwt.SigningMethodES256, first, "a", claims), ws.ErrInternal)
	time.pass(25 * 3600e9)
	refused(signWith(jwt.SigningMethodES256, second, "b", claims), ws.ErrInternal)
	p.status.Store(http.StatusOK)
	time.pass(11e9)
	in(signWith(jwt.SigningMethodES256, second, "b", claims))
}

// A document that is none leaves the client with a temporary error, and whoever serves the node with a log line.
func TestJWKSThatCannotBe(t *testing.T) {
	t.Parallel()
	small := jwkOf("k", must(rsa.GenerateKey(rand.Reader, 1024)))
	off := jwkOf("k", ecKey(elliptic.P256()))
	off["y"] = off["x"]
	even := jwkOf("k", rsaKey())
	even["e"] = "AA"
	for name, keys := range map[string][]map[string]string{
		"none": {}, "small": {small}, "not on the curve": {off}, "no exponent": {even},
		"no base64": {{"kty": "RSA", "n": "!", "e": "AQAB"}}, "no base64 either": {{"kty": "RSA", "n": "AQAB", "e": "!"}},
		"no base64 x": {{"kty": "EC", "crv": "P-256", "x": "!", "y": "AQ"}}, "no base64 y": {{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "!"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.offer(keys...)
			n := startNode(t, openJournal(t), func(c *ws.Config) { c.JWKS = p.URL })
			token := signWith(jwt.SigningMethodRS256, rsaKey(), "k", jwt.MapClaims{"sub": "u"})
			if r := dialRaw(t, n.addr).do(fmt.Sprintf(`"connect":{"token":%q}`, token)); r.Error.GetCode() != ws.ErrInternal {
				t.Errorf("%v", r)
			}
		})
	}
}

// subToken is one for a subscription.
func subToken(t *testing.T, user, channel string, lifetime time.Duration) string {
	t.Helper()
	c := jwt.MapClaims{"sub": user, "channel": channel, "info": map[string]string{"role": "photographer"}}
	if lifetime != 0 {
		c["exp"] = time.Now().Add(lifetime).Unix()
	}
	return sign(t, c, key)
}

func TestSubscriptionTokens(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialConnected(t, n, grant(t, "u", 0, []string{"a"}, nil)) // which allows none of what follows
	sub := func(channel, token string) string {
		return fmt.Sprintf(`"subscribe":{"channel":%q,"token":%q}`, channel, token)
	}
	for name, tt := range map[string]struct {
		token string
		code  uint32
	}{
		"another user's":  {subToken(t, "v", channel, 0), ws.ErrPermissionDenied},
		"another channel": {subToken(t, "u", "supplier:dashboard:43", 0), ws.ErrPermissionDenied},
		"of a client":     {all(t), ws.ErrPermissionDenied},
		"expired":         {subToken(t, "u", channel, -time.Hour), ws.ErrTokenExpired},
		"nonsense":        {"x", ws.ErrPermissionDenied},
	} {
		if r := c.do(sub(channel, tt.token)); r.Error.GetCode() != tt.code {
			t.Errorf("%s: %v, want error %d", name, r, tt.code)
		}
	}
	if r := c.ok(sub(channel, subToken(t, "u", channel, time.Hour))).Subscribe; !r.Expires || r.Ttl < 3590 || r.Ttl > 3600 {
		t.Errorf("subscribed %v; the token is good for an hour", r)
	}
	if r := c.ok(sub("supplier:*:*", subToken(t, "u", "supplier:*:*", 0))).Subscribe; r.Expires {
		t.Errorf("subscribed %v; the token is good for ever", r)
	}
	watcher := dialConnected(t, n, all(t))
	present := watcher.ok(fmt.Sprintf(`"presence":{"channel":%q}`, channel)).Presence.Presence
	for _, info := range present {
		if string(info.ChanInfo) != `{"role":"photographer"}` {
			t.Errorf("presence %v", info)
		}
	}
	if len(present) != 1 {
		t.Errorf("presence %v", present)
	}

	// A new token of the connection leaves them alone.
	c.ok(fmt.Sprintf(`"refresh":{"token":%q}`, grant(t, "u", 0, nil, nil)))
	refresh := func(channel, token string) string {
		return fmt.Sprintf(`"sub_refresh":{"channel":%q,"token":%q}`, channel, token)
	}
	if r := c.ok(refresh(channel, subToken(t, "u", channel, 2*time.Hour))).SubRefresh; !r.Expires || r.Ttl < 7190 {
		t.Errorf("refreshed %v", r)
	}
	for _, tt := range []struct {
		channel, token string
		code           uint32
	}{
		{channel, subToken(t, "u", channel, -time.Hour), ws.ErrExpired},
		{channel, subToken(t, "v", channel, 0), ws.ErrPermissionDenied},
		{"nowhere", subToken(t, "u", "nowhere", 0), ws.ErrBadRequest},
	} {
		if r := c.do(refresh(tt.channel, tt.token)); r.Error.GetCode() != tt.code {
			t.Errorf("%v: %v", tt, r)
		}
	}
	n.publish(channel, `{"n":1}`)
	for range 2 { // on the channel and on the pattern
		if r := c.mustNext(); number(t, r.Push.GetPub().GetData()) != 1 {
			t.Errorf("got %v", r)
		}
	}
}

// A subscription whose token is not refreshed ends by itself, and the connection does not.
func TestSubscriptionExpiry(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.ExpiryGrace = 100 * time.Millisecond })
	c := dialConnected(t, n, grant(t, "u", 0, nil, nil))
	c.ok(fmt.Sprintf(`"subscribe":{"channel":%q,"token":%q}`, channel, subToken(t, "u", channel, 2*time.Second)))
	if r := c.mustNext(); r.Push.GetUnsubscribe().GetCode() != ws.UnsubscribeExpired {
		t.Errorf("got %v, want unsubscribed with %d", r, ws.UnsubscribeExpired)
	}
	c.ok(`"unsubscribe":{"channel":"x"}`)
}

// serverSideToken has the server subscribe its bearer to the channels.
func serverSideToken(t *testing.T, channels ...string) string {
	t.Helper()
	subs := map[string]any{}
	for _, name := range channels {
		subs[name] = map[string]any{"info": map[string]string{"role": "guest"}}
	}
	return sign(t, jwt.MapClaims{"sub": "u", "channels": []string{"extra"}, "subs": subs}, key)
}

func TestServerSideSubscriptions(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	c := dialRaw(t, n.addr)
	subs := c.connect(serverSideToken(t, channel, "couple:*:*")).Subs
	if len(subs) != 2 || !subs[channel].GetRecoverable() || subs[channel].GetEpoch() != n.journal.Epoch() || subs["couple:*:*"].GetRecoverable() {
		t.Fatalf("subscribed %v", subs)
	}
	seqs := publishN(n, channel, 1, 3)
	wantNumbers(t, c, 1, 3)
	n.publish("couple:updates:7", `{"n":4}`)
	wantNumbers(t, c, 4, 4)

	// Back at a position, with one channel more that its claims allow, and one that they do not.
	back := dialRaw(t, n.addr)
	res := back.ok(fmt.Sprintf(`"connect":{"token":%q,"subs":{%q:{"recover":true,"offset":%d,"epoch":%q},"extra":{},"b":{}}}`,
		serverSideToken(t, channel), channel, seqs[0], n.journal.Epoch())).Connect
	s := res.Subs[channel]
	if len(res.Subs) != 2 || res.Subs["extra"] == nil || !s.GetRecovered() || len(s.GetPublications()) != 2 || number(t, s.Publications[0].Data) != 2 {
		t.Errorf("connected %v, want both that were missed", res)
	}
	n.publish("extra", `{"n":5}`)
	wantNumbers(t, back, 5, 5)

	// A token without the channel ends the subscription.
	back.id++
	back.send(fmt.Sprintf(`{"id":%d,"refresh":{"token":%q}}`, back.id, serverSideToken(t)))
	if r := back.mustNext(); r.Push.GetChannel() != channel || r.Push.GetUnsubscribe().GetCode() != ws.UnsubscribeRevoked {
		t.Errorf("got %v", r)
	}
	for name, token := range map[string]string{
		"a bad name": sign(t, jwt.MapClaims{"sub": "u", "subs": map[string]any{"a b": map[string]any{}}}, key),
		"long info":  sign(t, jwt.MapClaims{"sub": "u", "subs": map[string]any{"a": map[string]any{"info": strings.Repeat("x", 2000)}}}, key),
		"long own":   sign(t, jwt.MapClaims{"sub": "u", "info": strings.Repeat("x", 2000)}, key),
	} {
		c := dialRaw(t, n.addr)
		c.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token))
		c.wantClose(ws.CloseInvalidToken)
		_ = name
	}
}

func TestTooManyServerSideSubscriptions(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t), func(c *ws.Config) { c.MaxSubscriptions = 1 })
	if r := dialRaw(t, n.addr).do(fmt.Sprintf(`"connect":{"token":%q}`, serverSideToken(t, "a", "b"))); r.Error.GetCode() != ws.ErrLimitExceeded {
		t.Errorf("%v, want error %d", r, ws.ErrLimitExceeded)
	}
}

func FuzzJWKS(f *testing.F) {
	p := &provider{}
	p.offer(jwkOf("a", ecKey(elliptic.P256())), jwkOf("b", rsaKey()))
	f.Add([]byte(p.body.Load().(string)))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":""},{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if keys, err := ws.ParseJWKS(data); err == nil && keys == 0 {
			t.Errorf("%q has no keys, and no error", data)
		}
	})
}
