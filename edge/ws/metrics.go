package ws

import (
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the package's numbers, all under wedsync_ws_.
type metrics struct {
	connections   prometheus.Gauge
	subscriptions prometheus.Gauge
	feeds         prometheus.Gauge
	refused       *prometheus.CounterVec // by reason, at the handshake
	closed        *prometheus.CounterVec // by close code
	commands      *prometheus.CounterVec // by command and reply code
	recoveries    *prometheus.CounterVec // by outcome
	published     prometheus.Counter     // entries of the log that were fanned out
	gaps          *prometheus.CounterVec // by outcome
	frames        prometheus.Counter
	messages      prometheus.Counter
	bytes         prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "wedsync", Subsystem: "ws", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "wedsync", Subsystem: "ws", Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(
			prometheus.CounterOpts{Namespace: "wedsync", Subsystem: "ws", Name: name, Help: help}, labels)
	}
	m := &metrics{
		connections:   gauge("connections", "WebSocket connections."),
		subscriptions: gauge("subscriptions", "Subscriptions of all connections."),
		feeds:         gauge("feeds", "Channels and patterns followed in the log."),
		refused:       counters("handshakes_refused_total", "Handshakes refused, by problem code.", "code"),
		closed:        counters("connections_closed_total", `Connections ended, by close code; "peer" and "lost" were not ended here.`, "code"),
		commands:      counters("commands_total", `Commands, by kind and by the code of the error reply ("ok" for none).`, "command", "code"),
		recoveries:    counters("recoveries_total", "Subscriptions that asked for what they missed.", "recovered"),
		published:     counter("publications_total", "Log entries fanned out, counted once for each channel or pattern."),
		gaps:          counters("gaps_total", "Gaps in the live feed, by what became of them.", "outcome"),
		frames:        counter("frames_total", "Replies and pushes written."),
		messages:      counter("messages_total", "WebSocket messages written; each joins one or more frames."),
		bytes:         counter("bytes_total", "Payload bytes written."),
	}
	for _, c := range []prometheus.Collector{
		m.connections, m.subscriptions, m.feeds, m.refused, m.closed, m.commands, m.recoveries,
		m.published, m.gaps, m.frames, m.messages, m.bytes,
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("ws: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) wrote(frames, bytes int) {
	m.frames.Add(float64(frames))
	m.messages.Inc()
	m.bytes.Add(float64(bytes))
}

func (m *metrics) command(kind string, code uint32) {
	label := "ok"
	if code != 0 {
		label = strconv.FormatUint(uint64(code), 10)
	}
	m.commands.WithLabelValues(kind, label).Inc()
}
