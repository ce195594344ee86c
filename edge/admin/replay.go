package admin

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

// A replay of many is planned, told, and then done in steps that the page asks for one after the other: so it
// goes on while somebody looks, can be stopped, and tells how far it is.
const (
	planPage   = 1000      // dead letters that the API looks through at once
	planMost   = 10 * 1000 // are counted at most
	replayStep = 25        // are replayed in one step
)

// fate is what becomes of dead letters of one integration when they are replayed.
type fate struct {
	integration string
	count       int
	words       string
}

// fateOf says what an integration does with what is replayed.
func (v *visit) fateOf(id string, letters int) fate {
	f := fate{id, letters, "goes through the same lane, breaker and limits."}
	if !v.may(access.IntegrationsRead) {
		return f
	}
	h, err := v.Health(v.Context(), id)
	if err != nil {
		if problem.Of(err).Code == problem.IntegrationUnknown {
			f.words = "is gone, so they cannot be replayed and stay."
		}
		return f
	}
	f.words = map[event.State]string{
		event.Open:          "is not reachable: they wait until it is.",
		event.Paused:        "is paused: they wait until it is resumed.",
		event.Suspended:     "is suspended: they wait until it is reinstated.",
		event.DisabledState: "is disabled: they would be skipped, and not sent.",
		event.Degraded:      "fails at times: they are sent now, within its limits, and tried again where that is worth it.",
		event.Healthy:       "works: they are sent now, within its limits.",
		event.Idle:          "has nothing to do: they are sent now, within its limits.",
	}[h.State]
	return f
}

// plan is what a replay will do.
type plan struct {
	fields map[string]string // of its form: the filter
	seqs   []uint64          // or those that are chosen
	total  int
	more   bool // there are more than are counted
	fates  []fate
}

// planReplay tells what a replay of all that match, or of some that are chosen, will do.
func (a *Admin) planReplay(v *visit) (templ.Component, error) {
	counts := map[string]int{}
	var p plan
	var err error
	if v.PostForm.Has("all") {
		f := deadFilterOf(v.PostForm)
		f.Since = absolute(f.Since, v.now())
		f.Until = absolute(cmp.Or(f.Until, "0s"), v.now()) // else those that die again would be replayed for ever
		p.fields = deadFields(&f)
		err = p.countAll(v, f, counts)
	} else {
		err = p.countChosen(v, counts)
	}
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		p.fates = append(p.fates, v.fateOf(id, counts[id]))
	}
	return planCard(&p), nil
}

// absolute writes how long ago something was as a time, so that it means the same in each step.
func absolute(text string, now time.Time) string {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago).UTC().Format(time.RFC3339Nano)
	}
	return text
}

func (p *plan) countAll(v *visit, f api.DeadFilter, counts map[string]int) error {
	for after := uint64(0); ; {
		found, err := v.ReplayMany(v.Context(), f, after, planPage, true)
		if err != nil {
			return err
		}
		for _, item := range found.Items {
			counts[item.Integration]++
		}
		p.total += len(found.Items)
		if after = found.Next; after == 0 {
			return nil
		}
		if p.total >= planMost {
			p.more = true
			return nil
		}
	}
}

func (p *plan) countChosen(v *visit, counts map[string]int) (err error) {
	if p.seqs, err = chosenSeqs(v); err != nil {
		return err
	}
	for _, seq := range p.seqs {
		l, err := v.DeadLetter(v.Context(), seq)
		if err != nil {
			return err
		}
		counts[l.Letter.Delivery.Integration]++
	}
	p.total = len(p.seqs)
	return nil
}

// progress is how far a replay is. Its numbers come back with each step; nothing is done by them.
type progress struct {
	fields   map[string]string
	after    uint64
	total    int
	replayed int
	stay     int
	problems []api.ReplayedOne // of this step
}

// replayStep replays the next few of all, or all that are chosen, and tells how far it is.
func (a *Admin) replayStep(v *visit) (templ.Component, error) {
	number := func(name string) int { n, _ := strconv.Atoi(v.PostFormValue(name)); return n }
	p := progress{total: number("total"), replayed: number("replayed"), stay: number("stay")}
	if len(v.PostForm["seq"]) > 0 {
		return a.replayChosen(v, &p)
	}
	f := deadFilterOf(v.PostForm)
	p.fields = deadFields(&f)
	after, _ := strconv.ParseUint(v.PostFormValue("after"), 10, 64) // else from the first
	found, err := v.ReplayMany(v.Context(), f, after, replayStep, false)
	if err != nil {
		return nil, err
	}
	p.after = found.Next
	for _, item := range found.Items {
		p.count(item)
	}
	return replayProgress(&p), nil
}

func (a *Admin) replayChosen(v *visit, p *progress) (templ.Component, error) {
	seqs, err := chosenSeqs(v)
	if err != nil {
		return nil, err
	}
	for _, seq := range seqs {
		one := api.ReplayedOne{Seq: seq}
		_, err := v.Replay(v.Context(), seq)
		switch problem.Of(err).Code {
		case problem.ReplayImpossible, problem.DeadLetterUnknown:
			one.Problem = problem.Of(err).Detail
		default:
			if err != nil {
				return nil, err
			}
		}
		p.count(one)
	}
	return replayProgress(p), nil
}

func (p *progress) count(one api.ReplayedOne) {
	if one.Problem == "" {
		p.replayed++
		return
	}
	p.stay++
	p.problems = append(p.problems, one)
}

// deadWords says in plain language why a delivery died.
func deadWords(l *event.DeadLetter) string {
	if words := reasonWords(l.Reason); words != "" {
		return words
	}
	if code, ok := strings.CutPrefix(l.Reason, "http_"); ok {
		return "The vendor answered " + code + " and will not take this message however often it is sent. Mend what it says is wrong, then replay it."
	}
	return "The vendor refused it for good, with a code of its own. Mend what it says is wrong, then replay it."
}
