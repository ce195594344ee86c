package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// fill publishes events of so many bytes on a channel until one is refused, and returns how many were accepted and
// the refusal.
func fill(ctx context.Context, t *testing.T, api *nodeproc.Client, channel, limit, bytes int) (accepted int, refusal *nodeproc.StatusError) {
	t.Helper()
	for n := 1; n <= limit; n++ {
		err := api.Publish(ctx, channelName(channel), bulky(eventID(channel, n), bytes))
		if errors.As(err, &refusal) {
			return n - 1, refusal
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("the log took %d events and was not full", limit)
	return 0, nil
}

// TestEventLogFull fills the event log: publishers are told to come back later, what was accepted is
// delivered, and with more room the next events are taken.
func TestEventLogFull(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	st := newStation(t, "--clickhouse", "off", "--set", "log.eventBytes=16MiB")
	a := newSink(t, "a")
	st.start(ctx)
	connect(ctx, t, st.api, a)
	accepted, refusal := fill(ctx, t, st.api, 0, 1000, 60_000)
	var problem struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal(refusal.Body, &problem); err != nil {
		t.Errorf("the refusal %s: %v", refusal.Body, err)
	}
	seconds, err := strconv.Atoi(refusal.Header.Get("Retry-After"))
	if refusal.Status != http.StatusServiceUnavailable || problem.Status != refusal.Status || problem.Code != "log_full" || problem.Type == "" ||
		problem.Detail == "" || refusal.Header.Get("Content-Type") != "application/problem+json" || err != nil || seconds < 1 {
		t.Errorf("refused with %d, Retry-After %q, %s: %+v", refusal.Status, refusal.Header.Get("Retry-After"), refusal.Header.Get("Content-Type"), problem)
	}
	if err := a.Wait(ctx, accepted); err != nil {
		t.Error(err)
	}
	a.verify(t, []int{accepted})
	if _, again := fill(ctx, t, st.api, 1, 10, 60_000); again.Status != http.StatusServiceUnavailable {
		t.Errorf("delivered events stay for history, so the log is as full; answered %d", again.Status)
	}

	st.stop(ctx)
	st.flags("--set", "log.eventBytes=64MiB")
	st.start(ctx)
	l := newLoad(t, st.api, 2)
	l.begin(ctx, accepted+50, 0) // those that are there already are duplicates, and not delivered again
	l.wait()
	if err := a.Wait(ctx, l.total()); err != nil {
		t.Error(err)
	}
	if repeats := a.verify(t, l.byChannel()); repeats > 0 {
		t.Errorf("%d deliveries were made twice", repeats)
	}
	if got := int(l.duplicate.Load()); got != accepted {
		t.Errorf("%d events were known from before, want %d", got, accepted)
	}
	checkNoneDead(ctx, t, st)
	st.stop(ctx)
	t.Logf("%d events filled the log", accepted)
}

// TestMailboxesFull has a vendor that is down fill the log of waiting deliveries: events are taken all
// the same, and all are delivered in order once it is back, without any help.
func TestMailboxesFull(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	// What the sizes given leave of the store is shared by the others: 1.5 MiB for deliveries.
	st := newStation(t, append([]string{
		"--clickhouse", "off", "--set", "log.maxStore=36MiB", "--set", "log.eventBytes=16MiB", "--set", "log.recordBytes=16MiB",
	}, impatient...)...)
	down, steady := newSink(t, "down"), newSink(t, "steady")
	recovers := down.Faults().Add(vendors.Fault{Status: http.StatusServiceUnavailable})
	st.start(ctx)
	connect(ctx, t, st.api, down, steady)
	l := newLoad(t, st.api, 8)
	l.extra = 4000
	l.begin(ctx, 60, 0)
	l.wait()
	until(ctx, t, "the log refuses deliveries", func(context.Context) (bool, string) {
		said := st.said("routing an event: the log refused it; trying again")
		return len(said) > 0, fmt.Sprint(said)
	})
	recovers()
	for _, s := range []*sink{down, steady} {
		if err := s.Wait(ctx, l.total()); err != nil {
			t.Errorf("%s: %v", s.id, err)
		}
		s.verify(t, l.byChannel())
	}
	checkNoneDead(ctx, t, st)
	st.stop(ctx)
}

// TestRecordLogFull fills the record log where there is no ClickHouse to empty it: deliveries wait
// rather than go unrecorded, and with more room all are made and recorded once.
func TestRecordLogFull(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	// Some 1.2 MiB are left for records.
	st := newStation(t, "--clickhouse", "off", "--set", "log.maxStore=20MiB", "--set", "log.eventBytes=16MiB")
	a := newSink(t, "a")
	st.start(ctx)
	connect(ctx, t, st.api, a)
	l := newLoad(t, st.api, 8)
	l.begin(ctx, 250, 0)
	l.wait()
	until(ctx, t, "the log refuses records", func(context.Context) (bool, string) {
		said := st.said("ending a delivery: the log refused it; trying again")
		return len(said) > 0, fmt.Sprint(said)
	})
	st.stop(ctx)
	db := newDatabase(t)
	st.flags("--set", "log.maxStore=64MiB", "--clickhouse", db.dsn)
	st.start(ctx)
	if err := a.Wait(ctx, l.total()); err != nil {
		t.Error(err)
	}
	a.verify(t, l.byChannel())
	checkRecords(ctx, t, db.dsn, l.byChannel(), a)
	checkNoneDead(ctx, t, st)
	st.stop(ctx)
}
