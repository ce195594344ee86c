package analytics_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics"
)

// kills is how often each test kills.
const kills = 20

// madeUpLog has a fixed number of made-up records and hands out a few at a time, so that recording
// them takes many batches. Every process that makes it has the same.
type madeUpLog struct {
	Name string    `json:"name"`
	Base time.Time `json:"base"`
	Size int       `json:"size"`
	Few  int       `json:"few"`
	DSN  string    `json:"dsn"`
}

var _ analytics.Source = madeUpLog{}

func (l madeUpLog) season() season {
	s := newSeason()
	s.base, s.days = l.Base, 3
	return s
}

func (l madeUpLog) Epoch() string { return l.Name }

func (l madeUpLog) Records(ctx context.Context, after uint64, limit int, wait time.Duration) ([]event.RecordEntry, error) {
	s := l.season()
	var entries []event.RecordEntry
	for seq := after + 1; seq <= uint64(l.Size) && len(entries) < min(limit, l.Few); seq++ {
		data, err := json.Marshal(s.record(int(seq)))
		if err != nil {
			return nil, err
		}
		entries = append(entries, event.RecordEntry{Seq: seq, Data: data})
	}
	if len(entries) > 0 {
		return entries, nil
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return nil, nil
}

func (l madeUpLog) RecordBounds(context.Context) (first, last uint64, err error) {
	return 1, uint64(l.Size), nil
}

func (l madeUpLog) SettleRecords(context.Context) error { return nil }

func (l madeUpLog) PurgeRecords(context.Context, uint64) error { return nil }

func (l madeUpLog) wanted() analytics.Counts {
	return wanted(l.season().records(1, l.Size))
}

// Batches of 40 records that follow each other at once: so a kill nearly always meets an insert.
func killConfig() analytics.RecorderConfig {
	return analytics.RecorderConfig{BatchRecords: 40, BatchWait: time.Microsecond}
}

// The engine is killed with -9 at random moments while records go into it.
func TestKilledClickHouse(t *testing.T) {
	t.Parallel()
	server := ownEngine(t)
	store := openStore(t, server.DSN())
	log := madeUpLog{Name: name(), Base: newSeason().base, Size: 20_000, Few: 40}
	r := run(t, store, log, killConfig())
	for n := range kills {
		target := r.Status().Position + mathrand.N(uint64(3*log.Few)) + 1
		r.reaches(t, target, time.Minute)
		soon()
		if err := syscall.Kill(server.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, time.Minute, "the engine to come back", func() bool { return server.Restarts() > n })
	}
	t.Logf("%d kills up to record %d of %d", kills, r.Status().Position, log.Size)
	finish(t, server.DSN(), log, r.stop)
}

// soon waits for a moment that is not the same each time: from before the next batch is written down
// until after it is committed.
func soon() { <-time.After(mathrand.N(30 * time.Millisecond)) }

// finish stops the recorder there was and lets another record the rest, in large batches.
func finish(t *testing.T, dsn string, log madeUpLog, stop func()) {
	t.Helper()
	stop()
	log.Few = log.Size
	r := run(t, openStore(t, dsn), log, analytics.RecorderConfig{BatchWait: time.Microsecond})
	r.reaches(t, uint64(log.Size), 2*time.Minute)
	conn := connect(t, dsn)
	exactly(t, conn, log.wanted())
	agree(t, conn)
}

// recorderEnv makes the test's program a recorder: of the log that it holds as JSON.
const recorderEnv = "WEDSYNC_TEST_RECORDER"

// maybeRecord is called first thing in TestMain. The recorder's process says its position after each
// batch, until it has recorded the log or is killed.
func maybeRecord() {
	text := os.Getenv(recorderEnv)
	if text == "" {
		return
	}
	err := func() error {
		var log madeUpLog
		if err := json.Unmarshal([]byte(text), &log); err != nil {
			return err
		}
		store, err := analytics.Open(context.Background(), log.DSN)
		if err != nil {
			return err
		}
		r, err := analytics.NewRecorder(store, log, killConfig())
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer cancel()
			for said := uint64(0); said < uint64(log.Size); <-time.After(time.Millisecond) {
				if p := r.Status().Position; p > said {
					said = p
					fmt.Println(p)
				}
			}
		}()
		return r.Run(ctx)
	}()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// The recorder's process is killed with -9 at random moments; the next one goes on.
func TestKilledRecorder(t *testing.T) {
	t.Parallel()
	log := madeUpLog{Name: name(), Base: newSeason().base, Size: 20_000, Few: 40, DSN: freshDSN(t)}
	text, err := json.Marshal(log)
	if err != nil {
		t.Fatal(err)
	}
	begin := func() (*exec.Cmd, *bufio.Scanner) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), recorderEnv+"="+string(text))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, bufio.NewScanner(out)
	}
	position := 0
	for n := range kills {
		cmd, out := begin()
		if !out.Scan() { // it has recorded something
			t.Fatalf("recorder %d ended by itself: %v", n, cmd.Wait())
		}
		if p, err := strconv.Atoi(strings.TrimSpace(out.Text())); err != nil || p < position {
			t.Fatalf("recorder %d begins at %q, after %d", n, out.Text(), position)
		} else {
			position = p
		}
		soon()
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	t.Logf("%d kills up to record %d of %d", kills, position, log.Size)
	finish(t, log.DSN, log, func() {})
}
