package analytics_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/wedsync/wedsync/analytics"
)

// How fast the recorder drains a log. Records come in the order in which things ended, with 2 rows each, or with 3 where
// each delivery takes some calls; that each is at any time of a day is the worst for the rollups, which then have a row
// for nearly each.
func BenchmarkRecorder(b *testing.B) {
	for name, s := range map[string]season{"calm": {days: 1, rate: 20_000, calm: true}, "failing": {days: 1, rate: 20_000}, "any order": {days: 1}} {
		s.base, s.vendors = newSeason().base, newSeason().vendors
		b.Run(name, func(b *testing.B) { benchmarkRecorder(b, s) })
	}
}

func benchmarkRecorder(b *testing.B, s season) {
	b.Helper()
	store, conn := newStore(b)
	const size = 400_000
	records := s.records(0, size)
	log := newLog()
	log.append(records...)
	want := wanted(records)
	var ours, theirs time.Duration
	b.ResetTimer()
	for n := range b.N {
		b.StopTimer()
		log.mu.Lock()
		log.epoch = "epoch-" + name()
		log.mu.Unlock()
		if n > 0 {
			for _, table := range []string{"attempts", "deliveries", "receipts", "audit", "slo_minutes", "slo_hours"} {
				if err := conn.Exec(b.Context(), "TRUNCATE TABLE "+table); err != nil {
					b.Fatal(err)
				}
			}
		}
		runtime.GC()
		node, server := cpuOf(b, os.Getpid()), cpuOf(b, engine.server.PID())
		b.StartTimer()
		r := run(b, store, log, analytics.RecorderConfig{})
		r.reaches(b, size, 5*time.Minute)
		b.StopTimer()
		ours += cpuOf(b, os.Getpid()) - node
		theirs += cpuOf(b, engine.server.PID()) - server
		r.stop()
		exactly(b, conn, want)
	}
	b.ReportMetric(float64(ours.Microseconds())/float64(size*b.N), "node-cpu-us/record")
	b.ReportMetric(float64(theirs.Microseconds())/float64(size*b.N), "engine-cpu-us/record")
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

// deliveriesEnv says among how many deliveries BenchmarkQuestions asks, such as 5000000,20000000; default a million.
const deliveriesEnv = "WEDSYNC_BENCH_DELIVERIES"

func deliveryNumbers(b *testing.B) []int {
	b.Helper()
	text := os.Getenv(deliveriesEnv)
	if text == "" {
		return []int{1_000_000}
	}
	var all []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// moreDeliveries has the tables hold n deliveries, where there are m already: of 30 days, of 1,000 integrations, 5,000
// channels and 20,000 weddings, any of which is at any time. They are made a day after the other, each with its rollups;
// those are without latencies, which no question reads, and by the minute for as long as these are kept.
func moreDeliveries(b *testing.B, conn driver.Conn, m, n int) {
	b.Helper()
	const days, keptMinutes = 30, 8
	ctx := clickhouse.Context(b.Context(), clickhouse.WithSettings(clickhouse.Settings{
		"max_partitions_per_insert_block": 0, "min_insert_block_size_bytes": 64 << 20, // what is sorted takes memory
	}))
	took := map[string]time.Duration{}
	do := func(what, statement string, args ...any) {
		began := time.Now()
		if err := conn.Exec(ctx, fmt.Sprintf(statement, args...)); err != nil {
			b.Fatal(err)
		}
		took[what] += time.Since(began).Round(time.Second / 10)
	}
	for day := range days {
		from, to := m+(n-m)*day/days, m+(n-m)*(day+1)/days
		do("raw", `INSERT INTO deliveries (finished_at, accepted_at, routed_at, delivery_id, event_id, event_type, outcome, reason,
				channel, vendor, category, integration, wedding_id, node, log_epoch, log_seq)
			SELECT now64(6) - toIntervalMicrosecond(toInt64(30 * 86400 * 1e6 / %d * (%d - number))) AS f, f - toIntervalMillisecond(rand(2) %% 100 = 0 ? 6000 : rand(3) %% 900) AS a, a,
				concat('dlv_', lower(hex(reinterpretAsFixedString(sipHash128(number))))), lower(hex(reinterpretAsFixedString(sipHash128(number, 1)))), concat('type.', toString(rand(4) %% 6)),
				if(rand(5) %% 300 = 0, 'dead', 'delivered') AS o, if(o = 'dead', concat('reason', toString(rand(6) %% 8)), ''),
				concat('supplier:dashboard:', toString(rand(7) %% 5000)), concat('vendor', toString(rand(8) %% 1000 %% 13)), concat('category', toString(rand(8) %% 1000 %% 9)),
				concat('i', toString(rand(8) %% 1000)), concat('couple-', toString(rand(9) %% 20000)), 'node', 'bench', number + 1
			FROM numbers_mt(%d, %d)`, n-m, n, from, to-from)
		for table, of := range map[string]string{"hour": "toStartOfHour", "minute": "toStartOfMinute"} {
			if table == "minute" && day < days-keptMinutes {
				continue
			}
			do(table+"s", `INSERT INTO slo_%[1]ss (%[1]s, dimension, key, log_epoch, delivered, dead, in_time, last_seq)
				SELECT %[2]s(finished_at) AS at, of.1, of.2, log_epoch, countIf(outcome = 'delivered'), countIf(outcome = 'dead'), countIf(outcome = 'delivered' AND latency_us <= 5000000), max(log_seq)
				FROM deliveries
				ARRAY JOIN [('overall', ''), ('vendor', toString(vendor)), ('category', toString(category)),
					('integration', toString(integration)), ('event_type', toString(event_type)), ('wedding', wedding_id)] AS of
				WHERE log_seq > %[3]d AND log_seq <= %[4]d AND finished_at > now() - INTERVAL %[5]d DAY AND finished_at < now() - INTERVAL %[6]d DAY
				GROUP BY at, of, log_epoch`, table, of, from, to, days-day+1, days-day-2)
		}
	}
	b.Logf("%d deliveries made: %v", n-m, took)
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
	made := 0
	for _, n := range deliveryNumbers(b) {
		moreDeliveries(b, conn, made, n)
		made = n
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchmarkQuestions(b, store) })
	}
}

func benchmarkQuestions(b *testing.B, store *analytics.Store) {
	b.Helper()
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
