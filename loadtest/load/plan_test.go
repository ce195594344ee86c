package load_test

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/load"
)

func profile(t *testing.T, text string) *load.Profile {
	t.Helper()
	p, err := load.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheSameSeedPlansTheSame(t *testing.T) {
	t.Parallel()
	p := profile(t, small)
	a, b := load.Plan(p, 7, "r"), load.Plan(p, 7, "r")
	if !reflect.DeepEqual(a, b) {
		t.Error("a seed planned two runs")
	}
	if reflect.DeepEqual(a, load.Plan(p, 8, "r")) {
		t.Error("two seeds planned one run")
	}
	// Another run of it is the same but for the names.
	other := load.Plan(p, 7, "q")
	if len(other) != len(a) {
		t.Fatalf("%d events, and %d", len(a), len(other))
	}
	for i := range a {
		if a[i].At != other[i].At || a[i].Kind != other[i].Kind || strings.ReplaceAll(a[i].Channel, ":r", ":q") != other[i].Channel || len(a[i].Payload) != len(other[i].Payload) || len(a[i].To) != len(other[i].To) {
			t.Fatalf("event %d is %+v, and %+v", i, a[i], other[i])
		}
		for k, to := range a[i].To {
			if to[1:] != other[i].To[k][1:] {
				t.Fatalf("event %d goes to %s, and to %s", i, to, other[i].To[k])
			}
		}
	}
}

func TestPlanFollowsTheCurve(t *testing.T) {
	t.Parallel()
	p := profile(t, strings.Replace(small, "rate: 4", "rate: 100", 1))
	var quiet, peak, storm int
	last := time.Duration(0)
	for _, a := range load.Plan(p, 1, "r") {
		if a.At < last || a.At >= p.Lasts {
			t.Fatalf("an event at %v, after %v", a.At, last)
		}
		last = a.At
		switch {
		case a.At < 2*time.Second:
			quiet++
		case a.At == 18*time.Second:
			storm++
		case a.At > 20*time.Second && a.At < 22*time.Second:
			peak++
		}
	}
	// 200 and 3000 are expected; four standard deviations are allowed.
	if math.Abs(float64(quiet)-200) > 57 || math.Abs(float64(peak)-3000) > 220 || storm != 4 {
		t.Errorf("%d in the quiet, %d at the peak, %d in the storm", quiet, peak, storm)
	}
}

func TestEveryEventCanBeDelivered(t *testing.T) {
	t.Parallel()
	p := profile(t, strings.Replace(small, "mix: {timeline.updated: 3, capacity.changed: 1}",
		"mix: {timeline.updated: 1, client.message: 1, guest_count.changed: 1, setup.changed: 1, capacity.changed: 1, wedding.date_changed: 1, form.submitted: 1}", 1))
	ids, due := map[string]bool{}, map[string]int{}
	for _, a := range load.Plan(p, 1, "r") {
		if ids[a.Channel+a.ID] || !json.Valid([]byte(a.Payload)) || event.CheckType(a.Kind) != nil {
			t.Fatalf("%+v", a)
		}
		ids[a.Channel+a.ID] = true
		if pattern, err := event.ParsePattern(a.Channel); err != nil || !pattern.IsChannel() {
			t.Fatalf("%q is no channel: %v", a.Channel, err)
		}
		for _, id := range a.To {
			vendor := id[strings.LastIndex(id, "-")+1:]
			due[a.Kind]++
			if v, err := adapter.Lookup(vendor); err != nil {
				t.Fatal(err)
			} else if sends := v.Describe().Sends; len(sends) > 0 && !slices.Contains(sends, a.Kind) {
				t.Errorf("%s is due %s, which it is never sent", id, a.Kind)
			}
		}
	}
	for _, kind := range []string{"timeline.updated", "client.message", "guest_count.changed", "setup.changed", "capacity.changed", "wedding.date_changed"} {
		if due[kind] == 0 {
			t.Errorf("nobody is due any %s", kind)
		}
	}
}

func TestSeats(t *testing.T) {
	t.Parallel()
	p := profile(t, small)
	kinds := map[string]int{}
	seats := load.Seats(p, 1)
	for _, channels := range seats {
		for i, c := range channels {
			kinds[c[:strings.LastIndex(c, ":")]]++
			if slices.Contains(channels[:i], c) {
				t.Errorf("a client is twice on %s", c)
			}
		}
	}
	if len(seats) != 20 || kinds["couple:updates"] != 12 || kinds["journey:milestone"] != 12 || kinds["supplier:dashboard"] != 6 || kinds["form:response"] != 8 {
		t.Errorf("%d clients: %v", len(seats), kinds)
	}
}

func TestLatencyIsTheDistributionThatWasAskedFor(t *testing.T) {
	t.Parallel()
	l := load.Latency{P50: 50 * time.Millisecond, P99: 800 * time.Millisecond}
	drawn := l.Draw(3, 20_000)
	if !slices.Equal(drawn, l.Draw(3, 20_000)) || slices.Equal(drawn, l.Draw(4, 20_000)) {
		t.Error("it does not follow from the seed")
	}
	slices.Sort(drawn)
	near := func(got, want time.Duration) bool { return math.Abs(float64(got-want)) < 0.1*float64(want) }
	if p50, p99 := drawn[10_000], drawn[19_800]; !near(p50, l.P50) || !near(p99, l.P99) {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
	if none := (load.Latency{}).Draw(1, 1); none[0] != 0 {
		t.Errorf("%v", none)
	}
}

func TestEachTryTakesItsTimeAndTheSameInEachRun(t *testing.T) {
	t.Parallel()
	p, l := profile(t, small), load.Latency{P50: 50 * time.Millisecond, P99: 800 * time.Millisecond}
	a := l.Delays(p, 7, "r", 20, 3)
	if len(a) != 20 || !reflect.DeepEqual(a, l.Delays(p, 7, "another", 20, 3)) {
		t.Error("another run of the plan takes other times")
	}
	if reflect.DeepEqual(a, l.Delays(p, 8, "r", 20, 3)) {
		t.Error("two seeds take the same times")
	}
	seen := map[time.Duration]bool{}
	for i, tries := range a {
		for _, d := range tries {
			if seen[d] {
				t.Errorf("delivery %d takes %v, as another call did", i, d)
			}
			seen[d] = true
		}
	}
}
