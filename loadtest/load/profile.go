package load

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed profiles/*.yaml
var builtIn embed.FS

// Profile says what happens in a run. The story has a time of its own, which is compressed into how long the run
// lasts; rates and what vendors wait are of the run's time.
type Profile struct {
	Name   string        `yaml:"-"`
	About  string        `yaml:"about"`
	Begins Moment        `yaml:"begins"` // of the story
	Ends   Moment        `yaml:"ends"`
	Lasts  time.Duration `yaml:"lasts"`  // the run
	Settle time.Duration `yaml:"settle"` // how long what was accepted may take to arrive after that; default 1m

	Rate  float64 `yaml:"rate"`  // events a second, in a quiet hour
	Curve []Point `yaml:"curve"` // times the rate; straight lines between

	Population Crowd             `yaml:"population"`
	Mix        map[string]int    `yaml:"mix"` // weights of event types
	Storms     []Storm           `yaml:"storms"`
	Edges      []EdgeDeath       `yaml:"edges"`
	Vendors    map[string]Vendor `yaml:"vendors"`

	Nodes      map[string]string `yaml:"nodes"` // settings of nodes that are started for the run
	Thresholds Thresholds        `yaml:"thresholds"`
}

// Point is how many times the quiet rate arrives at a moment.
type Point struct {
	At    Moment  `yaml:"at"`
	Times float64 `yaml:"times"`
}

// Crowd is who there is.
type Crowd struct {
	Couples      int    `yaml:"couples"`
	Suppliers    int    `yaml:"suppliers"`
	Integrations [2]int `yaml:"integrations"` // of a supplier, at least and at most
	Clients      int    `yaml:"clients"`      // WebSocket connections
}

// Storm moves many weddings in the same instant.
type Storm struct {
	About    string `yaml:"about"`
	At       Moment `yaml:"at"`
	Weddings int    `yaml:"weddings"`
}

// EdgeDeath has an edge die, and come back where it is one that was started for the run. Elsewhere the connections
// of one node are reset.
type EdgeDeath struct {
	About string `yaml:"about"`
	At    Moment `yaml:"at"`
	Back  Moment `yaml:"back"`
}

// Vendor is how a vendor behaves.
type Vendor struct {
	Latency Latency       `yaml:"latency"`
	Faults  []VendorFault `yaml:"faults"`
	// PerSecond and PerRecipient are limits of each integration; zero: the vendor's own.
	PerSecond    float64       `yaml:"perSecond"`
	PerRecipient time.Duration `yaml:"perRecipient"`
}

// Latency is a log-normal distribution.
type Latency struct {
	P50 time.Duration `yaml:"p50"`
	P99 time.Duration `yaml:"p99"`
}

// VendorFault is a time in which a vendor fails in a way.
type VendorFault struct {
	About      string        `yaml:"about"`
	From       Moment        `yaml:"from"`
	To         Moment        `yaml:"to"`
	Share      float64       `yaml:"share"` // of the calls; default 1
	Status     int           `yaml:"status"`
	RetryAfter time.Duration `yaml:"retryAfter"`
	Hang       bool          `yaml:"hang"`
	Reset      bool          `yaml:"reset"`
	LoseAnswer bool          `yaml:"loseAnswer"`
	Slower     time.Duration `yaml:"slower"`
}

// Thresholds are what a run must meet. Durations of zero are not looked at.
type Thresholds struct {
	Success    float64       `yaml:"success" json:"success"` // share of the deliveries
	Lost       int           `yaml:"lost" json:"lost"`
	Reordered  int           `yaml:"reordered" json:"reordered"`
	Wrong      int           `yaml:"wrong" json:"wrong"`
	NotAllowed int           `yaml:"notAllowed" json:"notAllowed"` // publishes that were refused, failed or too slow
	AcceptP99  time.Duration `yaml:"acceptP99" json:"acceptP99"`
	LiveP99    time.Duration `yaml:"liveP99" json:"liveP99"`
	Back       time.Duration `yaml:"back" json:"back"` // all clients, after an edge died
}

// Profiles are the names of the profiles that are built in.
func Profiles() []string {
	var names []string
	entries, _ := fs.ReadDir(builtIn, "profiles") // it is there: the build says so
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// ProfileText is a profile that is built in, or a file's.
func ProfileText(name string) ([]byte, error) {
	if slices.Contains(Profiles(), name) {
		return builtIn.ReadFile("profiles/" + name + ".yaml")
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no profile %q; use %s, or a file", name, strings.Join(Profiles(), ", "))
	}
	return text, err
}

// ReadProfile reads a profile that is built in, or a file.
func ReadProfile(name string) (*Profile, error) {
	text, err := ProfileText(name)
	if err != nil {
		return nil, err
	}
	p, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	p.Name = name
	return p, nil
}

// Parse reads a profile. What it does not know is an error.
func Parse(text []byte) (*Profile, error) {
	p := &Profile{Settle: time.Minute}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(p); errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty")
	} else if err != nil {
		return nil, err
	}
	err := p.validate()
	return p, err
}

// Bounds of a profile, far above what one process can do.
const (
	maxLasts   = 30 * 24 * time.Hour
	maxArrival = 10_000_000
	maxPeople  = 100_000
)

func (p *Profile) validate() error {
	switch c := p.Population; {
	case p.Ends <= p.Begins:
		return fmt.Errorf("ends is %s; it must be after begins, %s", p.Ends, p.Begins)
	case p.Lasts <= 0 || p.Lasts > maxLasts:
		return fmt.Errorf("lasts is %v; it must be more than 0, and at most %v", p.Lasts, maxLasts)
	case p.Settle <= 0:
		return fmt.Errorf("settle is %v; it must be more than 0", p.Settle)
	case p.Rate < 0 || p.Rate*p.Lasts.Seconds() > maxArrival:
		return fmt.Errorf("rate is %v; it must be at least 0, and not make more than %d events", p.Rate, maxArrival)
	case c.Couples < 1 || c.Couples > maxPeople || c.Suppliers < 1 || c.Suppliers > maxPeople || c.Clients < 0 || c.Clients > maxPeople:
		return fmt.Errorf("population: %d couples, %d suppliers, %d clients; there must be couples and suppliers, and at most %d of each", c.Couples, c.Suppliers, c.Clients, maxPeople)
	case c.Integrations[0] < 0 || c.Integrations[1] < c.Integrations[0] || c.Integrations[1] > len(supplierVendors()):
		return fmt.Errorf("population: integrations is %v; write the least and the most, up to %d", c.Integrations, len(supplierVendors()))
	case p.Thresholds.Success < 0 || p.Thresholds.Success > 1:
		return fmt.Errorf("thresholds: success is %v; it must be between 0 and 1", p.Thresholds.Success)
	}
	for i, at := range p.Curve {
		if at.Times < 0 || i > 0 && at.At < p.Curve[i-1].At {
			return fmt.Errorf("curve: %s, %v times: moments must rise, and times be at least 0", at.At, at.Times)
		}
	}
	total := 0
	for name, weight := range p.Mix {
		if _, ok := kinds()[name]; !ok || weight < 0 {
			return fmt.Errorf("mix: %s: %d; use weights of %s", name, weight, strings.Join(slices.Sorted(maps.Keys(kinds())), ", "))
		}
		total += weight
	}
	if total == 0 && p.Rate > 0 {
		return errors.New("mix: no type has a weight")
	}
	for i, s := range p.Storms {
		if s.Weddings < 1 || s.Weddings > p.Population.Couples || p.outside(s.At) {
			return fmt.Errorf("storms[%d]: %d weddings at %s; at most all %d, within the story", i, s.Weddings, s.At, p.Population.Couples)
		}
	}
	for i, e := range p.Edges {
		if p.outside(e.At) || e.Back < e.At || p.outside(e.Back) {
			return fmt.Errorf("edges[%d]: at %s, back %s; both must lie within the story, the second after the first", i, e.At, e.Back)
		}
	}
	return p.validateVendors()
}

func (p *Profile) validateVendors() error {
	for name, v := range p.Vendors {
		switch {
		case !slices.Contains(vendorNames(), name):
			return fmt.Errorf("vendors: %s is not simulated; use %s", name, strings.Join(vendorNames(), ", "))
		case v.Latency.P50 < 0 || v.Latency.P99 < v.Latency.P50:
			return fmt.Errorf("vendors: %s: latency has p50 %v and p99 %v", name, v.Latency.P50, v.Latency.P99)
		}
		for i, f := range v.Faults {
			switch {
			case p.outside(f.From) || p.outside(f.To) || f.To <= f.From:
				return fmt.Errorf("vendors: %s: faults[%d]: from %s to %s; both must lie within the story, the second after the first", name, i, f.From, f.To)
			case f.Share < 0 || f.Share > 1:
				return fmt.Errorf("vendors: %s: faults[%d]: share is %v; it must be between 0 and 1", name, i, f.Share)
			case f.Status == 0 && !f.Hang && !f.Reset && !f.LoseAnswer && f.Slower <= 0:
				return fmt.Errorf("vendors: %s: faults[%d]: nothing fails; give status, hang, reset, loseAnswer or slower", name, i)
			}
		}
	}
	return nil
}

func (p *Profile) outside(m Moment) bool { return m < p.Begins || m > p.Ends }

// When is the time since the run's beginning at which a moment of the story comes.
func (p *Profile) When(m Moment) time.Duration {
	return time.Duration(float64(p.Lasts) * float64(m-p.Begins) / float64(p.Ends-p.Begins))
}

// Story is the moment of the story at a time since the run's beginning.
func (p *Profile) Story(at time.Duration) Moment {
	return p.Begins + Moment(float64(p.Ends-p.Begins)*min(1, float64(at)/float64(p.Lasts)))
}

// times is how many times the quiet rate arrives at a moment.
func (p *Profile) times(m Moment) float64 {
	if len(p.Curve) == 0 {
		return 1
	}
	i := slices.IndexFunc(p.Curve, func(at Point) bool { return at.At > m })
	switch i {
	case 0:
		return p.Curve[0].Times
	case -1:
		return p.Curve[len(p.Curve)-1].Times
	}
	before, after := p.Curve[i-1], p.Curve[i]
	return before.Times + (after.Times-before.Times)*float64(m-before.At)/float64(after.At-before.At)
}

// With returns the profile with another length of the run (0: as it is) and number of clients (-1: as it is).
func (p *Profile) With(lasts time.Duration, clients int) (*Profile, error) {
	with := *p
	if lasts != 0 {
		with.Lasts = lasts
	}
	if clients >= 0 {
		with.Population.Clients = clients
	}
	return &with, with.validate()
}
