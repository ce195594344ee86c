package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/checker"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// Config says what is run against what.
type Config struct {
	Profile *Profile
	Seed    uint64
	Target  *Target
	SimHost string    // where the simulators listen and nodes reach them; default 127.0.0.1
	Out     io.Writer // for the progress
	Live    bool      // Out is a terminal: one line, written anew
}

// Run plays a profile and reports. What it made on the nodes is removed again. When ctx ends while it plays, it plays no
// further, waits for what was accepted, and reports that; the report has missed its end, then.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	t := newTruth(newPlan(cfg.Profile, cfg.Seed, "l"+strconv.FormatInt(time.Now().UnixMilli(), 36)))
	sims, err := vendors.StartAll(ctx, vendors.Config{Host: cfg.SimHost, Keep: 1, Notify: t.received})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sims.Close()) }()
	r := &run{cfg: cfg, truth: t, sims: sims, nodes: cfg.Target.nodes}
	if err := r.greet(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.disconnect(context.WithoutCancel(ctx))) }()
	r.say("connecting %d integrations", len(t.plan.people.integrations))
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	r.say("connecting %d clients", len(t.plan.people.channels))
	begun := time.Now()
	if r.crowd, err = gather(ctx, r.nodes, t, cfg.Target.token); err != nil {
		return nil, err
	}
	defer r.crowd.close()
	r.joined = time.Since(begun)
	if err := r.play(ctx); err != nil {
		return nil, err
	}
	return r.reckon(context.WithoutCancel(ctx))
}

// run is one under way.
type run struct {
	cfg    Config
	truth  *truth
	sims   *vendors.Set
	nodes  []*node
	crowd  *crowd
	joined time.Duration // that the clients took to connect and subscribe
	cut    string        // the moment at which it was interrupted; "": it was not
	sample *sampler
	logs   map[string][]checker.Entry // what the log has in the end, by channel
	saying sync.Mutex
}

// say writes a line. On a terminal it takes the place of what was said last by stand.
func (r *run) say(format string, args ...any) { r.write("\n", format, args...) }

// stand says where the run stands, which is true for a moment only.
func (r *run) stand(format string, args ...any) {
	end := "\n"
	if r.cfg.Live {
		end = "\r"
	}
	r.write(end, format, args...)
}

func (r *run) write(end, format string, args ...any) {
	if r.cfg.Live {
		end = "\033[K" + end // what is longer of the line before
	}
	r.saying.Lock()
	defer r.saying.Unlock()
	fmt.Fprintf(r.cfg.Out, format+end, args...)
}

// tell says what happens in the story, and when.
func (r *run) tell(format string, args ...any) {
	r.say("%s  "+format, append([]any{r.moment()}, args...)...)
}

// moment is the time of the story, or how long ago it ended.
func (r *run) moment() string {
	at := time.Since(r.truth.begun)
	if over := at - r.cfg.Profile.Lasts; over > 0 {
		return fmt.Sprintf("+%d s", int(over.Seconds()))
	}
	return r.cfg.Profile.Story(at).String()
}

// side does something for each of n, 32 at once.
func side(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range 32 {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// connect makes the integrations, each with the simulator of its vendor, and the mappings.
func (r *run) connect(ctx context.Context) error {
	people, p := r.truth.plan.people, r.cfg.Profile
	behave(r.sims, r.truth)
	err := side(ctx, len(people.integrations), func(ctx context.Context, i int) error {
		one := people.integrations[i]
		in, secrets := r.sims.Lookup(one.vendor).Integration(one.id)
		in.Owner = one.owner
		v := p.Vendors[one.vendor]
		in.Limits = event.Limits{PerSecond: v.PerSecond, PerRecipient: event.Duration(v.PerRecipient)}
		if one.category == event.VenueManagement {
			in.Channel = "couple:updates:{coupleId}"
		}
		return r.nodes[i%len(r.nodes)].api.Connect(ctx, in, secrets)
	})
	for _, m := range r.truth.plan.routing {
		if err == nil {
			err = r.nodes[0].api.Map(ctx, m)
		}
	}
	if err == nil { // the history of a channel does not show the log's first event: see history.Behind
		err = r.nodes[0].api.Publish(ctx, "load:begins", []byte(`{"type":"load.begins","payload":{}}`))
	}
	return err
}

// disconnect removes what connect made, from nodes that stay.
func (r *run) disconnect(ctx context.Context) error {
	if r.nodes[0].proc != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, m := range r.truth.plan.routing {
		_ = r.nodes[0].api.Call(ctx, http.MethodDelete, "/api/mappings/"+m.ID, nil, nil)
	}
	people := r.truth.plan.people
	return side(ctx, len(people.integrations), func(ctx context.Context, i int) error {
		err := r.nodes[i%len(r.nodes)].api.Call(ctx, http.MethodDelete, "/api/integrations/"+people.integrations[i].id, nil, nil)
		var status *nodeproc.StatusError
		if errors.As(err, &status) && status.Status == http.StatusNotFound {
			return nil
		}
		return err
	})
}

// step is how long a point of the charts is.
func (p *Profile) step() time.Duration {
	return max(500*time.Millisecond, (p.Lasts / 120).Round(500*time.Millisecond))
}

// play lets all happen, until ctx ends, and waits until what was accepted has arrived.
func (r *run) play(playing context.Context) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(playing))
	defer stop()
	r.truth.begun = time.Now().Add(100 * time.Millisecond)
	r.sample = newSampler(r.nodes, r.crowd, r.truth.begun, r.cfg.Profile.step())
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { r.sample.run(ctx) })
	beside.Go(func() { r.progress(ctx) })
	acting := make(chan error, 1)
	s := &script{r.truth.plan, r.truth, r.sims, r.crowd, r.nodes, r.tell}
	scripted, cut := context.WithCancel(ctx)
	defer cut()
	story, over := context.WithCancel(scripted)
	defer over()
	defer context.AfterFunc(playing, over)()
	go func() { acting <- s.run(scripted, story) }()
	p := &publisher{plan: r.truth.plan, truth: r.truth, crowd: r.crowd, nodes: r.nodes, sims: r.sims}
	p.run(playing)
	end := r.truth.begun.Add(r.cfg.Profile.Lasts)
	if playing.Err() != nil {
		r.cut, end = r.moment(), time.Now()
		r.tell("interrupted: what was accepted has %v to arrive, then comes the report; interrupt again to have none", r.cfg.Profile.Settle)
	}
	err := r.settle(ctx, end)
	cut()
	if failed := <-acting; err == nil && !errors.Is(failed, context.Canceled) {
		err = failed
	}
	stop()
	r.truth.close()
	return err
}

