package delivery_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

// t0 is when the tests of plain values begin.
var t0 = time.Date(2026, 6, 20, 15, 0, 0, 0, time.UTC)

func TestBreakerConfig(t *testing.T) {
	t.Parallel()
	want := delivery.BreakerConfig{Threshold: 5, OpenFor: 5 * time.Second, MaxOpenFor: time.Minute}
	if got := (delivery.BreakerConfig{}).WithDefaults(); got != want {
		t.Errorf("defaults: got %+v, want %+v", got, want)
	}
	long := delivery.BreakerConfig{OpenFor: time.Hour}.WithDefaults()
	if err := long.Validate(); err != nil {
		t.Errorf("a long OpenFor alone must do: %v", err)
	}
	for want, cfg := range map[string]delivery.BreakerConfig{
		"threshold is -1":   {Threshold: -1},
		"openFor is -1s":    {OpenFor: -time.Second},
		"maxOpenFor is 10s": {OpenFor: 20 * time.Second, MaxOpenFor: 10 * time.Second},
	} {
		if err := cfg.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got error %v, want one with %q", cfg, err, want)
		}
	}
}

// TestBreaker plays scripts: each step is what happens and what must be seen after it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	const (
		closed, open, half = delivery.Closed, delivery.Open, delivery.HalfOpen
		s                  = time.Second
	)
	type step struct {
		at    time.Duration // since the beginning
		do    string
		want  bool // what it returns
		state delivery.BreakerState
	}
	opened := []step{
		{0, "fail", false, closed},
		{0, "fail", false, closed},
		{0, "fail", true, open},
	}
	for name, steps := range map[string][]step{
		"a success in between starts the count again": {
			{0, "fail", false, closed},
			{0, "fail", false, closed},
			{0, "succeed", false, closed},
			{0, "fail", false, closed},
			{0, "fail", false, closed},
			{0, "allow", true, closed},
			{0, "fail", true, open},
		},
		"one probe when due, and it closes": {
			{5*s - 1, "allow", false, open},
			{5 * s, "allow", true, half},
			{5 * s, "allow", false, half},
			{50 * s, "allow", false, half},
			{50 * s, "probe succeeds", true, closed},
			{50 * s, "allow", true, closed},
			{50 * s, "allow", true, closed},
		},
		"failed probes double the wait up to the cap, success resets it": {
			{5 * s, "allow", true, half},
			{6 * s, "probe fails", true, open},
			{16*s - 1, "allow", false, open},
			{16 * s, "allow", true, half},
			{16 * s, "probe fails", true, open},
			{28*s - 1, "allow", false, open}, // 12 s, not 20
			{28 * s, "allow", true, half},
			{28 * s, "probe fails", true, open},
			{40 * s, "allow", true, half},
			{40 * s, "probe succeeds", true, closed},
			{40 * s, "fail", false, closed},
			{40 * s, "fail", false, closed},
			{40 * s, "fail", true, open},
			{45*s - 1, "allow", false, open},
			{45 * s, "allow", true, half},
		},
		"stragglers neither close it nor hold it open": {
			{1 * s, "succeed", false, open},
			{4 * s, "fail", false, open},
			{5 * s, "allow", true, half}, // the late failure moved nothing
			{5 * s, "succeed", false, half},
			{5 * s, "fail", false, half},
			{6 * s, "probe succeeds", true, closed},
			{6 * s, "fail", false, closed}, // a straggler after closing counts from zero
			{6 * s, "fail", false, closed},
			{6 * s, "fail", true, open},
		},
		"a probe not made is due at once": {
			{5 * s, "allow", true, half},
			{5 * s, "cancel", false, open},
			{5 * s, "allow", true, half},
			{5 * s, "allow", false, half},
			{5 * s, "probe fails", true, open},
			{15*s - 1, "allow", false, open}, // cancelling did not double the wait, failing did
			{15 * s, "allow", true, half},
		},
		"reset closes; the answer of the probe that was out is like any other": {
			{5 * s, "allow", true, half},
			{5 * s, "reset", false, closed},
			{5 * s, "cancel", false, closed},
			{5 * s, "allow", true, closed},
			{6 * s, "probe fails", false, closed},
			{6 * s, "fail", false, closed},
			{6 * s, "fail", true, open},
			{11*s - 1, "allow", false, open}, // not doubled
			{11 * s, "allow", true, half},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := delivery.NewBreaker(delivery.BreakerConfig{Threshold: 3, OpenFor: 5 * s, MaxOpenFor: 12 * s})
			if !strings.HasPrefix(name, "a success") {
				steps = append(opened[:len(opened):len(opened)], steps...)
			}
			for i, st := range steps {
				now, got := t0.Add(st.at), false
				switch st.do {
				case "allow":
					got = b.Allow(now)
				case "succeed":
					got = b.Success(now, false)
				case "fail":
					got = b.Failure(now, false)
				case "probe succeeds":
					got = b.Success(now, true)
				case "probe fails":
					got = b.Failure(now, true)
				case "cancel":
					b.Cancel()
				case "reset":
					b.Reset()
				default:
					t.Fatalf("step %d: what is %q?", i, st.do)
				}
				if got != st.want || b.State() != st.state {
					t.Fatalf("step %d, %s at %s: got %v, %s; want %v, %s", i, st.do, st.at, got, b.State(), st.want, st.state)
				}
			}
		})
	}
}

