package journal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
)

// childDir names the environment variable that turns the test binary into a process that appends
// until it is killed.
const childDir = "WEDSYNC_JOURNAL_CHILD_DIR"

// child appends from many goroutines and writes the id of each event that was acknowledged.
func child(dir string) int {
	j, err := journal.Open(context.Background(), journal.Config{Dir: dir, Logger: zerolog.New(os.Stderr)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for caller := range 32 {
		wg.Go(func() {
			for {
				ev := newEvent("crash:" + strconv.Itoa(caller))
				a, err := j.Append(context.Background(), ev)
				if err == nil {
					err = j.Enqueue(context.Background(), newDelivery(a.Seq, "crm"), newHeld(a.Seq, "crm", "held", time.UnixMilli(1)))
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				_, err = fmt.Fprintln(os.Stdout, a.Seq, ev.ID)
				mu.Unlock()
				if err != nil {
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
	return 0
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[uint64]string{}
	for round := range 4 {
		killChild(t, dir, 200*(round+1), acknowledged)
	}
	j := openWith(t, journal.Config{Dir: dir, Logger: logger(t)})
	for seq, id := range acknowledged {
		if ev, err := j.EventAt(t.Context(), seq); err != nil || ev.ID != id {
			t.Fatalf("event %d was acknowledged as %s; now it is %v, %v", seq, id, ev, err)
		}
	}
	work := map[uint64]int{}
	s := mustShard(t, j, j.ShardOf("crm"))
	release(t, s, time.Now())
	for _, w := range deliveries(t, s, int(stream(t, j, "DL").Messages)) {
		work[w.Delivery.EventSeq]++
	}
	for seq := range acknowledged {
		if work[seq] != 2 {
			t.Fatalf("of event %d two deliveries were acknowledged, one of them held, and %d are there", seq, work[seq])
		}
	}
	t.Logf("%d acknowledged, %d stored", len(acknowledged), stream(t, j, "EV").Messages)
}

// killChild runs a child until it has acknowledged so many, kills it in the middle of its work, and
// adds what it had acknowledged by then.
func killChild(t *testing.T, dir string, count int, acknowledged map[uint64]string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for seen := 0; ; seen++ {
		if seen == count {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a last line that was cut short does not count
		}
		if err != nil {
			t.Fatal(err)
		}
		seq, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(seq, 10, 64)
		if err != nil {
			t.Fatalf("the child said %q", line)
		}
		acknowledged[n] = id
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v\n%s", err, stderr.String())
	}
}
