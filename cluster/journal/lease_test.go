package journal_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestLease(t *testing.T) {
	t.Parallel()
	var c clock
	c.advance(time.Hour)
	j := open(t, func(cfg *journal.Config) { cfg.Now = c.now })
	const ttl = 10 * time.Second
	a, err := j.Claim(t.Context(), 3, "a", ttl)
	if err != nil {
		t.Fatal(err)
	}
	if a.Shard != 3 || a.Holder != "a" || a.Epoch != 1 || !a.Expires.Equal(c.now().Add(ttl)) {
		t.Errorf("the lease is %+v", a)
	}
	if _, err := j.Claim(t.Context(), 3, "b", ttl); !errors.Is(err, journal.ErrHeld) || !strings.Contains(err.Error(), "a, until") {
		t.Errorf("b claims a's: %v, want ErrHeld and by whom", err)
	}
	if other, err := j.Claim(t.Context(), 4, "b", ttl); err != nil || other.Epoch != 1 {
		t.Errorf("another shard: %+v, %v", other, err)
	}
	c.advance(ttl - 1)
	a, err = j.Renew(t.Context(), a, ttl)
	if err != nil || a.Epoch != 1 || !a.Expires.Equal(c.now().Add(ttl)) {
		t.Fatalf("renewed: %+v, %v", a, err)
	}
	again, err := j.Claim(t.Context(), 3, "a", ttl)
	if err != nil || again.Epoch != 2 {
		t.Fatalf("the holder claims again: %+v, %v; want epoch 2", again, err)
	}
	if _, err := j.Renew(t.Context(), a, ttl); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("renewing a lease claimed anew: %v, want ErrConflict", err)
	}
	c.advance(ttl)
	if _, err := j.Renew(t.Context(), again, ttl); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("renewing an expired lease: %v, want ErrConflict", err)
	}
	b, err := j.Claim(t.Context(), 3, "b", ttl)
	if err != nil || b.Epoch != 3 || b.Holder != "b" {
		t.Fatalf("claiming an expired lease: %+v, %v; want epoch 3", b, err)
	}
	a.Expires = c.now().Add(ttl) // a believes that it still has it
	if _, err := j.Renew(t.Context(), a, ttl); !errors.Is(err, journal.ErrHeld) {
		t.Errorf("renewing what b has: %v, want ErrHeld", err)
	}
	if err := j.Release(t.Context(), a); err != nil {
		t.Errorf("releasing what b has: %v", err)
	}
	if b, err = j.Renew(t.Context(), b, ttl); err != nil {
		t.Errorf("b's lease was touched: %v", err)
	}
	if err := j.Release(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if a, err = j.Claim(t.Context(), 3, "a", ttl); err != nil || a.Epoch != 4 {
		t.Errorf("claiming a released lease: %+v, %v; want epoch 4", a, err)
	}
	for name, err := range map[string]error{
		"no such shard": second(j.Claim(t.Context(), 8, "a", ttl)),
		"below zero":    second(j.Claim(t.Context(), -1, "a", ttl)),
		"no holder":     second(j.Claim(t.Context(), 0, "", ttl)),
		"no length":     second(j.Claim(t.Context(), 0, "a", 0)),
		"renew for 0":   second(j.Renew(t.Context(), a, 0)),
	} {
		if err == nil || errors.Is(err, journal.ErrHeld) || errors.Is(err, journal.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestOnlyOneClaimWins(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		for round := range 20 {
			var won atomic.Int64
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					_, err := j.Claim(t.Context(), round%j.Shards(), string(rune('a'+i))+time.Now().String(), time.Hour)
					switch {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, journal.ErrHeld):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			want := int64(1)
			if round >= j.Shards() {
				want = 0
			}
			if won.Load() != want {
				t.Errorf("round %d: %d claims won, want %d", round, won.Load(), want)
			}
		}
	})
}

// A lease that cannot be read is nobody's: whoever wrote it cannot renew it.
func TestUnreadableLease(t *testing.T) {
	t.Parallel()
	j := open(t, func(c *journal.Config) { c.Logger = c.Logger.Level(5) })
	if _, err := bucket(t, j, "shards").Put(t.Context(), "0", []byte("{")); err != nil {
		t.Fatal(err)
	}
	if l, err := j.Claim(t.Context(), 0, "a", time.Minute); err != nil || l.Epoch != 1 {
		t.Errorf("claiming it: %+v, %v", l, err)
	}
}
