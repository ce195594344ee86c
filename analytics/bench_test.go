package analytics_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
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
