package access_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
)

func openSessions(tb testing.TB, l access.Bucket, keys *access.Keyring, now func() time.Time) *access.Sessions {
	tb.Helper()
	s, err := access.OpenSessions(tb.Context(), access.SessionConfig{Bucket: l, Keys: keys, Logger: zerolog.Nop(), Now: now})
	must(tb, err)
	tb.Cleanup(s.Close)
	return s
}

func TestSessionsHoldOnEveryNodeUntilEnded(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	keys := open(t, l, nil)
	one, two := openSessions(t, l, keys, nil), openSessions(t, l, open(t, l, nil), nil)
	if _, _, err := one.Begin(t.Context(), "wsk_unknown_text"); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("with an unknown key: %v", err)
	}
	_, text, err := keys.Create(t.Context(), access.Everybody("x"), access.Key{Name: "alice", Scopes: []access.Scope{access.StatusRead}})
	must(t, err)
	for key, actor := range map[string]string{adminText: "admin:admin", text.Reveal(): "key:alice/"} {
		token, by, err := one.Begin(t.Context(), key)
		must(t, err)
		if !strings.HasPrefix(by.Actor(), actor) {
			t.Errorf("begun for %s", by.Actor())
		}
		eventually(t, "the other node to know the session", func() bool {
			c, err := two.Find(token.Reveal())
			return err == nil && c.Actor() == by.Actor() && c.Rights() == by.Rights()
		})
		must(t, two.End(t.Context(), token.Reveal()))
		must(t, two.End(t.Context(), token.Reveal()))
		eventually(t, "the first node to forget it", func() bool { _, err := one.Find(token.Reveal()); return errors.Is(err, access.ErrUnknown) })
	}
	openSessions(t, l, keys, nil) // finds nothing that it cannot read
}

func TestSessionsEndWithTheirKey(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	keys := open(t, l, now)
	s := openSessions(t, l, keys, now)
	by := access.Everybody("x")
	begin := func(k access.Key) (access.Key, string) {
		k.Name, k.Scopes = "a", []access.Scope{access.StatusRead}
		made, text, err := keys.Create(t.Context(), by, k)
		must(t, err)
		token, _, err := s.Begin(t.Context(), text.Reveal())
		must(t, err)
		return made, token.Reveal()
	}
	revoked, first := begin(access.Key{})
	_, err := keys.Revoke(t.Context(), by, revoked.ID)
	must(t, err)
	if _, err := s.Find(first); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("of a revoked key: %v", err)
	}
	_, second := begin(access.Key{ExpiresAt: now().Add(time.Hour)})
	_, third := begin(access.Key{})
	ahead.Store(int64(time.Hour))
	if _, err := s.Find(second); !errors.Is(err, access.ErrExpired) {
		t.Errorf("of a key that expired: %v", err)
	}
	if _, err := s.Find(third); err != nil {
		t.Errorf("after an hour: %v", err)
	}
	ahead.Store(int64(access.SessionAge))
	if _, err := s.Find(third); !errors.Is(err, access.ErrExpired) {
		t.Errorf("when its time is over: %v", err)
	}
}

// Who signs in over and over ends what they began first, and nobody else's.
func TestAKeyHasSoManySessions(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	keys := open(t, l, nil)
	begun, asked := time.Now(), atomic.Int64{}
	s := openSessions(t, l, keys, func() time.Time { return begun.Add(time.Duration(asked.Add(1)) * time.Second) })
	_, text, err := keys.Create(t.Context(), access.Everybody("x"), access.Key{Name: "alice", Scopes: []access.Scope{access.StatusRead}})
	must(t, err)
	other, _, err := s.Begin(t.Context(), adminText)
	must(t, err)
	var tokens []string
	for range access.MaxSessions + 1 {
		token, _, err := s.Begin(t.Context(), text.Reveal())
		must(t, err)
		tokens = append(tokens, token.Reveal())
	}
	if _, err := s.Find(tokens[0]); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("the first of %d: %v", len(tokens), err)
	}
	for _, token := range append(tokens[1:], other.Reveal()) {
		if _, err := s.Find(token); err != nil {
			t.Error(err)
		}
	}
}

func TestSessionsOutliveABrokenWatchAndARestart(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	keys := open(t, l.Bucket, nil)
	s, other := openSessions(t, l, keys, nil), openSessions(t, l.Bucket, keys, nil)
	token, _, err := s.Begin(t.Context(), adminText)
	must(t, err)
	eventually(t, "the other node to know it", func() bool { _, err := other.Find(token.Reveal()); return err == nil })
	l.breakOff()
	must(t, other.End(t.Context(), token.Reveal())) // which the broken watch is not told of
	eventually(t, "the ended session to go", func() bool { _, err := s.Find(token.Reveal()); return err != nil })

	again, _, err := s.Begin(t.Context(), adminText)
	must(t, err)
	if _, err := openSessions(t, l.Bucket, keys, nil).Find(again.Reveal()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestSessionsThatCannotBeReadLetNobodyIn(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	s := openSessions(t, l, open(t, l, nil), nil)
	token, _, err := s.Begin(t.Context(), adminText)
	must(t, err)
	var key string
	ctx, cancel := context.WithCancel(t.Context())
	_ = l.Bucket.WatchKeys(ctx, "session.>", func(c journal.Change) { key = c.Key }, cancel)
	for _, data := range []string{`{`, `{"v":99}`, `{"v":1,"proof":"zz","ends":"2999-01-01T00:00:00Z"}`, `{"v":1,"proof":"00","ends":"2999-01-01T00:00:00Z"}`} {
		if strings.Contains(data, token.Reveal()) || key == "" || strings.Contains(key, token.Reveal()) {
			t.Fatalf("the log has the token: %s", key)
		}
		_, err := l.Put(t.Context(), key, []byte(data))
		must(t, err)
		eventually(t, data+" to let nobody in", func() bool { _, err := s.Find(token.Reveal()); return errors.Is(err, access.ErrUnknown) })
	}
}

func TestSessionsNeedALog(t *testing.T) {
	t.Parallel()
	if _, err := access.OpenSessions(t.Context(), access.SessionConfig{}); err == nil {
		t.Error("without a bucket they open")
	}
	l := openLog(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := access.OpenSessions(ctx, access.SessionConfig{Bucket: silent{l}, Keys: open(t, l, nil), Logger: zerolog.Nop()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a log that says nothing: %v", err)
	}
}
