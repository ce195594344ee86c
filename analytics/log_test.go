package analytics_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// The log was restored from a backup: records that ClickHouse has are gone from it, and their
// sequences are given to others. The others are recorded, too.
func TestLogSetBack(t *testing.T) {
	t.Parallel()
	season := newSeason()
	first, other := season.records(0, 1000), season.records(5000, 400)
	for name, c := range map[string]struct {
		to    uint64 // the log is set back to here
		after int    // and this many others are logged before the recorder looks
		gone  int    // up to here, the old records are all there is of a batch
	}{
		"to the end of a batch":               {700, 0, 700},
		"into a batch":                        {650, 0, 600},
		"and grown beyond what it was":        {650, 400, 600},
		"and grown, but less":                 {700, 100, 700},
		"to nothing":                          {0, 0, 0},
		"into the last batch, grown past its": {950, 300, 900},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := freshDSN(t)
			log := newLog()
			cfg := quick()
			cfg.BatchRecords = 100
			log.append(first...)
			r := run(t, openStore(t, dsn), log, cfg)
			r.reaches(t, 1000, time.Minute)
			r.stop()

			log.setBack(c.to)
			log.append(other[:c.after]...)
			r = run(t, openStore(t, dsn), log, cfg)
			eventually(t, time.Minute, "it to go on", func() bool { return r.Status().Connected })
			log.append(other[c.after:]...)
			r.reaches(t, c.to+400, time.Minute)
			r.stop()
			want := wanted(first)
			for _, more := range [][]*event.Record{first[c.gone:c.to], other} {
				w := wanted(more)
				want.Attempts += w.Attempts
				want.Deliveries += w.Deliveries
				want.Receipts += w.Receipts
				want.Audit += w.Audit
			}
			exactly(t, connect(t, dsn), want)

			// And the next one goes on from there.
			r = run(t, openStore(t, dsn), log, cfg)
			r.reaches(t, c.to+400, time.Minute)
			log.append(season.record(9000))
			r.reaches(t, c.to+401, time.Minute)
		})
	}
}

// Records are erased from the log while there is no recorder: of those that ClickHouse has nothing changes, and
// each of the others that is left is recorded once.
func TestErasedFromTheLog(t *testing.T) {
	t.Parallel()
	records := newSeason().records(0, 400)
	for name, erased := range map[string][]uint64{
		"of an earlier batch":        {5, 99},
		"of the last batch":          {250, 251},
		"the last batch's last":      {300},
		"all of the last batch":      between(201, 300),
		"what was not recorded yet":  {301, 340},
		"from batch to what follows": between(290, 310),
		"the log's end":              between(391, 400),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := freshDSN(t)
			log := newLog()
			cfg := quick()
			cfg.BatchRecords = 100
			log.append(records[:300]...)
			r := run(t, openStore(t, dsn), log, cfg)
			r.reaches(t, 300, time.Minute)
			r.stop()

			log.append(records[300:]...)
			log.erase(erased...)
			r = run(t, openStore(t, dsn), log, cfg)
			r.reaches(t, 400, time.Minute)
			left := slices.Clone(records[:300])
			for i := 300; i < 400; i++ {
				if !slices.Contains(erased, uint64(i+1)) {
					left = append(left, records[i])
				}
			}
			exactly(t, connect(t, dsn), wanted(left))
		})
	}
}

func between(from, to uint64) (all []uint64) {
	for seq := from; seq <= to; seq++ {
		all = append(all, seq)
	}
	return all
}

// A log that was made anew begins with 1 again; its records are others.
func TestNewLog(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	records := newSeason().records(0, 200)
	for range 2 {
		log := newLog()
		log.append(records...)
		r := run(t, openStore(t, dsn), log, quick())
		r.reaches(t, 200, time.Minute)
		r.stop()
	}
	w := wanted(records)
	exactly(t, connect(t, dsn), analytics.Counts{Attempts: 2 * w.Attempts, Deliveries: 2 * w.Deliveries, Receipts: 2 * w.Receipts, Audit: 2 * w.Audit})
}

// clock is one that tests set.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// The log is purged of what was committed ten minutes ago, and not before; also after a restart, and
// also when nothing more comes.
func TestPurge(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log, c := newLog(), &clock{}
	cfg := quick()
	cfg.Now = c.now
	season := newSeason()
	first := func() uint64 { f, _, _ := log.RecordBounds(t.Context()); return f }

	r := run(t, openStore(t, dsn), log, cfg)
	log.append(season.records(0, 100)...)
	r.reaches(t, 100, time.Minute)
	c.advance(9 * time.Minute)
	log.append(season.records(100, 100)...)
	r.reaches(t, 200, time.Minute)
	c.advance(58 * time.Second) // 9:58 after the first hundred
	log.append(season.record(200))
	r.reaches(t, 201, time.Minute)
	if p := log.purges(); len(p) != 0 {
		t.Errorf("purged up to %v too early", p)
	}
	r.stop()

	// Another recorder goes by what it finds: the second hundred was proposed at 9:00, so the first
	// was committed by then.
	c.advance(9*time.Minute + 32*time.Second) // 19:30
	r = run(t, openStore(t, dsn), log, cfg)
	eventually(t, 30*time.Second, "the first hundred to be purged", func() bool { return first() == 101 })
	c.advance(11 * time.Minute)
	eventually(t, 30*time.Second, "everything to be purged", func() bool { return first() == 202 })
	r.stop()

	// An empty log is no reason to begin anew.
	log.append(season.record(201))
	r = run(t, openStore(t, dsn), log, cfg)
	r.reaches(t, 202, time.Minute)
	exactly(t, connect(t, dsn), wanted(season.records(0, 202)))
}

// A log that fails stops recording, is said in the status, and goes on afterwards.
func TestLogFails(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	log := newLog()
	r := run(t, openStore(t, dsn), log, quick())
	records := newSeason().records(0, 20)
	log.append(records[:10]...)
	r.reaches(t, 10, time.Minute)
	log.failWith(errTest)
	eventually(t, time.Minute, "the error in the status", func() bool {
		s := r.Status()
		return !s.Connected && strings.Contains(s.LastError, errTest.Error())
	})
	log.failWith(nil)
	log.append(records[10:]...)
	r.reaches(t, 20, time.Minute)
	exactly(t, connect(t, dsn), wanted(records))
}
