package analytics_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/analytics"
	"github.com/wedsync/wedsync/analytics/queries"
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
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	before, theirs := time.Duration(usage.Utime.Nano()+usage.Stime.Nano()), cpuOf(b, engine.server.PID())
	b.ResetTimer()
	for n := range b.N {
		log.mu.Lock()
		log.epoch = "epoch-" + name()
		log.mu.Unlock()
		if n > 0 {
			for _, table := range []string{"attempts", "deliveries", "audit", "slo_minutes", "slo_hours"} {
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
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	ours := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	b.ReportMetric(float64((ours-before).Microseconds())/float64(size*b.N), "node-cpu-us/record")
	b.ReportMetric(float64((cpuOf(b, engine.server.PID())-theirs).Microseconds())/float64(size*b.N), "engine-cpu-us/record")
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(size)*float64(b.N)/seconds, "records/s")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", engine.server.PID()))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(kb)/1024, "engine-MiB")
		}
	}
	b.ReportMetric(float64(want.Attempts+want.Deliveries+want.Receipts+want.Audit)*float64(b.N)/seconds, "rows/s")
}

// cpuOf is the processor time that a process has used.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest) // from the third of the file on
	var ticks int
	for _, text := range fields[11:13] {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
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

// deliveriesEnv says how many deliveries BenchmarkQuestions asks about; default a million.
const deliveriesEnv = "WEDSYNC_BENCH_DELIVERIES"

// manyDeliveries fills the tables with deliveries of 30 days, of 1,000 integrations, 5,000 channels and 20,000 weddings,
// any of which is at any time.
func manyDeliveries(b *testing.B, conn driver.Conn) {
	b.Helper()
	n := 1_000_000
	if text := os.Getenv(deliveriesEnv); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	const chunk = 500_000
	var raw, rolled time.Duration
	for from := 0; from < n; from += chunk {
		began := time.Now()
		err := conn.Exec(b.Context(), fmt.Sprintf(`INSERT INTO deliveries (finished_at, accepted_at, routed_at, delivery_id, event_id, event_type, outcome, reason,
				channel, vendor, category, integration, wedding_id, node, log_epoch, log_seq)
			SELECT now64(6) - toIntervalMicrosecond(toInt64(30 * 86400 * 1e6 / %d * (%d - number))) AS f, f - toIntervalMillisecond(rand(2) %% 100 = 0 ? 6000 : rand(3) %% 900) AS a, a,
				concat('dlv_', lower(hex(MD5(toString(number))))), lower(hex(sipHash128(number))), concat('type.', toString(rand(4) %% 6)),
				if(rand(5) %% 300 = 0, 'dead', 'delivered') AS o, if(o = 'dead', concat('reason', toString(rand(6) %% 8)), ''),
				concat('supplier:dashboard:', toString(rand(7) %% 5000)), concat('vendor', toString(rand(8) %% 1000 %% 13)), concat('category', toString(rand(8) %% 1000 %% 9)),
				concat('i', toString(rand(8) %% 1000)), concat('couple-', toString(rand(9) %% 20000)), 'node', 'bench', number + 1
			FROM numbers(%d, %d) SETTINGS max_partitions_per_insert_block = 0`, n, n, from, min(chunk, n-from)))
		if err != nil {
			b.Fatal(err)
		}
		raw += time.Since(began)
		began = time.Now()
		err = conn.Exec(clickhouse.Context(b.Context(), clickhouse.WithParameters(clickhouse.Parameters{"limit": "5000000"}),
			clickhouse.WithSettings(analytics.RollUpSettings)),
			queries.RollUp+fmt.Sprintf(" AND log_seq > %d", from))
		if err != nil {
			b.Fatal(err)
		}
		rolled += time.Since(began)
	}
	b.Logf("%d deliveries: made in %v, rolled up in %v", n, raw.Round(time.Second), rolled.Round(time.Second))
	rows, err := conn.Query(b.Context(), "SELECT name, coalesce(total_rows, 0), coalesce(total_bytes, 0) FROM system.tables "+
		"WHERE database = currentDatabase() AND name IN ('deliveries', 'slo_minutes', 'slo_hours') ORDER BY name")
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		var count, bytes uint64
		if err := rows.Scan(&table, &count, &bytes); err != nil {
			b.Fatal(err)
		}
		b.Logf("%s: %d rows, %d MB", table, count, bytes>>20)
	}
}

// How long questions take over a month of deliveries: rollups are to answer within 100 ms, and what happened on one
// channel or to one integration within a day is to be found within 1 s.
func BenchmarkQuestions(b *testing.B) {
	store, conn := newStore(b)
	manyDeliveries(b, conn)
	now := time.Now()
	day := analytics.Page{Since: now.Add(-24 * time.Hour), Limit: 100}
	ask := func(name string, question func() (int, error)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if n, err := question(); n == 0 || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
	for _, by := range analytics.Dimensions() {
		ask("slo by "+string(by), func() (int, error) {
			report, err := store.SLO(b.Context(), analytics.SLOQuery{By: by, Now: now})
			return len(report.Rows), err
		})
		ask("burn by "+string(by), func() (int, error) {
			rows, err := store.Burn(b.Context(), analytics.SLOQuery{By: by, Now: now})
			return len(rows), err
		})
	}
	ask("a day of a channel", func() (int, error) {
		rows, _, err := store.Deliveries(b.Context(), analytics.DeliveryQuery{Channel: "supplier:dashboard:7", Page: day})
		return len(rows), err
	})
	ask("a day of an integration", func() (int, error) {
		rows, _, err := store.Deliveries(b.Context(), analytics.DeliveryQuery{Integration: "i7", Page: day})
		return len(rows), err
	})
}
