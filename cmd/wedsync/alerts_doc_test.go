package main

import (
	"strings"
	"testing"
)

// TestAlertsDocument applies the file of docs/alerts.md and runs the page's commands: what it maps is encoded for
// each vendor. The metrics that it names are told.
func TestAlertsDocument(t *testing.T) {
	t.Parallel()
	doc := readDocument(t, "alerts.md")
	d := newBench(t)
	file := d.season(doc.blocks["yaml"][0])
	var out []string
	for line := range strings.Lines(doc.blocks["sh"][0]) {
		args := shellWords(strings.ReplaceAll(strings.TrimSpace(line), "alerts.yaml", file))
		out = append(out, d.do(args[1:]...))
	}
	if len(out) != 3 || !strings.Contains(out[1], "Error budget burns") || !strings.Contains(out[1], "31 of 300 were not delivered in 5 min") ||
		!strings.Contains(out[2], "budget_burns") || !strings.Contains(out[2], "studiocloud") {
		t.Errorf("the commands print %q", out)
	}
	_, told := get(t, d.node.URL()+"/metrics")
	for _, want := range []string{`wedsync_burn_alerts{severity="page"} 0`, `wedsync_burn_alerts{severity="ticket"} 0`, `wedsync_burn_evaluations_total{outcome="failed"} 0`} {
		if !strings.Contains(told, "\n"+want+"\n") {
			t.Errorf("%s is not told", want)
		}
	}
}
