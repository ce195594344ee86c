package journal_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

// A disk without room to finish anything makes a node's part of the log useless, until there is room to begin something.
func TestFailedWithAFullDisk(t *testing.T) {
	t.Parallel()
	j := open(t)
	var free atomic.Int64
	j.SetDiskFree(&free)
	for _, step := range []struct {
		free   int64
		failed bool
	}{
		{j.DiskReserve() / 2, false},
		{j.DiskReserve()/2 - 1, true},
		{j.DiskReserve() - 1, true},
		{j.DiskReserve(), false},
		{j.DiskReserve() - 1, false},
	} {
		changed, before := j.FailedChanged(), j.Failed()
		free.Store(step.free)
		j.LookAgain()
		j.Examine()
		if err := j.Failed(); (err != nil) != step.failed || step.failed && !errors.Is(err, journal.ErrFull) {
			t.Errorf("with %d bytes left: %v, failed %t", step.free, err, step.failed)
		}
		if step.failed != (before != nil) {
			receive(t, changed)
		}
	}
}

// A log that has stopped itself says so, unasked.
func TestFailedWithoutALog(t *testing.T) {
	t.Parallel()
	n := startTrio(t, func(c *journal.Config) { c.Logger = c.Logger.Level(zerolog.Disabled) })
	j := n.nodes[0]
	changed := j.FailedChanged()
	if err := j.Failed(); err != nil {
		t.Fatal(err)
	}
	must(t, j.Disable())
	receive(t, changed)
	if err := j.Failed(); !errors.Is(err, journal.ErrStopped) || n.nodes[1].Failed() != nil {
		t.Errorf("%v, want ErrStopped", err)
	}
}
