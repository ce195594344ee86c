package load_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/loadtest/load"
)

func TestMissing(t *testing.T) {
	t.Parallel()
	p := profile(t, strings.Replace(small, "{timeline.updated: 3, capacity.changed: 1}", "{timeline.updated: 1}", 1))
	if found, _ := p.Missing(1, func(int) string { return "taken" }); len(found) > 0 {
		t.Errorf("all was taken, and missing are %+v", found)
	}
	// Of eight deliveries one waits, one is dead, and the others were taken.
	waiting, dead := 0, 0
	found, reasons := p.Missing(1, func(n int) string {
		switch n % 8 {
		case 0:
			waiting++
			return ""
		case 4:
			dead++
			return "rejected"
		}
		return "taken"
	})
	last := math.MaxInt
	for _, m := range found {
		waiting, dead = waiting-m.Waiting, dead-m.Dead
		if !strings.HasSuffix(m.Integration, "-"+m.Vendor) || m.Waiting+m.Dead > last || m.Waiting+m.Dead == 0 {
			t.Errorf("%+v, after one that misses %d", m, last)
		}
		last = m.Waiting + m.Dead
		if got := strings.Join(reasons[m.Integration], " "); (m.Dead > 0) != (got == "rejected") {
			t.Errorf("%+v died of %q", m, got)
		}
	}
	if len(found) == 0 || waiting != 0 || dead != 0 {
		t.Errorf("%+v; %d that wait and %d that are dead are not told of", found, waiting, dead)
	}
}

// What a client sees twice is not seen by another one.
func TestUnseen(t *testing.T) {
	t.Parallel()
	p := profile(t, small)
	if p.Unseen(1, 0, true) == 0 {
		t.Error("nobody is to see anything")
	}
	for _, before := range []bool{true, false} {
		for sightings := 1; sightings < 3; sightings++ {
			if got := p.Unseen(1, sightings, before); got != 0 {
				t.Errorf("%d sightings of each, before it is accepted %t: %d are waited for", sightings, before, got)
			}
		}
	}
}

func TestVictim(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		edges   []bool
		clients []int
		want    int
	}{
		{[]bool{false, false, false, true}, []int{5, 5, 5, 1}, 3},
		{[]bool{false, false, false, true}, []int{5, 8, 5, 0}, 1}, // it died before, and nobody came back to it
		{[]bool{false}, []int{0}, 0},
	} {
		if got := load.Victim(c.edges, c.clients); got != c.want {
			t.Errorf("of %v with %v clients number %d dies", c.edges, c.clients, got)
		}
	}
}

func TestClientsNeedOpenFiles(t *testing.T) {
	t.Parallel()
	p := profile(t, strings.Replace(small, "clients: 20", "clients: 4000", 1))
	if err := p.Fits(5000); err != nil {
		t.Error(err)
	}
	if err := p.Fits(4096); err == nil || !strings.Contains(err.Error(), "4000 clients take about 4500 open files, and 4096 are allowed") {
		t.Errorf("%v", err)
	}
	if err := profile(t, small).CheckFiles(); err != nil {
		t.Error(err)
	}
}

func TestSamplesThatComeLate(t *testing.T) {
	t.Parallel()
	got := load.Evenly([]float64{-0.1, 1.02, 1.98, 4.5, 5.01}, []float64{1, 2, 3, 4, 5}, 6)
	if want := []float64{1, 3, 3, 3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestBusyProcessors(t *testing.T) {
	t.Parallel()
	if got, ok := load.BusyIn([]byte("cpu  100 10 200 9000 50 1 2 37 400 0\ncpu0 1 2\n")); !ok || got != 3.5 {
		t.Errorf("%v, %v", got, ok)
	}
	for _, text := range []string{"", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 7 x"} {
		if got, ok := load.BusyIn([]byte(text)); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func FuzzBusyProcessors(f *testing.F) {
	f.Add([]byte("cpu  100 10 200 9000 50 1 2 37 400 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if seconds, ok := load.BusyIn(text); ok && seconds < 0 {
			t.Errorf("%v", seconds)
		}
	})
}
