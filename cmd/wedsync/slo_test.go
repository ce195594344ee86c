package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

func TestSLOForPeople(t *testing.T) {
	t.Parallel()
	tally := analytics.Tally{Total: 1000, Delivered: 900, Dead: 100, InTime: 890, Recovered: 2, Excluded: 7}
	standing := analytics.Standing{Tally: tally, Success: analytics.NewSLI(analytics.ForSuccess, tally), Latency: analytics.NewSLI(analytics.ForLatency, tally)}
	row := analytics.SLORow{
		Key: "", Standing: standing, Windows: []analytics.SLOWindow{{Window: event.Duration(time.Hour), Standing: standing}, {Window: event.Duration(168 * time.Hour)}},
		Burn: analytics.NewBurns(func(w time.Duration) analytics.Tally {
			if w == 30*time.Minute {
				return analytics.Tally{Total: 100, Delivered: 100, InTime: 100}
			}
			return tally
		}),
	}
	report := analytics.SLOReport{By: analytics.ByOverall, Rows: []analytics.SLORow{row}, Burnt: analytics.Burnt{
		Vendors: []analytics.BurntBy{{Key: "slack", Dead: 100, Share: 1}}, Weddings: []analytics.BurntBy{{Dead: 60, Share: 0.6}, {Key: "a\nb", Dead: 40, Share: 0.4}},
	}}
	overall, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	report.By = analytics.ByWedding
	wedding, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	report.By, report.Source, report.Why, report.Silent = analytics.ByVendor, analytics.Live, "it is away", []string{"n2", "n3"}
	live, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	node := newStandIn(t, map[string]answer{
		"GET /api/slo?by=overall": {200, string(overall)}, "GET /api/slo?by=wedding": {200, string(wedding)}, "GET /api/slo?by=vendor": {200, string(live)},
	})
	got := wedsync(t, "slo", "--addr", node.URL)
	for _, want := range []string{
		"\noverall  window  total  dead  excluded  success          budget left  in time          budget left\n",
		"\nall      -       1000   100   7         90.00 %  MISSED  -1900.00 %   89.00 %  MISSED  -1000.00 %\n",
		"\n-        1h      1000   100   7  ", "\n-        7d      0      0     0  ",
		"BURNING (page): all, budget for success: 20.0 times too fast over 1h, 20.0 over 5m\n",
		"BURNING (ticket): all, budget for latency: 11.0 times too fast over 3d, 11.0 over 6h\n",
		"failures by vendors: slack 100 (100.00 %)\n", "failures by weddings: none 60 (60.00 %), a b 40 (40.00 %)\n",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is not in\n%s", want, got.out)
		}
	}
	if strings.Contains(got.out, "over 30m") || strings.Contains(got.out, "reasons") {
		t.Errorf("it tells of what does not burn:\n%s", got.out)
	}
	if got := wedsync(t, "slo", "--by=wedding", "--addr", node.URL); !strings.Contains(got.out, "\nwedding  total  dead  ") || !strings.Contains(got.out, "\nnone     1000   100  ") || strings.Contains(got.out, " 7d ") {
		t.Errorf("by wedding\n%s", got.out)
	}
	if got := wedsync(t, "slo", "--by=vendor", "--addr", node.URL); !strings.Contains(got.out, "\nLIVE ONLY: of the last hour at most, from the nodes' memory: it is away.") || !strings.Contains(got.out, "\nWithout n2, n3, which does not answer.\n") {
		t.Errorf("live only\n%s", got.out)
	}
	if strings.Contains(got.out, "LIVE") {
		t.Errorf("what is recorded is called live:\n%s", got.out)
	}
	if got := wedsync(t, "slo", "--watch=1ms", "--addr", node.URL); got.code != exitUsage || !strings.Contains(got.errors, "use 1s or more") {
		t.Errorf("watching too closely: %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	watched := wedsyncWith(ctx, nil, strings.NewReader(""), "slo", "--watch=1s", "--json", "--addr", node.URL)
	if lines := strings.Split(strings.TrimSpace(watched.out), "\n"); watched.code != exitOK || len(lines) != 2 || !json.Valid([]byte(lines[1])) {
		t.Errorf("watched: %+v", watched)
	}
}

// countedAgain is the report over the records in the log, counted without ClickHouse and the package that asks it. All
// of them are of the last minutes.
func countedAgain(t *testing.T, n *node, by func(*event.DeliveryRecord) string) map[string]analytics.Tally {
	t.Helper()
	sums := map[string]analytics.Tally{}
	for after := uint64(0); ; {
		entries, err := n.journal.Records(t.Context(), after, 1000, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return sums
		}
		for _, e := range entries {
			after = e.Seq
			d := e.Record.Delivery
			if d == nil || d.Result == nil {
				continue
			}
			sum := sums[by(d)]
			switch {
			case d.Replay > 0 && d.Result.Outcome == event.Delivered:
				sum.Recovered++
				sum.Delivered++
				sum.Dead--
			case d.Replay > 0:
			case d.Result.Outcome == event.Delivered:
				sum.Total++
				sum.Delivered++
				if d.Result.FinishedAt.Sub(d.AcceptedAt) <= 5*time.Second {
					sum.InTime++
				}
			case d.Result.Outcome == event.Dead:
				sum.Total++
				sum.Dead++
			default:
				sum.Excluded++
			}
			sums[by(d)] = sum
		}
	}
}

// A run with known faults: what slo tells is what is counted again from the log, and what the faults must have done.
func TestSLOEqualsTheRecomputation(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(c *Config) { c.ClickHouse.DSN = clickhouseEmbedded })
	waitComponent(t, d.node.URL(), "clickhouse", "")
	if _, err := d.node.registry.PutMapping(t.Context(), event.Mapping{
		ID: "known", Pattern: "known:faults", Targets: []event.Target{{Integration: "sim-studiocloud"}, {Integration: "sim-venuemaster"}},
	}); err != nil {
		t.Fatal(err)
	}
	mend := d.sims.StudioCloud.Faults().Add(vendors.Fault{Status: 422, Contains: "refused"})
	publish := func(id, of string) {
		payload := fmt.Sprintf(`{"coupleId":"c%s","notes":%q,"ceremonyTime":"2027-06-12T16:00:00+02:00"}`, of, id)
		d.do("publish", "known:faults", "timeline.updated", payload, "--id="+id)
	}
	const good, refused = 20, 6
	for i := range good {
		publish(fmt.Sprint("good-", i), fmt.Sprint(i%3))
	}
	for i := range refused {
		publish(fmt.Sprint("refused-", i), fmt.Sprint(i%2))
	}
	dead := d.waitDead(refused)
	mend()
	for _, letter := range dead.Items[:2] {
		d.do("dead", "replay", fmt.Sprint(letter.Seq))
	}
	keys := map[string]func(*event.DeliveryRecord) string{
		"overall": func(*event.DeliveryRecord) string { return "" }, "vendor": func(r *event.DeliveryRecord) string { return r.Vendor },
		"integration": func(r *event.DeliveryRecord) string { return r.Integration }, "category": func(r *event.DeliveryRecord) string { return string(r.Category) },
		"event_type": func(r *event.DeliveryRecord) string { return r.EventType }, "wedding": func(r *event.DeliveryRecord) string { return r.WeddingID },
	}
	var all analytics.Tally
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		var report analytics.SLOReport
		if err := json.Unmarshal([]byte(d.do("slo", "--json", "--since=1h")), &report); err != nil {
			t.Fatal(err)
		}
		if len(report.Rows) == 1 {
			all = report.Rows[0].Tally
		}
		if all.Recovered == 2 && all.Total+all.Excluded == 2*(good+refused) {
			tick.Stop()
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("slo tells %+v", all)
		}
	}
	if all.Dead != refused-2 || all.Delivered != all.Total-all.Dead {
		t.Errorf("%d were refused, 2 of them replayed, and slo tells %+v", refused, all)
	}
	for by, key := range keys {
		want := countedAgain(t, d.node, key)
		var report analytics.SLOReport
		text := d.do("slo", "--json", "--since=1h", "--by="+by)
		if err := json.Unmarshal([]byte(text), &report); err != nil {
			t.Fatal(err)
		}
		got := map[string]analytics.Tally{}
		for _, row := range report.Rows {
			got[row.Key] = row.Tally
			for _, w := range row.Windows {
				if w.Standing != row.Standing {
					t.Errorf("%s %s over %v is %+v, since an hour %+v", by, row.Key, w.Window, w.Standing, row.Standing)
				}
			}
			if rate := float64(row.Total-row.Delivered) / float64(max(row.Total, 1)) / (1 - 0.995); row.Burn[0].Short.Rate != rate || row.Burn[2].Long.Rate != rate {
				t.Errorf("%s %s burns at %+v, want %v", by, row.Key, row.Burn[0], rate)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("by %s slo tells\n%+v\ncounted again\n%+v", by, got, want)
		}
	}
}
