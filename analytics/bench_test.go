package analytics_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/analytics"
)

// How fast the recorder drains a log: records/s, with about 2.1 rows each, over one day's partition.
func BenchmarkRecorder(b *testing.B) {
	store, conn := newStore(b)
	s := newSeason()
	s.days = 1
	const size = 200_000
	records := s.records(0, size)
	log := newLog()
	log.append(records...)
	want := wanted(records)
	for n := range b.N {
		log.mu.Lock()
		log.epoch = "epoch-" + name()
		log.mu.Unlock()
		if n > 0 {
			for _, table := range []string{"attempts", "deliveries", "audit"} {
				if err := conn.Exec(b.Context(), "TRUNCATE TABLE "+table); err != nil {
					b.Fatal(err)
				}
			}
		}
		r := run(b, store, log, analytics.RecorderConfig{})
		r.reaches(b, size, 5*time.Minute)
		r.stop()
		exactly(b, conn, want)
	}
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(size)*float64(b.N)/seconds, "records/s")
	b.ReportMetric(float64(want.Attempts+want.Deliveries+want.Audit)*float64(b.N)/seconds, "rows/s")
}

func BenchmarkDecode(b *testing.B) {
	log := newLog()
	log.append(newSeason().records(0, 1000)...)
	entries, err := log.Records(b.Context(), 0, 1000, time.Second)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		e := entries[n%len(entries)]
		if _, err := analytics.Decode(e); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(e.Data)))
	}
}

// How long an SLO report by vendor takes over a month with a million deliveries.
func BenchmarkSLO(b *testing.B) {
	store, conn := newStore(b)
	err := conn.Exec(b.Context(), `INSERT INTO deliveries (finished_at, accepted_at, routed_at, delivery_id, outcome, vendor, integration, wedding_id, log_seq)
		SELECT now64(6) - toIntervalSecond(number * 2) AS f, f - toIntervalMillisecond(rand() % 6000) AS a, a,
			concat('dlv_', hex(MD5(toString(number)))), if(number % 300 = 0, 'dead', 'delivered'),
			concat('vendor', toString(number % 5)), concat('i', toString(number % 100)), concat('w', toString(number % 5000)), number
		FROM numbers(1000000) SETTINGS max_partitions_per_insert_block = 0`)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		report, err := store.SLO(b.Context(), analytics.SLOQuery{By: analytics.ByVendor, Now: time.Now().Add(time.Hour)})
		if err != nil || len(report.Rows) != 5 {
			b.Fatal(report, err)
		}
	}
}
