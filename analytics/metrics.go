package analytics

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the recorder's.
type metrics struct {
	records, errors, unreadable, repaired prometheus.Counter
	lag, connected                        prometheus.Gauge
	batchRecords                          prometheus.Histogram
	insertSeconds                         *prometheus.HistogramVec
}

// newMetrics registers them, with nil nowhere.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "wedsync", Subsystem: "recorder", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "wedsync", Subsystem: "recorder", Name: name, Help: help})
	}
	m := &metrics{
		records:    counter("records_total", "Records committed to ClickHouse."),
		errors:     counter("errors_total", "Times that recording failed and is tried again."),
		unreadable: counter("unreadable_total", "Records that could not be decoded."),
		repaired:   counter("repaired_rows_total", "Rows inserted to finish interrupted batches."),
		lag:        gauge("lag_records", "Records in the log that are not in ClickHouse yet."),
		connected:  gauge("connected", "1 while records go to ClickHouse."),
		batchRecords: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "wedsync", Subsystem: "recorder", Name: "batch_records", Help: "Records in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 9), // 1 to 65,536
		}),
		insertSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "wedsync", Subsystem: "recorder", Name: "insert_seconds", Help: "Duration of an insert, by table.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11), // 1 ms to 9.5 s
		}, []string{"table"}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.records, m.errors, m.unreadable, m.repaired, m.lag, m.connected, m.batchRecords, m.insertSeconds,
	} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
