package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/alerts"
	"github.com/wedsync/wedsync/analytics/live"
)

// ruleFile is a file of Prometheus rules, with nothing that is not understood.
type ruleFile struct {
	Groups []struct {
		Name     string        `yaml:"name"`
		Interval time.Duration `yaml:"interval"`
		Rules    []rule        `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         time.Duration     `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// series are what a query can ask for: the values of each label of each metric.
type series map[string]map[string][]string

// seriesOf returns what Prometheus has of a node.
func seriesOf(t *testing.T, n *node) series {
	t.Helper()
	families, err := n.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := series{"up": {"job": {"wedsync"}, "instance": {"node-1"}}}
	for _, f := range families {
		names := []string{f.GetName()}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
		}
		for i, name := range names {
			labels := map[string][]string{"job": {"wedsync"}, "instance": {"node-1"}}
			if i == 0 && len(names) > 1 {
				labels["le"] = []string{"+Inf"}
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
				}
			}
			all[name] = labels
		}
	}
	return all
}

// promQL are the functions that the queries may use, of those that PromQL has: the parser takes more.
var promQL = []string{"rate", "increase", "histogram_quantile", "sum", "max", "min", "clamp_min"}

// check fails where a query is none, or asks for what no node tells.
func (s series) check(t *testing.T, where, query string) {
	t.Helper()
	e, err := metricsql.Parse(query)
	if err != nil {
		t.Errorf("%s: %s: %v", where, query, err)
		return
	}
	asked := 0
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			asked++
			for _, filters := range e.LabelFilterss {
				s.checkFilters(t, where, filters)
			}
		case *metricsql.FuncExpr:
			if !slices.Contains(promQL, e.Name) || len(e.Args) == 0 {
				t.Errorf("%s: %s is none of %v", where, e.Name, promQL)
			}
		case *metricsql.AggrFuncExpr:
			if !slices.Contains(promQL, e.Name) || len(e.Args) != 1 {
				t.Errorf("%s: %s is none of %v, of one argument", where, e.Name, promQL)
				return
			}
			for _, label := range e.Modifier.Args {
				metricsql.VisitAll(e.Args[0], func(below metricsql.Expr) {
					if m, ok := below.(*metricsql.MetricExpr); ok && s[nameOf(m)][label] == nil {
						t.Errorf("%s: %s has no label %s, by which it is added up", where, nameOf(m), label)
					}
				})
			}
		case *metricsql.RollupExpr:
			if e.Window == nil || e.Step != nil || e.Offset != nil || e.At != nil {
				t.Errorf("%s: %s has no window, or more than that", where, e.AppendString(nil))
			}
		}
	})
	if asked == 0 {
		t.Errorf("%s: %s asks for nothing", where, query)
	}
}

func nameOf(m *metricsql.MetricExpr) string {
	if len(m.LabelFilterss) == 1 && m.LabelFilterss[0][0].Label == "__name__" {
		return m.LabelFilterss[0][0].Value
	}
	return ""
}

func (s series) checkFilters(t *testing.T, where string, filters []metricsql.LabelFilter) {
	t.Helper()
	name := filters[0]
	labels, known := s[name.Value]
	if name.Label != "__name__" || name.IsRegexp || !known {
		t.Errorf("%s: no node tells %s", where, name.AppendString(nil))
		return
	}
	for _, f := range filters[1:] {
		values := strings.Split(f.Value, "|") // of those that regular expressions can say, the queries say alternatives
		if strings.HasPrefix(f.Value, "$") {
			continue // chosen on the dashboard
		}
		for _, v := range values {
			if !slices.Contains(labels[f.Label], v) {
				t.Errorf("%s: %s has no %s %q, but %v", where, name.Value, f.Label, v, labels[f.Label])
			}
		}
		if !f.IsRegexp && len(values) > 1 {
			t.Errorf("%s: %s is no regular expression", where, f.AppendString(nil))
		}
	}
}

// dashboard is one of Grafana's, as far as it asks for something.
type dashboard struct {
	UID        string
	Title      string
	Templating struct {
		List []struct {
			Name       string
			Datasource struct{ UID string }
			Query      json.RawMessage
		}
	}
	Panels []struct {
		ID         int
		Title      string
		Datasource struct{ UID string }
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct{ Expr, RawSQL string }
	}
}