func TestBreakerNextProbe(t *testing.T) {
	t.Parallel()
	b := delivery.NewBreaker(delivery.BreakerConfig{Threshold: 1})
	if !b.NextProbe().IsZero() {
		t.Error("a closed breaker has a next probe")
	}
	b.Failure(t0, false)
	if want := t0.Add(5 * time.Second); !b.NextProbe().Equal(want) {
		t.Errorf("got %s, want %s", b.NextProbe(), want)
	}
	b.Allow(t0.Add(5 * time.Second))
	if !b.NextProbe().IsZero() {
		t.Error("a half-open breaker has a next probe")
	}
}

func TestBreakerFailures(t *testing.T) {
	t.Parallel()
	b := delivery.NewBreaker(delivery.BreakerConfig{})
	want := func(n int) {
		t.Helper()
		if b.Failures() != n {
			t.Errorf("%d failures in a row, want %d", b.Failures(), n)
		}
	}
	want(0)
	b.Failure(t0, false)
	b.Failure(t0, false)
	want(2)
	b.Success(t0, false)
	want(0)
	for range 5 {
		b.Failure(t0, false)
	}
	want(0) // open: they have had their effect
}

func TestBreakerStateString(t *testing.T) {
	t.Parallel()
	for state, want := range map[delivery.BreakerState]string{
		delivery.Closed: "closed", delivery.Open: "open", delivery.HalfOpen: "half-open", 7: "BreakerState(7)",
	} {
		if got := state.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// FuzzBreaker drives a breaker with calls that come back at any time in any order and checks that
// it never has two probes out, that it opens only after Threshold failures in a row and at every
// such, and that it always allows a call again in the end.
func FuzzBreaker(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 1, 3, 0, 2, 4, 5})
	f.Add([]byte("\x00\x01\x00\x01\x00\x01\xff\x00\x01\xff\xff\x00\x02"))
	f.Fuzz(playBreaker)
}

func TestBreakerRandomly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		playBreaker(t, randomScript(seed, 1000))
	}
}

func playBreaker(t *testing.T, script []byte) {
	t.Helper()
	const threshold = 3
	b := delivery.NewBreaker(delivery.BreakerConfig{Threshold: threshold, OpenFor: time.Second, MaxOpenFor: 8 * time.Second})
	now, probes, calls, inARow := t0, 0, 0, 0
	for _, op := range script {
		before := b.State()
		switch op % 6 {
		case 0: // call
			if !b.Allow(now) {
				if before == delivery.Closed || before == delivery.Open && !now.Before(b.NextProbe()) {
					t.Fatalf("%s: refused a call that was due", before)
				}
				continue
			}
			if b.State() == delivery.HalfOpen {
				probes++
			} else {
				calls++
			}
		case 1, 2: // a call fails, or succeeds
			if calls == 0 {
				continue
			}
			calls--
			var changed bool
			if op%6 == 1 {
				inARow++
				changed = b.Failure(now, false)
			} else {
				inARow = 0
				changed = b.Success(now, false)
			}
			if before != delivery.Closed {
				inARow = 0
			}
			if open := before == delivery.Closed && inARow >= threshold; changed != open || (b.State() != before) != changed {
				t.Fatalf("%s, %d failures in a row: changed %v to %s", before, inARow, changed, b.State())
			}
			if changed {
				inARow = 0
			}
		case 3: // the probe fails, succeeds or is given back
			if probes == 0 {
				continue
			}
			probes--
			want := delivery.Open
			switch op / 6 % 3 {
			case 0:
				b.Failure(now, true)
			case 1:
				b.Success(now, true)
				want = delivery.Closed
			case 2:
				b.Cancel()
			}
			if b.State() != want {
				t.Fatalf("after the probe: %s, want %s", b.State(), want)
			}
			inARow = 0
		default: // time passes
			now = now.Add(time.Duration(op) * 10 * time.Millisecond)
		}
		if probes > 1 || probes == 1 && b.State() != delivery.HalfOpen {
			t.Fatalf("%d probes out while %s", probes, b.State())
		}
		if wait := b.NextProbe().Sub(now); wait > 8*time.Second {
			t.Fatalf("the next probe is %s away", wait)
		}
	}
	if probes == 1 {
		b.Failure(now, true)
	}
	if !b.Allow(now.Add(8 * time.Second)) {
		t.Fatal("it does not allow a call, however long one waits")
	}
}
