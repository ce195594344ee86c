package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/history"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// recordsFor is the longest time that records may take to get to ClickHouse.
const recordsFor = 30 * time.Second

// maxStrange bounds what a report tells of what was noted.
const maxStrange = 50

// reckon reads what ClickHouse has, has all of it checked, and makes the report.
func (r *run) reckon(ctx context.Context) (*Report, error) {
	r.say("reading ClickHouse")
	h := r.truth.history(r.logs)
	p := r.cfg.Profile
	rep := &Report{
		Profile: p.Name, About: p.About, Seed: r.cfg.Seed, Begun: r.truth.begun.UTC(), Lasts: p.Lasts.Seconds(),
		Story: [2]string{p.Begins.String(), p.Ends.String()}, Planned: len(r.truth.plan.arrivals), Deaths: r.truth.deaths,
		Series: r.truth.series(r.sample), Missing: r.missing(ctx), Processors: runtime.NumCPU(),
		Clients: Clients{
			Connections: len(r.crowd.clients), Subscriptions: r.crowd.subscriptions, Joined: r.joined.Seconds(),
			Seen: len(r.truth.sightings), NotRecovered: int(r.crowd.lost.Load()),
		},
	}
	for _, n := range r.nodes {
		rep.Nodes = append(rep.Nodes, n.name)
	}
	for _, w := range r.truth.windows {
		rep.Faults = append(rep.Faults, Span{w.Fault, w.From.Sub(r.truth.begun).Seconds(), w.To.Sub(r.truth.begun).Seconds()})
	}
	slices.SortStableFunc(rep.Faults, func(a, b Span) int { return int(1000 * (a.From - b.From)) })
	rep.Strange = r.truth.strange[:min(maxStrange, len(r.truth.strange))]
	r.durations(rep)
	var err error
	if rep.ClickHouse, h.Rows, err = r.books(ctx, &rep.Deliveries); err != nil {
		rep.ClickHouse = &Compared{Detail: err.Error()}
	}
	rep.Publishes = checker.Check(h)
	if r.cut != "" {
		rep.Verdicts = append(rep.Verdicts, Verdict{What: "played to its end", Want: p.Ends.String(), Got: "interrupted at " + r.cut})
	}
	rep.judge(p.Thresholds)
	return rep, nil
}

// durations reckons the deliveries, and how long everything took from its intended time.
func (r *run) durations(rep *Report) {
	t := r.truth
	accept, live := newHistogram(), newHistogram()
	vendors := map[string]*hdrhistogram.Histogram{}
	accepted := map[int]bool{} // arrivals
	for i, op := range t.ops {
		if op.Outcome == checker.Accepted {
			a := &t.plan.arrivals[t.of[i]]
			record(accept, op.End.Sub(t.begun)-a.at)
			rep.Deliveries.Due += len(a.to)
			accepted[t.of[i]] = true
		}
	}
	for k, s := range t.sightings {
		if i := t.seen[k]; i >= 0 {
			record(live, s.At.Sub(t.begun)-t.plan.arrivals[i].at)
		}
	}
	firsts := t.firsts()
	for _, one := range firsts {
		late := one.ended.Sub(t.begun) - t.plan.arrivals[one.arrival].at
		if !accepted[one.arrival] { // its publisher got no answer, or none that says so
			rep.Deliveries.Due++
		}
		if late <= analytics.LatencyLimit {
			rep.Deliveries.InTime++
		}
		if vendors[one.vendor] == nil {
			vendors[one.vendor] = newHistogram()
		}
		record(vendors[one.vendor], late)
	}
	d := &rep.Deliveries
	d.Delivered, d.Dead, d.Calls = len(firsts), len(t.dead), len(t.calls)
	for _, one := range t.calls {
		if !one.taken {
			d.Refused++
		}
	}
	d.Success = 1
	if d.Due > 0 {
		d.Success = float64(d.Delivered) / float64(d.Due)
	}
	rep.Accept, rep.Live, rep.Vendors = quantiles(accept), quantiles(live), map[string]Quantiles{}
	for name, h := range vendors {
		rep.Vendors[name] = quantiles(h)
	}
}

// readLogs reads all that the log has of each channel that something was published on.
func (r *run) readLogs(ctx context.Context) (map[string][]checker.Entry, error) {
	names := map[string]bool{}
	for _, a := range r.truth.plan.arrivals {
		names[a.channel] = true
	}
	channels := slices.Sorted(maps.Keys(names))
	found := make([][]checker.Entry, len(channels))
	err := side(ctx, len(channels), func(ctx context.Context, i int) (err error) {
		found[i], err = history.Log(ctx, r.nodes[i%len(r.nodes)].api, channels[i], idIn)
		return err
	})
	logs := map[string][]checker.Entry{}
	for i, channel := range channels {
		logs[channel] = found[i]
	}
	return logs, err
}

