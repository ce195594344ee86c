package journal_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
)

func TestLiveFollowsAChannel(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		mustAppend(t, j, newEvent("a:b.c")) // before: not heard of
		got := make(chan journal.Entry, 16)
		stop, err := j.Live("a:b.c", func(e journal.Entry) { got <- e })
		if err != nil {
			t.Fatal(err)
		}
		ev := newEvent("a:b.c")
		mustAppend(t, j, newEvent("a:b:c"))
		first := mustAppend(t, j, ev)
		mustAppend(t, j, ev) // a duplicate: not heard of again
		second := mustAppend(t, j, newEvent("a:b.c"))

		e := receive(t, got)
		stored, err := j.History(t.Context(), "a:b.c", first.Seq-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq != first.Seq || e.Prev != 1 || e.Channel != "a:b.c" || !bytes.Equal(e.Data, stored[0].Data) {
			t.Errorf("the first entry is %+v, want %d after 1 of a:b.c with the stored bytes", e, first.Seq)
		}
		if e := receive(t, got); e.Seq != second.Seq || e.Prev != first.Seq {
			t.Errorf("the second entry is %d after %d, want %d after %d", e.Seq, e.Prev, second.Seq, first.Seq)
		}
		stop()
		stop()
		again := make(chan journal.Entry, 1)
		stop, err = j.Live("a:b.c", func(e journal.Entry) { again <- e })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		third := mustAppend(t, j, newEvent("a:b.c"))
		if e := receive(t, again); e.Seq != third.Seq {
			t.Errorf("a new listener hears of %d, want %d", e.Seq, third.Seq)
		}
		if len(got) != 0 {
			t.Error("a stopped listener heard of an event")
		}
	})
}

func TestLivePatterns(t *testing.T) {
	t.Parallel()
	j := open(t)
	channels := []string{"supplier:dashboard:1", "supplier:dashboard:v1.2", "supplier:dashboard:1:x", "supplier:other:1", "couple:updates:1", "supplier"}
	patterns := map[string][]string{
		"**":                       channels,
		"*":                        {"supplier"},
		"supplier:**":              {"supplier:dashboard:1", "supplier:dashboard:v1.2", "supplier:dashboard:1:x", "supplier:other:1"},
		"supplier:*:1":             {"supplier:dashboard:1", "supplier:other:1"},
		"supplier:dashboard:{id}":  {"supplier:dashboard:1", "supplier:dashboard:v1.2"},
		"supplier:dashboard:v1.2":  {"supplier:dashboard:v1.2"},
		"supplier:dashboard:*:**":  {"supplier:dashboard:1:x"},
		"supplier:dashboard:v1:2":  nil,
		"supplier:dashboard:v1.2x": nil,
	}
	var mu sync.Mutex
	heard := map[string][]string{}
	total := 0
	for pattern, want := range patterns {
		total += len(want)
		stop, err := j.Live(pattern, func(e journal.Entry) {
			mu.Lock()
			defer mu.Unlock()
			heard[pattern] = append(heard[pattern], e.Channel)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	for _, c := range channels {
		mustAppend(t, j, newEvent(c))
	}
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, channels := range heard {
			n += len(channels)
		}
		return n >= total
	})
	mu.Lock()
	defer mu.Unlock()
	for pattern, want := range patterns {
		if !slices.Equal(heard[pattern], want) {
			t.Errorf("%s hears of %q, want %q", pattern, heard[pattern], want)
		}
	}
	for _, bad := range []string{"", "a:>", "a:**:b", "a b"} {
		if _, err := j.Live(bad, func(journal.Entry) {}); err == nil {
			t.Errorf("the pattern %q is taken", bad)
		}
	}
}

func TestLiveInOrderForMany(t *testing.T) {
	t.Parallel()
	j := open(t)
	const channels, each = 200, 20
	var done sync.WaitGroup
	done.Add(channels)
	for c := range channels {
		var last uint64
		var n int
		stop, err := j.Live(fmt.Sprintf("c:%d", c), func(e journal.Entry) {
			if e.Prev != last {
				t.Errorf("%s: %d follows %d, after %d", e.Channel, e.Seq, e.Prev, last)
			}
			last = e.Seq
			if n++; n == each {
				done.Done()
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	var wg sync.WaitGroup
	for c := range channels {
		wg.Go(func() {
			for range each {
				if _, err := j.Append(t.Context(), newEvent(fmt.Sprintf("c:%d", c))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	receive(t, finished)
	if n := status(t, j).LiveMissed; n != 0 {
		t.Errorf("%d entries were missed", n)
	}
}

// A listener that is too slow loses entries, is told so by Prev, and can read them from the history.
func TestLiveGapIsSeenAndFilled(t *testing.T) {
	t.Parallel()
	j := open(t)
	release := make(chan struct{})
	got := make(chan journal.Entry, 100_000)
	stop, err := j.Live("slow:one", func(e journal.Entry) {
		<-release
		got <- e
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const total = 9000 // more than may wait for a listener
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range total / 100 {
				if _, err := j.Append(t.Context(), newEvent("slow:one")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// One more event after those, once the lane has room again, tells that no more will come.
	close(release)
	waitFor(t, func() bool { return len(got)+int(status(t, j).LiveMissed) == total })
	missed := int(status(t, j).LiveMissed)
	if missed == 0 {
		t.Fatal("nothing was missed")
	}
	last := mustAppend(t, j, newEvent("slow:one"))
	var have []journal.Entry
	for e := receive(t, got); ; e = receive(t, got) {
		have = append(have, e)
		if e.Seq == last.Seq {
			break
		}
	}
	stop()
	if n := int(status(t, j).LiveMissed); n != missed {
		t.Errorf("%d entries were missed, and %d after the listener had gone", missed, n)
	}
	if len(have) != total-missed+1 {
		t.Errorf("heard of %d events, and missed %d of %d", len(have), missed, total+1)
	}
	gaps := 0
	for i := 1; i < len(have); i++ {
		if have[i].Prev != have[i-1].Seq {
			gaps++
			filled, err := j.History(t.Context(), "slow:one", have[i-1].Seq, int(have[i].Seq-have[i-1].Seq))
			if err != nil || len(filled) == 0 || filled[len(filled)-1].Seq != have[i].Seq {
				t.Fatalf("the gap before %d is not in the history: %v", have[i].Seq, err)
			}
		}
	}
	if gaps == 0 {
		t.Error("the gap does not show")
	}
}
