package load_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/load"
)

const small = `
begins: Fri 18:00
ends: Sat 18:00
lasts: 24s
rate: 4
curve: [{at: Fri 20:00, times: 1}, {at: Sat 10:00, times: 15}]
population: {couples: 4, suppliers: 3, integrations: [1, 3], clients: 20}
mix: {timeline.updated: 3, capacity.changed: 1}
storms: [{about: rain, at: Sat 12:00, weddings: 4}]
edges: [{at: Sat 13:00, back: Sat 14:00}]
vendors: {slack: {latency: {p50: 10ms, p99: 1s}, faults: [{from: Sat 10:00, to: Sat 11:00, status: 503}]}}
thresholds: {success: 0.999}
`

func TestProfilesThatAreBuiltIn(t *testing.T) {
	t.Parallel()
	names := load.Profiles()
	for _, want := range []string{"saturday", "smoke", "soak", "storm"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("there is no %s among %v", want, names)
		}
	}
	for _, name := range names {
		p, err := load.ReadProfile(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if p.Name != name || p.About == "" || p.Thresholds.Success != 0.999 || p.Thresholds.Lost != 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func TestProfileOfAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(path, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := load.ReadProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Settle != time.Minute || p.Name != path {
		t.Errorf("%+v", p)
	}
	for at, want := range map[string]time.Duration{"Fri 18:00": 0, "Sat 06:30": 12500 * time.Millisecond, "Sat 18:00": 24 * time.Second} {
		m, err := load.ParseMoment(at)
		if got := p.When(m); err != nil || got != want || p.Story(got).String() != at {
			t.Errorf("%s comes after %v, %v; want %v, and %s then", at, got, err, want, p.Story(got))
		}
	}
	if got := p.Story(time.Minute).String(); got != "Sat 18:00" {
		t.Errorf("after the end it is %s", got)
	}
	if _, err := load.ReadProfile("none"); err == nil || !strings.Contains(err.Error(), `there is no profile "none"; use saturday, smoke, soak, storm, or a file`) {
		t.Error(err)
	}
	longer, err := p.With(time.Minute, 7)
	if err != nil || longer.Lasts != time.Minute || longer.Population.Clients != 7 || p.Population.Clients != 20 {
		t.Errorf("%+v, %v", longer, err)
	}
	if same, err := p.With(0, -1); err != nil || same.Lasts != p.Lasts || same.Population.Clients != 20 {
		t.Errorf("%+v, %v", same, err)
	}
	if _, err := p.With(-time.Second, -1); err == nil {
		t.Error("a run lasts less than nothing")
	}
}

func TestWrongProfiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ change, to, says string }{
		{small, "", "it is empty"},
		{"rate: 4", "rat: 4", "field rat not found"},
		{"begins: Fri 18:00", "begins: Friday", `"Friday" is no time of the story; write it like Sat 10:30`},
		{"ends: Sat 18:00", "ends: Fri 17:00", "ends is Fri 17:00; it must be after begins, Fri 18:00"},
		{"lasts: 24s", "lasts: 0s", "lasts is 0s"},
		{"lasts: 24s", "lasts: 24s\nsettle: -1s", "settle is -1s"},
		{"rate: 4", "rate: -1", "rate is -1"},
		{"couples: 4", "couples: 0", "population: 0 couples"},
		{"integrations: [1, 3]", "integrations: [3, 1]", "integrations is [3 1]; write the least and the most, up to 7"},
		{"success: 0.999", "success: 99.9", "success is 99.9"},
		{"times: 15", "times: -1", "curve: Sat 10:00, -1 times"},
		{"capacity.changed: 1", "cake.eaten: 1", "mix: cake.eaten: 1; use weights of capacity.changed, client.message"},
		{"{timeline.updated: 3, capacity.changed: 1}", "{}", "no type has a weight"},
		{"weddings: 4", "weddings: 5", "storms[0]: 5 weddings"},
		{"back: Sat 14:00", "back: Sat 12:00", "edges[0]: at Sat 13:00, back Sat 12:00"},
		{"slack:", "telex:", "vendors: telex is not simulated; use email"},
		{"p99: 1s", "p99: 1ms", "vendors: slack: latency has p50 10ms and p99 1ms"},
		{"to: Sat 11:00", "to: Sat 09:00", "slack: faults[0]: from Sat 10:00 to Sat 09:00"},
		{"status: 503", "share: 2", "slack: faults[0]: share is 2"},
		{"status: 503", "share: 0.5", "slack: faults[0]: nothing fails"},
	} {
		text := strings.Replace(small, c.change, c.to, 1)
		if text == small {
			t.Fatalf("%q is not there", c.change)
		}
		if _, err := load.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q", c.to, err, c.says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := load.Parse(text)
		if err == nil && (p.When(p.Begins) != 0 || p.When(p.Ends) != p.Lasts) {
			t.Errorf("the story from %s to %s takes from %v to %v", p.Begins, p.Ends, p.When(p.Begins), p.When(p.Ends))
		}
	})
}
