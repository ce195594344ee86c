package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/wedsync/wedsync/loadtest/checker"
)

// Report is what came of a run. Durations are in milliseconds, times in seconds since the run's beginning.
type Report struct {
	Profile string    `json:"profile"`
	About   string    `json:"about"`
	Seed    uint64    `json:"seed"`
	Begun   time.Time `json:"begun"`
	Lasts   float64   `json:"lasts"`
	Story   [2]string `json:"story"` // the moments at which it begins and ends
	Nodes   []string  `json:"nodes"`
	// Processors are those of the machine that the load ran on.
	Processors int `json:"processors"`

	Passed   bool      `json:"passed"`
	Verdicts []Verdict `json:"verdicts"`

	Planned    int             `json:"planned"`   // events
	Publishes  *checker.Report `json:"publishes"` // and all that was wrong
	Deliveries Deliveries      `json:"deliveries"`
	ClickHouse *Compared       `json:"clickHouse"` // nil: the nodes have none
	Clients    Clients         `json:"clients"`
	Deaths     []*Death        `json:"deaths"`
	Faults     []Span          `json:"faults"`
	Missing    []Missing       `json:"missing,omitempty"`
	Strange    []string        `json:"strange,omitempty"` // what was noted, the first of it

	Accept  Quantiles            `json:"accept"` // from the intended time to the answer
	Live    Quantiles            `json:"live"`   // to a client
	Vendors map[string]Quantiles `json:"vendors"`

	Series Series `json:"series"`
}

// Verdict is a threshold and how it was met.
type Verdict struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	Met  bool   `json:"met"`
}

// Deliveries are those that followed from accepted events.
type Deliveries struct {
	Due       int     `json:"due"`
	Delivered int     `json:"delivered"`
	Dead      int     `json:"dead"`
	InTime    int     `json:"inTime"` // within the latency objective's limit, from the intended time
	Success   float64 `json:"success"`
	Calls     int     `json:"calls"`   // of vendors
	Refused   int     `json:"refused"` // those among them that vendors did not take
}

// Compared are ClickHouse's numbers beside the truth.
type Compared struct {
	Delivered int     `json:"delivered"`
	Dead      int     `json:"dead"`
	Success   float64 `json:"success"`
	Agrees    bool    `json:"agrees"`
	Detail    string  `json:"detail,omitempty"`
}

// Clients are the WebSocket clients.
type Clients struct {
	Connections   int     `json:"connections"`
	Subscriptions int     `json:"subscriptions"`
	Joined        float64 `json:"joined"` // seconds until all were subscribed
	Seen          int     `json:"seen"`   // events
	NotRecovered  int     `json:"notRecovered"`
}

// Span is a time in which something was broken on purpose.
type Span struct {
	What string  `json:"what"`
	From float64 `json:"from"`
	To   float64 `json:"to"`
}

// Quantiles of durations, in milliseconds.
type Quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

// Series is what the charts show, one value for each of Seconds.
type Series struct {
	Seconds []float64 `json:"seconds"`

	Planned  []float64 `json:"planned"` // events a second
	Accepted []float64 `json:"accepted"`
	NotTaken []float64 `json:"notTaken"` // publishes that were refused, failed or not answered
	Calls    []float64 `json:"calls"`    // of vendors, a second
	Refused  []float64 `json:"refused"`  // those that vendors did not take

	Success  []float64 `json:"success"`  // share of what was intended then that was delivered
	InTime   []float64 `json:"inTime"`   // within the latency objective's limit
	Attempts []float64 `json:"attempts"` // share of the calls that vendors took

	Seen    []float64 `json:"seen"`    // events at clients, a second
	Clients []float64 `json:"clients"` // subscriptions that stand
	LiveP50 []float64 `json:"liveP50"`
	LiveP99 []float64 `json:"liveP99"`

	Vendors map[string]*VendorSeries `json:"vendors"`
	Nodes   map[string]*NodeSeries   `json:"nodes"`
	CPU     []float64                `json:"cpu"`     // of the load itself
	Machine []float64                `json:"machine"` // processors of its machine that were busy; -1: not told
}

// VendorSeries is how a vendor's deliveries did.
type VendorSeries struct {
	P50     []float64 `json:"p50"`
	P99     []float64 `json:"p99"`
	Waiting []float64 `json:"waiting"` // accepted, and not there yet
	Open    []float64 `json:"open"`    // integrations whose breaker is open
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
}

// record notes a duration; longer ones than an hour count as one.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(1, d.Microseconds()), h.HighestTrackableValue())) // it is in range
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	ms := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1000 }
	return Quantiles{Count: h.TotalCount(), P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9), Max: float64(h.Max()) / 1000}
}