// quiet is how long nothing must have come for the run to be over.
const quiet = 2 * time.Second

// settle waits until all that was accepted has arrived or was given up, and nothing has come for a while, or until
// nothing more may be waited for: the checker says what is missing.
func (r *run) settle(ctx context.Context, end time.Time) (err error) {
	until := time.NewTimer(time.Until(end.Add(r.cfg.Profile.Settle)))
	defer until.Stop()
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-r.truth.arrived:
		case <-timer.C:
			if err := r.bury(ctx); err != nil {
				return err
			}
			if s := r.truth.standing(); s.owed > 0 || s.unseen > 0 {
				break
			}
			// What was not answered may have happened: the log says.
			if r.logs, err = r.readLogs(ctx); err != nil || checker.Missing(r.truth.history(r.logs)) == 0 {
				return err
			}
		case <-until.C:
			r.logs, err = r.readLogs(ctx)
			return errors.Join(err, r.bury(ctx))
		case <-ctx.Done():
			return ctx.Err()
		}
		timer.Reset(quiet)
	}
}

// bury notes the deliveries of the run that lie among the dead letters.
func (r *run) bury(ctx context.Context) error {
	var dead []checker.Receipt
	ends := map[string]end{}
	for after, more := uint64(0), true; more; {
		var page struct {
			Items []struct {
				Letter struct {
					Delivery event.Delivery
					Reason   string
					DiedAt   time.Time
				}
			}
			Next uint64
		}
		path := fmt.Sprintf("/api/dead-letters?limit=1000&after=%d&since=%s", after, r.truth.begun.UTC().Format(time.RFC3339))
		if err := r.nodes[0].api.Call(ctx, http.MethodGet, path, nil, &page); err != nil {
			return fmt.Errorf("reading the dead letters: %w", err)
		}
		for _, item := range page.Items {
			d := item.Letter.Delivery
			if _, ours := r.truth.byDelivery[d.ID]; ours {
				dead = append(dead, checker.Receipt{Integration: d.Integration, Channel: d.Channel, EventID: d.EventID, DeliveryID: d.ID})
				ends[d.ID] = end{item.Letter.DiedAt, item.Letter.Reason}
			}
		}
		after, more = page.Next, page.Next != 0
	}
	r.truth.died(dead, ends)
	return nil
}

// progress says where the run stands.
func (r *run) progress(ctx context.Context) {
	every := 5 * time.Second
	if r.cfg.Live {
		every = time.Second
		defer r.stand("") // what is written next is not longer, perhaps
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var before standing
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s := r.truth.standing()
		rate := func(now, then int) float64 { return float64(now-then) / every.Seconds() }
		r.stand("%s  %.0f events/s, %.0f calls/s, %.0f seen/s; %d of %d published, %d deliveries wait, %d dead; %d of %d subscriptions",
			r.moment(), rate(s.answered, before.answered), rate(s.calls, before.calls), rate(s.seen, before.seen),
			s.answered, len(r.truth.plan.arrivals), s.owed, s.dead, r.crowd.subscribed.Load(), r.crowd.subscriptions)
		before = s
	}
}
