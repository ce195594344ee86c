package analytics_test

import (
	"testing"
	"time"

	"github.com/wedsync/wedsync/analytics"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	dsn := freshDSN(t)
	store := openStore(t, dsn)
	log := newLog()
	r := run(t, store, log, analytics.RecorderConfig{BatchWait: time.Millisecond})
	records := newSeason().records(0, 3000)
	log.append(records[:1000]...)
	r.reaches(t, 1000, 30*time.Second)
	log.skip()
	log.append(records[1000:]...)
	r.reaches(t, 3001, 30*time.Second)
	exactly(t, connect(t, dsn), wanted(records))
	counts, err := store.Counts(t.Context())
	if err != nil || counts != wanted(records) {
		t.Errorf("Counts: %+v, %v; want %+v", counts, err, wanted(records))
	}
	s := r.Status()
	if !s.Connected || s.Position != 3001 || s.Lag != 0 || s.LastError != "" {
		t.Errorf("status %+v", s)
	}
}
