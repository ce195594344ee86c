package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/admin"
	"github.com/wedsync/wedsync/loadtest/load"
)

type loadCmd struct {
	Run      loadRunCmd      `cmd:"" default:"withargs" help:"Play a profile and write a report. This is what \"wedsync load\" does."`
	Compare  loadCompareCmd  `cmd:"" help:"Show the numbers of two runs side by side."`
	Profiles loadProfilesCmd `cmd:"" help:"List the profiles, or print one to be changed."`
}

func (loadCmd) Help() string {
	return `    wedsync load --profile saturday --local 1
    wedsync load compare before.json after.json

"wedsync load run --help" lists the flags. docs/load.md tells more.`
}

type loadRunCmd struct {
	Profile string        `help:"What happens: saturday, smoke, soak or storm, or a file." default:"smoke" placeholder:"NAME"`
	Local   int           `help:"Start so many nodes that hold the log (1, 3 or 5), and ClickHouse, on this machine." placeholder:"N"`
	Addr    []string      `help:"Addresses of the nodes of a cluster that is there, instead of --local." placeholder:"URL,..."`
	Key     string        `help:"Its API key. Default: what stands in api.key in the data folder, if it can be read." env:"WEDSYNC_KEY,WEDSYNC_API_KEY" placeholder:"KEY"`
	Data    string        `help:"A node's data folder." default:"./data" env:"WEDSYNC_DATA" placeholder:"DIR"`
	DSN     string        `name:"clickhouse" help:"Its ClickHouse, to check each row. Default: only the nodes' API is asked." placeholder:"DSN"`
	SimHost string        `help:"Where the simulated vendors listen, and the nodes reach them." default:"127.0.0.1" placeholder:"HOST"`
	Seed    uint64        `help:"Of all that is drawn by chance: the same one plans the same run." default:"1" placeholder:"N"`
	Lasts   time.Duration `help:"How long the run lasts, whatever the profile says: the story is compressed into it." placeholder:"DURATION"`
	Clients int           `help:"How many WebSocket clients, whatever the profile says." default:"-1" placeholder:"N"`
	Out     string        `short:"o" help:"The report: NAME.html and NAME.json." default:"wedsync-load" placeholder:"NAME"`
}

func (loadRunCmd) Help() string {
	return `Couples and suppliers publish by a plan, clients watch, vendors fail and an edge dies, as the profile says. All
that was accepted is checked at vendors and clients, and the SLO in ClickHouse is compared with that. The exit code is 1
if a threshold of the profile was missed, or the run was interrupted: the report is of what was played until then.
docs/load.md tells more.

    wedsync load --profile saturday --local 1`
}

func (c loadRunCmd) Run(ctx context.Context, w world, p printer) error {
	profile, err := load.ReadProfile(c.Profile)
	if err != nil {
		return usageError{err}
	}
	if profile, err = profile.With(c.Lasts, c.Clients); err != nil {
		return usageError{err}
	}
	if (c.Local != 0) == (len(c.Addr) > 0) {
		return usageError{errors.New("name either the nodes with --addr, or how many to start with --local")}
	}
	if c.Local != 0 && !slices.Contains(load.LocalNodes(), c.Local) {
		return usageError{fmt.Errorf("--local is %d; use one of %v, so that more than half of the nodes can be told from the others", c.Local, load.LocalNodes())}
	}
	if err := errors.Join(profile.CheckFiles(), c.checkOut()); err != nil {
		return usageError{err}
	}
	report, err := c.play(ctx, w, profile)
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("interrupted; there is no report")
	case err != nil:
		return err
	}
	if err := errors.Join(keepReport(c.Out+".json", report.WriteJSON), keepReport(c.Out+".html", func(out io.Writer) error {
		script, style := admin.UPlot()
		return report.WriteHTML(out, load.UPlot{Script: script, Style: style})
	})); err != nil {
		return err
	}
	if err := c.tell(p, report); err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted; the report tells of what was played until then")
	case !report.Passed:
		return errors.New("a threshold of the profile was missed")
	}
	return nil
}

// play runs the profile.
func (c loadRunCmd) play(ctx context.Context, w world, profile *load.Profile) (_ *load.Report, err error) {
	target, err := c.target(ctx, w, profile)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return load.Run(ctx, load.Config{
		Profile: profile, Seed: c.Seed, Target: target, SimHost: c.SimHost, Out: w.stderr, Live: terminal(w.stderr),
	})
}

