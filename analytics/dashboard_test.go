package analytics_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/actors/event"
)

// timeFilter is a macro of Grafana's plugin for ClickHouse.
var timeFilter = regexp.MustCompile(`\$__timeFilter\((\w+)\)`)

// shown is what a panel asks for, as Grafana sends it for these hours.
func shown(query string, from, to time.Time) string {
	return timeFilter.ReplaceAllString(query, fmt.Sprintf("$1 >= toDateTime(%d) AND $1 <= toDateTime(%d)", from.Unix(), to.Unix()))
}

// table reads an answer, as a line of "column=value" a row.
func table(t *testing.T, conn driver.Conn, query string) (columns []string, lines []string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	columns = rows.Columns()
	for rows.Next() {
		values := make([]any, len(columns))
		for i, c := range rows.ColumnTypes() {
			values[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		var cells []string
		for i, c := range columns {
			v := reflect.ValueOf(values[i]).Elem().Interface()
			switch x := v.(type) {
			case float64:
				v = math.Round(1000*x) / 1000
			case float32:
				v = math.Round(float64(x))
			case time.Time:
				v = x.UTC().Format(time.TimeOnly)
			}
			cells = append(cells, fmt.Sprintf("%s=%v", c, v))
		}
		lines = append(lines, strings.Join(cells, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return columns, lines
}

// Each panel of Grafana's dashboard for ClickHouse is answered by it, with the numbers of an hour that is known.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../deploy/compose/grafana/dashboards/analytics.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		UID    string
		Panels []struct {
			Title, Type string
			Datasource  struct{ Type, UID string }
			Targets     []struct{ RawSQL, QueryType string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Minute)
	dsn := freshDSN(t)
	store, log := openStore(t, dsn), newLog()
	count := uint64(0)
	end := func(vendor, wedding string, outcome event.Outcome, reason string, took, ago time.Duration) {
		count++
		at := now.Add(-ago)
		r := &event.DeliveryRecord{
			ID: fmt.Sprint("dlv_", count), Vendor: vendor, Integration: vendor + "-1", WeddingID: wedding, AcceptedAt: at.Add(-took),
			Attempts: []event.Attempt{{Number: 1, StartedAt: at, Verdict: string(outcome), Reason: reason}},
			Result:   &event.Result{Outcome: outcome, Reason: reason, FinishedAt: at},
		}
		log.append(&event.Record{V: event.Version, Node: "n1", Delivery: r})
	}
	for range 6 {
		end("slack", "w1", event.Delivered, "", time.Second, 10*time.Minute)
	}
	end("slack", "w2", event.Delivered, "", 10*time.Second, 10*time.Minute)
	end("slack", "w2", event.Dead, "http_422", time.Second, 5*time.Minute)
	end("email", "w1", event.Delivered, "", time.Second, 5*time.Minute)
	end("email", "w3", event.Dead, "smtp_550", time.Second, 5*time.Minute)
	end("email", "w3", event.Dead, "smtp_550", time.Second, 5*time.Minute)
	end("email", "w3", event.Skipped, "digested", time.Second, 5*time.Minute) // counts for nothing
	// A replay delivered one that was dead: it is no failure any more, and the first call failed all the same.
	end("slack", "w1", event.Dead, "http_500", time.Second, 5*time.Minute)
	died := now.Add(-5 * time.Minute)
	log.append(&event.Record{V: event.Version, Node: "n1", Delivery: &event.DeliveryRecord{
		ID: fmt.Sprint("dlv_", count), Replay: 1, Died: died, Vendor: "slack", Integration: "slack-1", WeddingID: "w1", AcceptedAt: died.Add(-time.Second),
		Result: &event.Result{Outcome: event.Delivered, FinishedAt: now.Add(-time.Minute)},
	}})
	count++
	r := run(t, store, log, quick())
	r.reaches(t, count, time.Minute)
	ten, five := now.Add(-10*time.Minute).Format(time.TimeOnly), now.Add(-5*time.Minute).Format(time.TimeOnly)
	want := map[string][]string{
		"Delivered":                           {"delivered=0.75"},
		"Within 5 s":                          {"in_time=0.583"},
		"Success budget left, 30 days":        {"budget_left=-49"},
		"Weddings hurt":                       {"weddings=2"},
		"Deliveries by vendor, a minute":      {"time=" + ten + " vendor=slack deliveries=7", "time=" + five + " vendor=email deliveries=3", "time=" + five + " vendor=slack deliveries=2"},
		"Failed, by vendor":                   {"time=" + ten + " vendor=slack failed=0", "time=" + five + " vendor=email failed=0.667", "time=" + five + " vendor=slack failed=0.5"},
		"From event to vendor's answer, 99 %": {"time=" + ten + " vendor=slack p99=10000", "time=" + five + " vendor=email p99=1000"},
		"Budget by vendor, 30 days":           {"vendor=email deliveries=3 failed=2 success_budget_left=-132.333 latency_budget_left=-65.667", "vendor=slack deliveries=9 failed=1 success_budget_left=-21.222 latency_budget_left=-32.333"},
		"Why deliveries failed":               {"vendor=email reason=smtp_550 deliveries=2 weddings=1 last=" + five, "vendor=slack reason=http_422 deliveries=1 weddings=1 last=" + five, "vendor=slack reason=http_500 deliveries=1 weddings=1 last=" + five},
		"Integrations that failed most":       {"integration=email-1 failed=2 deliveries=3 share=0.667", "integration=slack-1 failed=1 deliveries=9 share=0.111"},
		"Weddings that failed most":           {"wedding=w3 failed=2 deliveries=2", "wedding=w2 failed=1 deliveries=2"},
		"Calls that failed, by reason":        {"time=" + five + " why=digested calls=1", "time=" + five + " why=http_422 calls=1", "time=" + five + " why=http_500 calls=1", "time=" + five + " why=smtp_550 calls=2"},
	}
	conn := connect(t, dsn)
	for _, p := range dashboard.Panels {
		if p.Datasource.Type != "grafana-clickhouse-datasource" || p.Datasource.UID != "clickhouse" || len(p.Targets) != 1 {
			t.Errorf("%s asks %+v", p.Title, p.Datasource)
			continue
		}
		columns, lines := table(t, conn, shown(p.Targets[0].RawSQL, now.Add(-time.Hour), now))
		if !reflect.DeepEqual(lines, want[p.Title]) {
			t.Errorf("%s shows\n%s\nwant\n%s", p.Title, strings.Join(lines, "\n"), strings.Join(want[p.Title], "\n"))
		}
		if series := p.Type == "timeseries"; series != (columns[0] == "time") || series != (p.Targets[0].QueryType == "timeseries") {
			t.Errorf("%s is a %s of %v", p.Title, p.Type, columns)
		}
		delete(want, p.Title)
	}
	for title := range want {
		t.Errorf("there is no panel %s", title)
	}
}
