package main

import "testing"

func TestGCRatio(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		live, garbage uint64 // MB
		want          int
	}{
		{0, 500, 400},
		{20, 500, 400},
		{60, 500, 400},
		{61, 500, 375},
		{100, 500, 200},
		{150, 500, 100},
		{200, 500, 75},
		{300, 500, 75},
		{8 << 10, 500, 75},
		{20, 1, 75},
		{20, 30, 150},
		{20, 50, 250},
		{100, 150, 150},
		{0, 0, 75},
	} {
		if got := gcRatio(tc.live<<20, tc.garbage<<20); got != tc.want {
			t.Errorf("with %d MB that live and %d MB of garbage: %d %%, want %d %%", tc.live, tc.garbage, got, tc.want)
		}
	}
}

func TestPaceRisesAtOnceAndFallsSlowly(t *testing.T) {
	t.Parallel()
	p, total := pace{}, uint64(0)
	for _, step := range []struct{ more, want uint64 }{{100, 100}, {3200, 3200}, {0, 3100}, {4000, 4000}} {
		total += step.more
		if got := p.of(total); got != step.want {
			t.Fatalf("after %d more: %d, want %d", step.more, got, step.want)
		}
	}
	for range 30 {
		p.of(total)
	}
	if got := p.of(total); got < 1000 || got > 2000 {
		t.Errorf("half a minute without any: %d, want a good third of 4000", got)
	}
}
