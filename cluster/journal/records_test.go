package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func isNotFound(err error) bool { return errors.Is(err, journal.ErrNotFound) }

func TestRecords(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		if rs, err := j.Records(t.Context(), 0, 10, 0); err != nil || len(rs) != 0 {
			t.Fatalf("%d records, %v; want none", len(rs), err)
		}
		const total = 2100
		for i := range total {
			id := fmt.Sprintf("dlv_%d:0", i)
			if i%100 == 0 {
				id = ""
			}
			for range 1 + i%2 { // twice: once
				if err := j.Record(t.Context(), id, newRecord(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
		}
		rs, err := j.Records(t.Context(), 0, 10_000, time.Minute)
		if err != nil || len(rs) != total {
			t.Fatalf("%d records, %v; want %d", len(rs), err, total)
		}
		for i, r := range rs {
			if r.Record.Audit.Target != fmt.Sprint(i) || !strings.Contains(string(r.Data), fmt.Sprintf(`"target":"%d"`, i)) || i > 0 && r.Seq <= rs[i-1].Seq {
				t.Fatalf("record %d is %+v: %s", i, r.Record.Audit, r.Data)
			}
		}
		if err := j.PurgeRecords(t.Context(), rs[99].Seq); err != nil {
			t.Fatal(err)
		}
		left, err := j.Records(t.Context(), 0, 1, 0)
		if err != nil || len(left) != 1 || left[0].Seq != rs[100].Seq {
			t.Errorf("after purging a hundred the first is %v, %v; want %d", left, err, rs[100].Seq)
		}
		if err := j.Record(t.Context(), "dlv_101:0", newRecord("again")); err != nil {
			t.Fatal(err)
		}
		if n := stream(t, j, "REC").Messages; n != total-100 {
			t.Errorf("%d records are left, want %d", n, total-100)
		}
	})
}

func TestRecordsWaits(t *testing.T) {
	t.Parallel()
	j := open(t)
	got := make(chan []journal.RecordEntry)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	go func() {
		rs, err := j.Records(ctx, 0, 10, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- rs
	}()
	if err := j.Record(t.Context(), "", newRecord("late")); err != nil {
		t.Fatal(err)
	}
	if rs := receive(t, got); len(rs) != 1 || rs[0].Record.Audit.Target != "late" {
		t.Errorf("got %v, want the late record", rs)
	}
	if err := j.Record(t.Context(), "", &event.Record{V: event.Version, Node: "n"}); err != nil {
		t.Fatal(err)
	}
	if rs, err := j.Records(ctx, 1, 10, time.Minute); err != nil || len(rs) != 1 || rs[0].Record != nil || !strings.Contains(string(rs[0].Data), `"node":"n"`) {
		t.Errorf("one that cannot be decoded is %v, %v; its reader is to say so", rs, err)
	}
	if rs, err := j.Records(ctx, 2, 10, time.Millisecond); err != nil || len(rs) != 0 {
		t.Errorf("when the wait is over: %v, %v; want neither", rs, err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() { _, err := j.Records(ctx, 1, 10, time.Hour); failed <- err }()
	cancel()
	if err := receive(t, failed); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: %v", err)
	}
	if err := j.Record(t.Context(), "a\nb", newRecord("x")); err == nil {
		t.Error("a message id with a line break is taken")
	}
}

// Another process's records have no way to wake the reader but its own looking.
func TestRecordsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	reader := openWith(t, journal.Config{URL: n.url(), Logger: logger(t)})
	writer := openWith(t, journal.Config{URL: n.url(), Logger: logger(t)})
	got := make(chan []journal.RecordEntry)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	go func() {
		rs, err := reader.Records(ctx, 0, 10, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- rs
	}()
	if err := writer.Record(t.Context(), "", newRecord("x")); err != nil {
		t.Fatal(err)
	}
	if rs := receive(t, got); len(rs) != 1 {
		t.Errorf("%d records, want 1", len(rs))
	}
	if reader.Epoch() != writer.Epoch() || reader.Epoch() == "" {
		t.Errorf("the epochs are %q and %q", reader.Epoch(), writer.Epoch())
	}
}
