package access_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
)

// hand is a clock that a test moves.
type hand struct{ at atomic.Int64 }

func (h *hand) now() time.Time { return time.Unix(h.at.Load(), 0) }

func newHand() *hand {
	h := &hand{}
	h.at.Store(time.Date(2027, 1, 1, 12, 0, 7, 0, time.UTC).Unix())
	return h
}

// A key's last use is known to all nodes, to the minute, and costs one write in it.
func TestLastUseIsKnown(t *testing.T) {
	t.Parallel()
	l, h := openLog(t), newHand()
	one, two := open(t, l, h.now), open(t, l.Bucket, h.now)
	by := access.Everybody("x")
	all := []access.Scope{access.Admin}
	k, text, err := one.Create(t.Context(), by, access.Key{Name: "a", Scopes: all, LastUsedAt: h.now()})
	must(t, err)
	ended, expired, err := one.Create(t.Context(), by, access.Key{Name: "b", Scopes: all, ExpiresAt: h.now().Add(time.Second)})
	must(t, err)
	usedAt := func(r *access.Keyring, id string) time.Time {
		t.Helper()
		shown, err := r.Key(by, id)
		must(t, err)
		return shown.LastUsedAt
	}
	eventually(t, "both nodes to know both", func() bool { return len(two.Keys(by)) == 2 })
	if !k.LastUsedAt.IsZero() || !usedAt(one, k.ID).IsZero() {
		t.Errorf("used before it was: %v", k.LastUsedAt)
	}
	before := l.puts.Load()
	for range 1000 {
		_, err := one.Find(text.Reveal())
		must(t, err)
	}
	first := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	eventually(t, "the other node to know the use", func() bool { return usedAt(two, k.ID).Equal(first) })
	if got := one.Keys(by); !usedAt(one, k.ID).Equal(first) || len(got) != 2 {
		t.Errorf("used at %v, listed %+v", usedAt(one, k.ID), got)
	}
	if _, err := two.Find(text.Reveal()); err != nil { // which knows that it was noted
		t.Error(err)
	}
	h.at.Add(60)
	for range 1000 {
		_, err := one.Find(text.Reveal())
		must(t, err)
	}
	eventually(t, "the other node to know the next use", func() bool { return usedAt(two, k.ID).Equal(first.Add(time.Minute)) })
	if n := l.puts.Load() - before; n != 2 {
		t.Errorf("%d writes in two minutes", n)
	}
	for _, wrong := range []string{expired.Reveal(), text.Reveal() + "x", adminText} {
		_, _ = one.Find(wrong)
	}
	three := open(t, l, h.now)
	if !usedAt(three, k.ID).Equal(first.Add(time.Minute)) || !usedAt(three, ended.ID).IsZero() {
		t.Errorf("after a restart %v, and of the expired one %v", usedAt(three, k.ID), usedAt(three, ended.ID))
	}
	l.breakOff()
	h.at.Add(60)
	_, err = two.Find(text.Reveal())
	must(t, err)
	eventually(t, "a mended watch to bring it", func() bool { return usedAt(one, k.ID).Equal(first.Add(2 * time.Minute)) })
	_, err = one.Revoke(t.Context(), by, k.ID)
	must(t, err)
	if _, err := l.Get(t.Context(), "key."+k.ID+".used"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("of a revoked key there is left: %v", err)
	}
}

// A log that is slow, or fails, keeps no request waiting.
func TestUseDoesNotWaitForTheLog(t *testing.T) {
	t.Parallel()
	l, h := openLog(t), newHand()
	goOn, tried := make(chan struct{}), make(chan struct{}, 1000)
	l.put = func() error {
		tried <- struct{}{}
		<-goOn
		return errBroken
	}
	reg := prometheus.NewRegistry()
	r, err := access.Open(t.Context(), access.Config{Bucket: l, Logger: zerolog.Nop(), Now: h.now, Metrics: reg})
	must(t, err)
	t.Cleanup(r.Close)
	by := access.Everybody("x")
	for i := range 260 {
		_, text, err := r.Create(t.Context(), by, access.Key{Name: fmt.Sprint("k", i), Scopes: []access.Scope{access.Admin}})
		must(t, err)
		_, err = r.Find(text.Reveal())
		must(t, err)
	}
	<-tried
	for _, k := range r.Keys(by) {
		if k.LastUsedAt.IsZero() {
			t.Errorf("%s was not used", k.Name)
		}
	}
	if _, err := r.Revoke(t.Context(), by, r.Keys(by)[0].ID); err != nil { // what waits to be noted of it is not
		t.Error(err)
	}
	if n := unnoted(t, reg); n < 1 || n > 3 { // one is being written, 256 wait
		t.Errorf("%v uses were not noted", n)
	}
	close(goOn)
	eventually(t, "the rest to be given up", func() bool { return unnoted(t, reg) > 250 })
	if _, err := access.Open(t.Context(), access.Config{Bucket: l, Metrics: reg}); err == nil {
		t.Error("opened with metrics that are there already")
	}
}

func unnoted(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	must(t, err)
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// What stands in the log of uses is brought in if it can be read.
func TestUnreadableUses(t *testing.T) {
	t.Parallel()
	l, h := openLog(t), newHand()
	r := open(t, l, h.now)
	by := access.Everybody("x")
	k, _, err := r.Create(t.Context(), by, access.Key{Name: "a", Scopes: []access.Scope{access.Admin}})
	must(t, err)
	for _, data := range []string{`{`, `{"v":9,"at":"2030-01-01T00:00:00Z"}`, `{"v":1,"at":"2020-01-01T00:00:00Z"}`} {
		for _, key := range []string{"key." + k.ID + ".used", "key.nobody.used"} {
			_, err := l.Put(t.Context(), key, []byte(data))
			must(t, err)
		}
	}
	eventually(t, "the readable one to be known", func() bool {
		shown, err := r.Key(by, k.ID)
		return err == nil && shown.LastUsedAt.Year() == 2020
	})
	if n := len(r.Keys(by)); n != 1 {
		t.Errorf("%d keys", n)
	}
}
