package main

import "testing"

func TestGCRatio(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {20 << 20, 400}, {60 << 20, 400}, {61 << 20, 375}, {100 << 20, 200}, {150 << 20, 100}, {200 << 20, 75}, {300 << 20, 75}, {8 << 30, 75},
	} {
		if got := gcRatio(tc.live); got != tc.want {
			t.Errorf("with %d MB that live: %d %%, want %d %%", tc.live>>20, got, tc.want)
		}
	}
}
