package load

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// NodeSeries is how a node did, one value for each of Report.Seconds; -1 where it did not answer.
type NodeSeries struct {
	CPU         []float64 `json:"cpu"`         // processors that it kept busy
	Memory      []float64 `json:"memory"`      // resident, in MB
	Connections []float64 `json:"connections"` // of WebSocket clients
	InFlight    []float64 `json:"inFlight"`    // calls to vendors under way
	Queued      []float64 `json:"queued"`      // integrations that wait for a free call
}

// The metrics of a node that are looked at, by the names that GET /metrics gives them.
const (
	metricCPU         = "process_cpu_seconds_total"
	metricMemory      = "process_resident_memory_bytes"
	metricConnections = "wedsync_ws_connections"
	metricInFlight    = "wedsync_calls_in_flight"
	metricQueued      = "wedsync_integrations_queued"
)

// sampler looks at the nodes, and at this process, in steps.
type sampler struct {
	nodes []*node
	crowd *crowd
	begun time.Time
	step  time.Duration

	Seconds []float64
	Nodes   map[string]*NodeSeries
	Clients []float64 // subscriptions that stand
	CPU     []float64 // of this process: clients, vendors and the checker's notes
	Machine []float64 // processors of its machine that were busy, whoever kept them so; -1: not told
	last    map[string]float64
}

func newSampler(nodes []*node, c *crowd, begun time.Time, step time.Duration) *sampler {
	s := &sampler{nodes: nodes, crowd: c, begun: begun, step: step, Nodes: map[string]*NodeSeries{}, last: map[string]float64{}}
	for _, n := range nodes {
		s.Nodes[n.name] = &NodeSeries{}
	}
	return s
}

// run looks until ctx ends.
func (s *sampler) run(ctx context.Context) {
	tick := time.NewTicker(s.step)
	defer tick.Stop()
	for {
		s.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sampler) look(ctx context.Context) {
	now := time.Since(s.begun).Seconds()
	elapsed := s.step.Seconds()
	if n := len(s.Seconds); n > 0 {
		elapsed = now - s.Seconds[n-1]
	}
	s.Seconds = append(s.Seconds, now)
	s.Clients = append(s.Clients, float64(s.crowd.subscribed.Load()))
	s.CPU = append(s.CPU, s.rate("load", ownCPU(), elapsed))
	machine := -1.0
	if busy, ok := machineCPU(); ok {
		machine = s.rate("machine", busy, elapsed)
	}
	s.Machine = append(s.Machine, machine)
	for _, n := range s.nodes {
		m := n.metrics(ctx)
		series := s.Nodes[n.name]
		cpu, memory := -1.0, -1.0
		if total, ok := m[metricCPU]; ok {
			cpu, memory = s.rate("node "+n.name, total, elapsed), m[metricMemory]/1e6
		}
		series.CPU, series.Memory = append(series.CPU, cpu), append(series.Memory, memory)
		series.Connections = append(series.Connections, value(m, metricConnections))
		series.InFlight = append(series.InFlight, value(m, metricInFlight))
		series.Queued = append(series.Queued, value(m, metricQueued))
	}
}

// evenly puts samples into n steps, each the last one until the step's end: on a busy machine they come late, and some
// not at all.
func (s *sampler) evenly(n int) func(samples []float64) []float64 {
	of := make([]int, n)
	for i, k := 0, 0; i < n; i++ {
		for k+1 < len(s.Seconds) && s.Seconds[k+1] < float64(i+1)*s.step.Seconds() {
			k++
		}
		of[i] = k
	}
	return func(samples []float64) []float64 {
		even := make([]float64, n)
		for i, k := range of {
			even[i] = samples[k]
		}
		return even
	}
}

func value(m map[string]float64, name string) float64 {
	if v, ok := m[name]; ok {
		return v
	}
	return -1
}

// rate is how much a counter rose a second; 0 the first time, and after it began anew.
func (s *sampler) rate(name string, total, elapsed float64) float64 {
	before, known := s.last[name]
	s.last[name] = total
	if !known || total < before || elapsed <= 0 {
		return 0
	}
	return (total - before) / elapsed
}

// metrics asks a node for its numbers; none when it does not answer.
func (n *node) metrics(ctx context.Context) map[string]float64 {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	text, err := n.api.Send(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil
	}
	return parseMetrics(text)
}

// parseMetrics reads the numbers without labels of Prometheus' text format.
func parseMetrics(text []byte) map[string]float64 {
	found := map[string]float64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, number, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") || strings.Contains(name, "{") {
			continue
		}
		if v, err := strconv.ParseFloat(number, 64); err == nil {
			found[name] = v
		}
	}
	return found
}

// ownCPU is the processor time of this process, in seconds.
func ownCPU() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// userHertz is how many of its ticks /proc/stat counts in a second (sysconf(3), _SC_CLK_TCK).
const userHertz = 100

// machineCPU is how long the processors of this machine were busy, in seconds, by whomever; false where that is not told.
func machineCPU() (seconds float64, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return busyIn(text)
}

// busyIn reads the sum of proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
func busyIn(text []byte) (seconds float64, ok bool) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(line))
	const idle, iowait, steal = 4, 5, 8
	if len(fields) <= steal || fields[0] != "cpu" {
		return 0, false
	}
	for i, field := range fields[1 : steal+1] {
		ticks, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return 0, false
		}
		if i+1 != idle && i+1 != iowait {
			seconds += float64(ticks) / userHertz
		}
	}
	return seconds, true
}