func readDashboard(t *testing.T, name string) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "compose", "grafana", "dashboards", name))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// The rules and dashboards ask for what nodes tell, from when they are started, and are where Prometheus and Grafana
// look for them.
func TestDeployedQueries(t *testing.T) {
	t.Parallel()
	d := newDesk(t) // a node that has nothing to tell of, but what it tells from the start
	known := seriesOf(t, d.node)
	rules := documents[ruleFile](t, "deploy/compose/slo.yml")[0]
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				known.check(t, r.Record, r.Expr)
				known[r.Record] = map[string][]string{"vendor": known["wedsync_slo_deliveries_total"]["vendor"]}
			}
		}
	}
	wanted, summary := burnRulesWanted(), regexp.MustCompile(`\{\{ \$(labels\.vendor|value \| humanizePercentage) \}\}`)
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			name := r.Record + r.Alert
			if r.Alert != "" {
				known.check(t, name, r.Expr)
				if text := summary.ReplaceAllString(r.Annotations["summary"], ""); text == "" || strings.Contains(text, "{{") || r.Labels["severity"] == "" {
					t.Errorf("%s is told as %q, with %v", name, r.Annotations["summary"], r.Labels)
				}
			}
			if want := wanted[name]; strings.Join(strings.Fields(r.Expr), " ") != want {
				t.Errorf("%s is\n%s\nwant\n%s", name, r.Expr, want)
			}
			delete(wanted, name)
		}
	}
	for name := range wanted {
		t.Errorf("%s is missing", name)
	}
	if readDashboard(t, "cluster.json").UID == "" {
		t.Error("the dashboard of the cluster has no id")
	}
	deliveries := readDashboard(t, "deliveries.json")
	for _, p := range deliveries.Panels {
		if p.Datasource.UID != "prometheus" || len(p.Targets) == 0 {
			t.Errorf("%s asks %s for nothing", p.Title, p.Datasource.UID)
		}
		for _, target := range p.Targets {
			known.check(t, p.Title, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	mounted := fmt.Sprint(documents[composeFile](t, "docker-compose.yml")[0].Services["prometheus"].Volumes)
	for _, file := range documents[struct {
		Rules []string `yaml:"rule_files"`
	}](t, "deploy/compose/prometheus.yml")[0].Rules {
		if want := "./deploy/compose/" + file + ":/etc/prometheus/" + file + ":ro"; !strings.Contains(mounted, want) {
			t.Errorf("Prometheus reads %s, and has %s", file, mounted)
		}
	}
}

// burnRulesWanted are the rules as the objectives and the pairs of windows have them, each on one line.
func burnRulesWanted() map[string]string {
	windows := func(d time.Duration) string {
		switch {
		case d%(24*time.Hour) == 0:
			return fmt.Sprint(int(d.Hours())/24, "d")
		case d%time.Hour == 0:
			return fmt.Sprint(int(d.Hours()), "h")
		}
		return fmt.Sprint(int(d.Minutes()), "m")
	}
	all := map[string]string{}
	for _, o := range []struct {
		objective   analytics.Objective
		bad, ends   string
		page, under string
	}{{analytics.ForSuccess, "dead", "dead", "DeliveriesFail", "DeliveriesFailSlowly"}, {analytics.ForLatency, "late", "late|dead", "DeliveriesLate", "DeliveriesLateSlowly"}} {
		terms := map[analytics.Severity][]string{}
		for _, p := range append([]analytics.BurnPair{live.SuddenPair()}, analytics.BurnPairs()...) {
			var parts []string
			for _, d := range []time.Duration{p.Short, p.Long} {
				w := windows(d)
				for record, ends := range map[string]string{o.bad: o.ends, "counted": "in_time|late|dead"} {
					all["wedsync:slo_"+record+":increase"+w] = fmt.Sprintf(`sum by (vendor) (increase(wedsync_slo_deliveries_total{end=~%q}[%s]))`, ends, w)
				}
				parts = append(parts, fmt.Sprintf("wedsync:slo_%s:increase%s / wedsync:slo_counted:increase%s >= %.4g", o.bad, w, w, p.Threshold*(1-o.objective.Goal())))
			}
			parts = append(parts, fmt.Sprintf("wedsync:slo_%s:increase%s >= %d", o.bad, windows(p.Long), alerts.DefaultMinFailures))
			terms[p.Severity] = append(terms[p.Severity], "("+strings.Join(parts, " and ")+")")
		}
		all[o.page] = strings.Join(terms[analytics.SeverityPage], " or ")
		all[o.under] = strings.Join(terms[analytics.SeverityTicket], " or ")
	}
	return all
}
