package load

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// arrival is an event that is to be published at a time, whatever the nodes do then.
type arrival struct {
	at      time.Duration // since the run's beginning
	kind    string
	couple  int
	channel string
	id      string   // by which the log knows it
	webhook string   // the vendor's id of it, where it comes by webhook
	to      []string // integrations that must get it
}

// plan is all that happens in a run because the profile says so.
type plan struct {
	profile  *Profile
	seed     uint64
	people   *population
	arrivals []arrival
	routing  []event.Mapping
}

// newPlan draws a plan. Names begin with run; all else follows from the profile and the seed.
func newPlan(p *Profile, seed uint64, run string) *plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	pl := &plan{profile: p, seed: seed, people: newPopulation(p.Population, run, rng)}
	pl.routing = pl.people.routing()
	names := slices.Sorted(maps.Keys(p.Mix))
	total := 0
	for _, name := range names {
		total += p.Mix[name]
	}
	if p.Rate > 0 {
		pl.quietly(rng, names, total)
	}
	for _, s := range p.Storms {
		for _, c := range rng.Perm(p.Population.Couples)[:s.Weddings] {
			pl.add(p.When(s.At), "timeline.updated", c, rng)
		}
	}
	slices.SortStableFunc(pl.arrivals, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	for i := range pl.arrivals {
		pl.name(i)
	}
	return pl
}

// quietly adds what arrives at random by the curve: a Poisson process whose rate is looked up at short steps.
func (pl *plan) quietly(rng *rand.Rand, names []string, total int) {
	const steps = 2000
	step := pl.profile.Lasts / steps
	for at, due := time.Duration(0), rng.ExpFloat64(); at < pl.profile.Lasts; at += step {
		rate := pl.profile.Rate * pl.profile.times(pl.profile.Story(at))
		for left := step; ; {
			if expected := rate * left.Seconds(); expected < due {
				due -= expected
				break
			}
			left -= time.Duration(due / rate * float64(time.Second))
			draw := rng.IntN(total)
			i := slices.IndexFunc(names, func(name string) bool { draw -= pl.profile.Mix[name]; return draw < 0 })
			pl.add(at+step-left, names[i], rng.IntN(len(pl.people.couples)), rng)
			due = rng.ExpFloat64()
		}
	}
}

func (pl *plan) add(at time.Duration, name string, c int, rng *rand.Rand) {
	channel, own := kinds()[name].channel(pl.people, &pl.people.couples[c], rng)
	pl.arrivals = append(pl.arrivals, arrival{at: at, kind: name, couple: c, channel: channel, to: pl.people.due(pl.routing, channel, name, own)})
}

// name gives an arrival its id. Of a webhook the node derives it: see eventID in edge/webhook/replay.go.
func (pl *plan) name(i int) {
	a := &pl.arrivals[i]
	a.id = fmt.Sprintf("%s-%d", pl.people.run, i)
	if kinds()[a.kind].way == byWebhook {
		a.webhook = a.id
		sum := sha256.Sum256([]byte(pl.people.integrations[pl.people.couples[a.couple].venue].id + "\x00" + a.webhook))
		a.id = "whk_" + hex.EncodeToString(sum[:16])
	}
}

// payload is what the arrival says.
func (pl *plan) payload(i int) []byte {
	a := &pl.arrivals[i]
	return payload(a.kind, &pl.people.couples[a.couple], pl.seed<<32+uint64(i)) // #nosec G115 -- it is an index
}
