package access_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
)

func TestKeysWorkOnEveryNodeUntilRevoked(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	one, two := open(t, l, nil), open(t, l, nil)
	admin, err := one.Find(adminText)
	must(t, err)
	if admin.Actor() != "admin:admin" || !admin.Has(access.KeysWrite) || admin.Bound() {
		t.Errorf("the administrator is %s with %s", admin.Actor(), admin.Scopes())
	}
	k, text, err := one.Create(t.Context(), admin, access.Key{Name: "alice", Scopes: []access.Scope{access.ChannelsRead}})
	must(t, err)
	if !strings.HasPrefix(text.Reveal(), "wsk_"+k.ID+"_") || len(text.Reveal()) < 48 || k.CreatedBy != "admin:admin" || time.Since(k.CreatedAt) > time.Minute {
		t.Errorf("made %+v of %d bytes", k, len(text.Reveal()))
	}
	found, err := one.Find(text.Reveal())
	must(t, err)
	if found.Actor() != "key:alice/"+k.ID || !found.Has(access.ChannelsRead) || found.Has(access.ChannelsPublish) || found.Has("nonsense") {
		t.Errorf("found %s with %s", found.Actor(), found.Scopes())
	}
	eventually(t, "the other node to know the key", func() bool { _, err := two.Find(text.Reveal()); return err == nil })

	v, err := l.Get(t.Context(), "key."+k.ID)
	must(t, err)
	if _, secret, _ := strings.Cut(text.Reveal()[4:], "_"); bytes.Contains(v.Data, []byte(secret)) {
		t.Errorf("the log has the key's text: %s", v.Data)
	}
	for _, wrong := range []string{"", "wsk_", "wsk_" + k.ID, "wsk_" + k.ID + "_", text.Reveal()[:len(text.Reveal())-1], text.Reveal() + "x", strings.ToUpper(text.Reveal()), adminText + "x"} {
		if _, err := one.Find(wrong); !errors.Is(err, access.ErrUnknown) {
			t.Errorf("%q: %v", wrong, err)
		}
	}

	revoked := time.Now()
	if _, err := two.Revoke(t.Context(), admin, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Find(text.Reveal()); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("revoked here, and: %v", err)
	}
	eventually(t, "the other node to forget the key", func() bool { _, err := one.Find(text.Reveal()); return err != nil })
	if took := time.Since(revoked); took > time.Second {
		t.Errorf("the other node took the revoked key for %s", took)
	}
	if _, err := two.Revoke(t.Context(), admin, k.ID); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestKeysExpire(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	r := open(t, openLog(t), now)
	_, text, err := r.Create(t.Context(), access.Everybody("x"), access.Key{
		Name: "a", Scopes: []access.Scope{access.Admin}, ExpiresAt: now().Add(time.Hour),
	})
	must(t, err)
	if _, err := r.Find(text.Reveal()); err != nil {
		t.Errorf("before its time is over: %v", err)
	}
	ahead.Store(int64(time.Hour))
	if _, err := r.Find(text.Reveal()); !errors.Is(err, access.ErrExpired) {
		t.Errorf("when its time is over: %v", err)
	}
	if _, err := r.Find(text.Reveal() + "x"); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("another's text is told that the key expired: %v", err)
	}
}

func TestABrokenWatchIsMended(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	r, other := open(t, l, nil), open(t, l.Bucket, nil)
	by := access.Everybody("x")
	k, text, err := r.Create(t.Context(), by, access.Key{Name: "a", Scopes: []access.Scope{access.Admin}})
	must(t, err)
	eventually(t, "the other node to know the key", func() bool { _, err := other.Key(by, k.ID); return err == nil })
	l.breakOff()
	_, err = other.Revoke(t.Context(), by, k.ID) // which the broken watch is not told of
	must(t, err)
	eventually(t, "the revoked key to go", func() bool { _, err := r.Find(text.Reveal()); return err != nil })
	if _, _, err := r.Create(t.Context(), by, access.Key{Name: "b", Scopes: []access.Scope{access.Admin}}); err != nil {
		t.Errorf("after the watch was mended: %v", err)
	}
}

func TestUnreadableKeysLetNobodyIn(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	for key, data := range map[string]string{
		"key.a": `{`, "key.b": `{"v":1,"id":"x","hash":""}`, "key.c": `{"v":1,"id":"c","hash":"00"}`, "key.d": `{"v":99,"id":"d"}`,
	} {
		_, err := l.Put(t.Context(), key, []byte(data))
		must(t, err)
	}
	r := open(t, l, nil)
	by := access.Everybody("x")
	if all := r.Keys(by); len(all) != 0 {
		t.Errorf("keys: %+v", all)
	}
	k, text, err := r.Create(t.Context(), by, access.Key{Name: "a", Scopes: []access.Scope{access.Admin}})
	must(t, err)
	_, err = l.Put(t.Context(), "key."+k.ID, []byte(`{"v":99}`))
	must(t, err)
	eventually(t, "the damaged key to go", func() bool { _, err := r.Find(text.Reveal()); return err != nil })
}

// silent never tells what there is.
type silent struct{ *log }

func (silent) WatchKeys(ctx context.Context, _ string, _ func(journal.Change), _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestClosing(t *testing.T) {
	t.Parallel()
	l := openLog(t)
	r := open(t, l, nil)
	r.Close()
	if _, _, err := r.Create(t.Context(), access.Everybody("x"), access.Key{Name: "a", Scopes: []access.Scope{access.Admin}}); !errors.Is(err, access.ErrClosed) {
		t.Errorf("made when closed: %v", err)
	}
	if _, err := r.Find(adminText); err != nil {
		t.Errorf("what was known is forgotten: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := access.Open(ended, access.Config{Bucket: silent{l}, Logger: zerolog.Nop()}); !errors.Is(err, context.Canceled) {
		t.Errorf("opened in no time: %v", err)
	}
	if _, err := access.Open(t.Context(), access.Config{}); err == nil {
		t.Error("opened without a bucket")
	}
	if _, err := access.Open(t.Context(), access.Config{Bucket: l, Configured: []access.Configured{{}}}); err == nil {
		t.Error("opened with the zero key")
	}
	for name, secret := range map[string]string{"": adminText, "a b": adminText, strings.Repeat("x", 65): adminText, "short": adminText[:19]} {
		if _, err := access.NewConfigured(name, event.SecretOf(secret)); err == nil || strings.Contains(err.Error(), adminText[:19]) {
			t.Errorf("key %q: %v", name, err)
		}
	}
}