// target is the cluster that is there, or one that is started.
func (c loadRunCmd) target(ctx context.Context, w world, profile *load.Profile) (*load.Target, error) {
	if c.Local == 0 {
		key := c.Key
		if key == "" {
			key = readKey(filepath.Join(c.Data, apiKeyFile))
		}
		e := load.External{Addresses: c.Addr, Key: key, ClickHouse: c.DSN}
		if secret := readKey(filepath.Join(c.Data, tokenKeyFile)); secret != "" {
			e.Token = func(context.Context) (string, error) {
				return mint(event.SecretOf(secret), "wedsync-load", []string{"**"}, []string{"**"}, time.Now())
			}
		}
		target, err := load.Reach(e)
		if err != nil {
			return nil, usageError{err}
		}
		return target, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return load.Start(ctx, load.Local{Nodes: c.Local, Binary: self, Env: w.environ}, profile.Nodes)
}

// checkOut returns an error if the report could not be written in the end.
func (c loadRunCmd) checkOut() error {
	f, err := os.CreateTemp(filepath.Dir(c.Out), ".wedsync-load-*")
	if err != nil {
		return fmt.Errorf("--out is %s, and nothing can be written there: %w", c.Out, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func keepReport(path string, write func(io.Writer) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

func (c loadRunCmd) tell(p printer, r *load.Report) error {
	if p.json {
		return r.WriteJSON(p.out)
	}
	p.say("%s", r.Summary())
	p.say("%s", r.How())
	rows := make([][]string, len(r.Verdicts))
	for i, v := range r.Verdicts {
		rows[i] = []string{v.What, v.Want, v.Got, map[bool]string{true: "met", false: "MISSED"}[v.Met]}
	}
	if err := p.table([]string{"threshold", "wanted", "came", ""}, rows); err != nil {
		return err
	}
	for _, f := range r.Publishes.Findings[:min(3, len(r.Publishes.Findings))] {
		p.say("%s", f)
	}
	for _, m := range r.Missing[:min(3, len(r.Missing))] {
		p.say("%s misses %d deliveries, and %d died: %s", m.Integration, m.Waiting, m.Dead, m.Why)
	}
	p.say("the report is in %s.html and %s.json", c.Out, c.Out)
	return nil
}

type loadProfilesCmd struct {
	Name string `arg:"" optional:"" help:"The profile to print."`
}

func (c loadProfilesCmd) Run(p printer) error {
	if c.Name != "" {
		text, err := load.ProfileText(c.Name)
		if err != nil {
			return usageError{err}
		}
		_, err = fmt.Fprintf(p.out, "%s", text)
		return err
	}
	type named struct {
		Name  string `json:"name"`
		About string `json:"about"`
	}
	var all []named
	for _, name := range load.Profiles() {
		profile, err := load.ReadProfile(name)
		if err != nil {
			return err
		}
		all = append(all, named{name, profile.About})
	}
	return list(p, all, []string{"profile", "about"}, func(n named) []string { return []string{n.Name, n.About} })
}

type loadCompareCmd struct {
	A string `arg:"" help:"The JSON report of a run."`
	B string `arg:"" help:"That of another one."`
}

func (c loadCompareCmd) Run(p printer) error {
	a, err := load.ReadReport(c.A)
	if err != nil {
		return usageError{err}
	}
	b, err := load.ReadReport(c.B)
	if err != nil {
		return usageError{err}
	}
	if !p.json && (a.Profile != b.Profile || a.Lasts != b.Lasts) {
		p.say("these are of different profiles: %s of %.0f s, and %s of %.0f s", a.Profile, a.Lasts, b.Profile, b.Lasts)
	}
	number := func(v float64) string {
		return strconv.FormatFloat(v, 'f', map[bool]int{true: 0, false: 2}[v == math.Trunc(v)], 64)
	}
	return list(p, load.Compare(a, b), []string{"", "a", "b", "change"}, func(d load.Difference) []string {
		change := ""
		if d.A != d.B && d.A != 0 {
			change = fmt.Sprintf("%+.1f %%", d.Change)
		}
		return []string{d.What, strings.TrimSpace(number(d.A) + " " + d.Unit), strings.TrimSpace(number(d.B) + " " + d.Unit), change}
	})
}
