package adapter

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// tokens obtains access tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4) and keeps one
// while it is good. It is safe for concurrent use.
type tokens struct {
	url    string // the token endpoint
	client string
	secret event.Secret
	lives  time.Duration // a token whose answer does not say
	turn   chan struct{} // holds one: whoever fetches, so that nobody else does
	held   atomic.Pointer[token]
}

type token struct {
	value event.Secret
	until time.Time
}

const (
	tokenMargin  = time.Minute    // a token is not used so shortly before it ends
	maxTokenLife = 24 * time.Hour // whatever its answer says
)

func newTokens(url, client string, secret event.Secret, lives time.Duration) *tokens {
	return &tokens{url: url, client: client, secret: secret, lives: lives, turn: make(chan struct{}, 1)}
}

// exchange makes the call with a token, and once more with another one where the first is refused: it
// may have been revoked before its time.
func (t *tokens) exchange(ctx context.Context, call *event.Call, now time.Time, do Doer) *event.Answer {
	held, refused := t.get(ctx, nil, now, do)
	if refused != nil {
		return refused
	}
	answer := do(ctx, held.bear(call))
	if answer.Status != http.StatusUnauthorized {
		return answer
	}
	if held, refused = t.get(ctx, held, now, do); refused != nil {
		return refused
	}
	return do(ctx, held.bear(call))
}

// bear returns the call with the token in it.
func (t *token) bear(call *event.Call) *event.Call {
	c := *call.HTTP
	c.Header = http.Header{"Authorization": {"Bearer " + t.value.Reveal()}}
	maps.Copy(c.Header, call.HTTP.Header)
	return &event.Call{HTTP: &c, Recipient: call.Recipient}
}

// get returns a token other than the one that was refused, or the answer that kept it from one, with a
// *tokenError.
func (t *tokens) get(ctx context.Context, refused *token, now time.Time, do Doer) (*token, *event.Answer) {
	good := func() *token {
		if held := t.held.Load(); held != nil && held != refused && now.Before(held.until) {
			return held
		}
		return nil
	}
	if held := good(); held != nil {
		return held, nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return nil, &event.Answer{Err: &tokenError{ctx.Err()}}
	}
	if held := good(); held != nil { // somebody else has fetched one meanwhile
		return held, nil
	}
	return t.fetch(ctx, now, do)
}

func (t *tokens) fetch(ctx context.Context, now time.Time, do Doer) (*token, *event.Answer) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {t.client}, "client_secret": {t.secret.Reveal()}}
	answer := *do(ctx, &event.Call{HTTP: &event.HTTPCall{
		Method: http.MethodPost, URL: t.url, Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}},
	}})
	if answer.Err != nil {
		answer.Err = &tokenError{answer.Err}
		return nil, &answer
	}
	var granted struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &granted) != nil || granted.Token == "" || checkToken(granted.Token) != "" {
		answer.Err = &tokenError{errors.New("the answer holds no access_token")}
		return nil, &answer
	}
	life := t.lives
	if granted.Seconds > 0 {
		life = time.Duration(min(granted.Seconds, int64(maxTokenLife/time.Second))) * time.Second
	}
	held := &token{value: event.SecretOf(granted.Token), until: now.Add(life - min(tokenMargin, life/2))}
	t.held.Store(held)
	return held, nil
}

// tokenError says that a call was not made, since no token was to be had for it.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "no access token: " + e.cause.Error() }

func (e *tokenError) Unwrap() error { return e.cause }

// verdict says what it means that the token endpoint gave this answer: what it refuses for good, it
// refuses to all deliveries.
func (t *tokens) verdict(a *event.Answer) Verdict {
	v := byStatus(a)
	switch {
	case a.Status == 0:
		return v
	case v.Kind == KindDelivered:
		v = Verdict{Kind: KindRetry, Fault: true, Reason: "unexpected_answer"}
	case v.Kind == KindDead:
		v.Kind = KindPause
	}
	var refusal struct {
		Error string `json:"error"` // RFC 6749, section 5.2
	}
	if json.Unmarshal(a.Body, &refusal) == nil && isCode(refusal.Error) {
		v.Reason = refusal.Error
	}
	v.Detail = clip("no access token: "+detail(string(a.Body), t.secret.Reveal()), maxDetail)
	return v
}