// books waits until ClickHouse has all deliveries that ended, asks for the SLO, and holds it against the truth.
// Where there is none, there is nothing to compare.
func (r *run) books(ctx context.Context, d *Deliveries) (*Compared, []checker.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, recordsFor)
	defer cancel()
	var node struct{ Analytics bool }
	if err := r.nodes[0].api.Call(ctx, http.MethodGet, "/api/status", nil, &node); err != nil || !node.Analytics {
		return nil, nil, err
	}
	var c *Compared
	for {
		var err error
		c, err = r.slo(ctx)
		if err == nil && c.Delivered+c.Dead >= d.Delivered+d.Dead {
			break
		}
		if late := nodeproc.Sleep(ctx, 500*time.Millisecond); late != nil {
			if c == nil {
				return nil, nil, errors.Join(err, late)
			}
			break // it says what it has
		}
	}
	c.Agrees = c.Delivered == d.Delivered && c.Dead == d.Dead
	if !c.Agrees {
		c.Detail = fmt.Sprintf("vendors took %d deliveries and %d died", d.Delivered, d.Dead)
	}
	if r.cfg.Target.clickhouse == "" {
		return c, nil, nil
	}
	conn, err := history.Open(r.cfg.Target.clickhouse)
	if err != nil {
		return c, nil, err
	}
	defer func() { _ = conn.Close() }()
	all, err := history.Rows(context.WithoutCancel(ctx), conn)
	var rows []checker.Row
	for _, of := range all {
		for _, row := range of {
			// What has not ended has no row that says how: it is lost, and that is told already.
			if _, ours := r.truth.byDelivery[row.DeliveryID]; ours && (row.Deliveries > 0 || r.truth.got[row.DeliveryID]) {
				rows = append(rows, row)
			}
		}
	}
	return c, rows, err
}

// slo sums what the API says of the run's integrations.
func (r *run) slo(ctx context.Context) (*Compared, error) {
	var report struct {
		Source, Why string
		Rows        []struct {
			Key             string
			Delivered, Dead int
		}
	}
	path := "/api/slo?by=integration&since=" + r.truth.begun.Add(-time.Minute).UTC().Format(time.RFC3339)
	if err := r.nodes[0].api.Call(ctx, http.MethodGet, path, nil, &report); err != nil {
		return nil, err
	}
	if report.Source != "recorded" {
		return nil, fmt.Errorf("%s are %s numbers: %s", path, report.Source, report.Why)
	}
	ours := map[string]bool{}
	for _, in := range r.truth.plan.people.integrations {
		ours[in.id] = true
	}
	c := &Compared{Success: 1}
	for _, row := range report.Rows {
		if ours[row.Key] {
			c.Delivered += row.Delivered
			c.Dead += row.Dead
		}
	}
	if all := c.Delivered + c.Dead; all > 0 {
		c.Success = float64(c.Delivered) / float64(all)
	}
	return c, nil
}

// judge holds the report against the thresholds.
func (rep *Report) judge(t Thresholds) {
	add := func(what string, met bool, want, got string) {
		rep.Verdicts = append(rep.Verdicts, Verdict{what, want, got, met})
	}
	most := func(what string, got, want int) {
		add(what, got <= want, fmt.Sprintf("at most %d", want), strconv.Itoa(got))
	}
	within := func(what string, ms float64, want time.Duration) {
		if want > 0 {
			got := time.Duration(ms * float64(time.Millisecond))
			add(what, ms >= 0 && got <= want, fmt.Sprint("at most ", want), got.Round(100*time.Microsecond).String())
		}
	}
	d := rep.Deliveries
	add("deliveries that succeeded", d.Success >= t.Success, fmt.Sprintf("at least %.2f %%", 100*t.Success), fmt.Sprintf("%s of %d", percent(d.Success), d.Due))
	most("lost", rep.Publishes.Lost, t.Lost)
	most("reordered", rep.Publishes.Reordered, t.Reordered)
	most("otherwise wrong", rep.Publishes.Wrong, t.Wrong)
	most("publishes that failed without a reason", rep.Publishes.NotAllowed, t.NotAllowed)
	within("publishing, p99", rep.Accept.P99, t.AcceptP99)
	within("live at clients, p99", rep.Live.P99, t.LiveP99)
	for _, one := range rep.Deaths {
		within("all clients back after: "+one.About, 1000*one.Back, t.Back)
	}
	if c := rep.ClickHouse; c != nil {
		add("the SLO in ClickHouse agrees", c.Agrees, fmt.Sprintf("%d delivered, %d dead", d.Delivered, d.Dead), fmt.Sprintf("%d delivered, %d dead", c.Delivered, c.Dead))
	}
	rep.Passed = !slices.ContainsFunc(rep.Verdicts, func(v Verdict) bool { return !v.Met })
}
