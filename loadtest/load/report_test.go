package load_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/load"
)

// fine is the report of a run in which all was well.
func fine() *load.Report {
	return &load.Report{
		Profile: "small", About: `An "afternoon" </script>`, Seed: 7, Lasts: 24, Story: [2]string{"Fri 18:00", "Sat 18:00"}, Nodes: []string{"node-1"},
		Planned: 3, Publishes: &checker.Report{Accepted: 3},
		Deliveries: load.Deliveries{Due: 1000, Delivered: 999, Dead: 1, InTime: 990, Success: 0.999, Calls: 1010},
		ClickHouse: &load.Compared{Delivered: 999, Dead: 1, Success: 0.999, Agrees: true},
		Deaths:     []*load.Death{{About: "an edge dies", Node: "node-1", At: 3, Clients: 20, Back: 2}},
		Accept:     load.Quantiles{Count: 3, P50: 2, P99: 90}, Live: load.Quantiles{Count: 9, P50: 3, P99: 40},
		Vendors: map[string]load.Quantiles{"slack": {Count: 3, P50: 10, P99: 100}},
		Series: load.Series{
			Seconds: []float64{0, 1}, Vendors: map[string]*load.VendorSeries{},
			Nodes: map[string]*load.NodeSeries{"node-1": {CPU: []float64{0.5, -1}, Memory: []float64{100, 120}}},
		},
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	wanted := load.Thresholds{Success: 0.999, AcceptP99: 100 * time.Millisecond, LiveP99: 50 * time.Millisecond, Back: 2 * time.Second}
	for missed, change := range map[string]func(r *load.Report){
		"":                                       func(*load.Report) {},
		"deliveries that succeeded":              func(r *load.Report) { r.Deliveries.Success = 0.9989 },
		"lost":                                   func(r *load.Report) { r.Publishes.Lost = 1 },
		"reordered":                              func(r *load.Report) { r.Publishes.Reordered = 1 },
		"otherwise wrong":                        func(r *load.Report) { r.Publishes.Wrong = 1 },
		"publishes that failed without a reason": func(r *load.Report) { r.Publishes.NotAllowed = 1 },
		"publishing, p99":                        func(r *load.Report) { r.Accept.P99 = 101 },
		"live at clients, p99":                   func(r *load.Report) { r.Live.P99 = 51 },
		"all clients back after: an edge dies":   func(r *load.Report) { r.Deaths[0].Back = -1 },
		"the SLO in ClickHouse agrees":           func(r *load.Report) { r.ClickHouse.Agrees = false },
	} {
		r := fine()
		change(r)
		r.Judge(wanted)
		var got []string
		for _, v := range r.Verdicts {
			if !v.Met {
				got = append(got, v.What)
			}
		}
		if strings.Join(got, ", ") != missed || r.Passed != (missed == "") {
			t.Errorf("missed %q, passed %v; want %q", got, r.Passed, missed)
		}
	}
	r := fine()
	r.Live.P99 = 1e6
	r.Judge(load.Thresholds{})
	if !r.Passed || len(r.Verdicts) != 6 {
		t.Errorf("what has no threshold is looked at: %+v", r.Verdicts)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	r := fine()
	r.Series.Vendors = map[string]*load.VendorSeries{
		"slack": {Waiting: []float64{1, 3}, Open: []float64{0, 1}}, "email": {Waiting: []float64{3, 2}, Open: []float64{1, 1}},
	}
	r.Vendors["slack"] = load.Quantiles{Max: 4200}
	r.Deliveries.Refused = 11
	r.Judge(load.Thresholds{Success: 0.9999})
	if want := "The 99.5 % held: 99.900 % of 1000 deliveries arrived, 99.0 % within 5 s of the intended time."; r.Summary() != want || !r.Held() {
		t.Errorf("%s", r.Summary())
	}
	if want := "Vendors did not take 11 of 1010 calls. Up to 2 breakers were open at once and up to 5 deliveries waited; of those that arrived the longest took 4.2 s. " +
		"20 clients were cut off at node-1, and back after 2.0 s."; r.How() != want {
		t.Errorf("%s", r.How())
	}
	if want := "deliveries that succeeded (99.900 % of 1000, wanted at least 99.99 %)"; r.Missed() != want {
		t.Errorf("%s", r.Missed())
	}
	r.Deliveries.Success, r.Deaths[0].Back = 0.99499999, -1
	if !strings.HasPrefix(r.Summary(), "The 99.5 % did not hold: 99.499 % of") || !strings.HasSuffix(r.How(), "and never all came back.") {
		t.Errorf("%s %s", r.Summary(), r.How())
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	r := fine()
	r.Missing = []load.Missing{{Integration: "s1-<slack>", Vendor: "slack", Waiting: 7, Why: "it is open"}}
	r.Judge(load.Thresholds{Success: 1})
	var page bytes.Buffer
	if err := r.WriteHTML(&page, load.UPlot{Script: "const charts = 1", Style: "canvas{}"}); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{"wedsync load: small, failed", "The 99.5 % held", "Missed: deliveries that succeeded (", "<td>s1-&lt;slack&gt;</td><td>7</td>", "An &#34;afternoon&#34; &lt;/script&gt;", `"lasts":24`, "const charts = 1", "canvas{}", "prefers-color-scheme: dark"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not have %q", want)
		}
	}
	if n := strings.Count(text, "</script>"); n != 1 {
		t.Errorf("%d scripts end in it", n)
	}
	for _, elsewhere := range []string{"<link", " src=", "@import", "fetch("} {
		if strings.Contains(text, elsewhere) {
			t.Errorf("it needs something else: %s", elsewhere)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	a, b := fine(), fine()
	a.Judge(load.Thresholds{})
	path := filepath.Join(t.TempDir(), "a.json")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WriteJSON(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if a, err = load.ReadReport(path); err != nil {
		t.Fatal(err)
	}
	b.Accept.P99, b.Publishes.Lost, b.Deliveries = 45, 2, load.Deliveries{}
	b.Vendors = map[string]load.Quantiles{"email": {P50: 5}}
	b.Series.Nodes = map[string]*load.NodeSeries{"node-2": {Memory: []float64{50}}}
	got := map[string]load.Difference{}
	for _, d := range load.Compare(a, b) {
		got[d.What] = d
	}
	for _, want := range []load.Difference{
		{What: "publishing, p99", Unit: "ms", A: 90, B: 45, Change: -50},
		{What: "lost", B: 2},
		{What: "delivered within 5 s", Unit: "%", A: 99, B: 100, Change: 100. / 99},
		{What: "slack, p50", Unit: "ms", A: 10, Change: -100},
		{What: "email, p50", Unit: "ms", B: 5},
		{What: "clients back after: an edge dies", Unit: "s", A: 2, B: 2},
		{What: "node-1, most memory", Unit: "MB", A: 120, Change: -100},
		{What: "node-1, processors on average", A: 0.5, Change: -100},
		{What: "node-2, most memory", Unit: "MB", B: 50},
	} {
		if d := got[want.What]; d.A != want.A || d.B != want.B || d.Unit != want.Unit || d.Change < want.Change-1e-6 || d.Change > want.Change+1e-6 {
			t.Errorf("%+v, want %+v", d, want)
		}
	}
}

func TestReportsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{"{": "is no report of wedsync load", `{"planned":3}`: "it has no verdicts"} {
		path := filepath.Join(t.TempDir(), "a.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load.ReadReport(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := load.ReadReport("/nonexistent"); err == nil {
		t.Error("a file that is not there is a report")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := load.ParseMetrics([]byte("# HELP a b\na 1.5e+06\nb{c=\"d\"} 3\ne NaN?\nf 7\n\n"))
	if len(m) != 2 || m["a"] != 1.5e6 || m["f"] != 7 {
		t.Errorf("%v", m)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add([]byte("a 1\n"))
	f.Fuzz(func(_ *testing.T, text []byte) { load.ParseMetrics(text) })
}
