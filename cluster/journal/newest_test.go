package journal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

func news(t *testing.T, j *journal.Journal, channels []string, after uint64) (map[string]uint64, uint64) {
	t.Helper()
	newest, upTo, err := j.News(t.Context(), channels, after)
	if err != nil {
		t.Fatalf("News after %d: %v", after, err)
	}
	return newest, upTo
}

func TestNews(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		if got, upTo := news(t, j, []string{"c:1"}, 0); len(got) != 0 || upTo != 0 {
			t.Errorf("of an empty log: %v up to %d", got, upTo)
		}
		var all []string
		want := map[string]uint64{}
		for i := range 2500 { // several pages
			all = append(all, fmt.Sprint("c:", i))
		}
		for i := range 30 {
			c := all[i*80]
			mustAppend(t, j, newEvent(c))
			want[c] = mustAppend(t, j, newEvent(c)).Seq
		}
		tip := mustAppend(t, j, newEvent("somebody:else")).Seq
		got, upTo := news(t, j, all, 0)
		if !maps.Equal(got, want) || upTo != tip {
			t.Errorf("News: %v up to %d, want %v up to %d", got, upTo, want, tip)
		}
		if got, upTo := news(t, j, all, 40); len(got) != 10 || upTo != tip {
			t.Errorf("News after 40: %v up to %d", got, upTo)
		}
		if got, upTo := news(t, j, all, tip); len(got) != 0 || upTo != tip {
			t.Errorf("News after all: %v up to %d", got, upTo)
		}
		if got, upTo := news(t, j, []string{"none"}, 0); len(got) != 0 || upTo != tip {
			t.Errorf("News of nothing: %v up to %d", got, upTo)
		}
		// The log's last event is gone.
		if err := j.DeleteEvent(t.Context(), tip); err != nil {
			t.Fatal(err)
		}
		if got, upTo := news(t, j, all, 50); len(got) != 5 || upTo != tip {
			t.Errorf("News without the last event: %v up to %d, want 5 up to %d", got, upTo, tip)
		}
	})
}

// An answer that is cut short says how far it goes.
func TestNewsOfLargeEvents(t *testing.T) {
	t.Parallel()
	j := open(t)
	var all []string
	for i := range 50 {
		ev := newEvent(fmt.Sprint("c:", i))
		ev.Payload = fmt.Appendf(nil, `{"x":"%0200000d"}`, 0)
		all = append(all, ev.Channel)
		mustAppend(t, j, ev)
	}
	seen, rounds := 0, 0
	for after := uint64(0); after < 50; rounds++ {
		got, upTo := news(t, j, all, after)
		if upTo <= after {
			t.Fatalf("after %d it is complete up to %d", after, upTo)
		}
		seen += len(got)
		after = upTo
	}
	if seen != 50 || rounds < 2 {
		t.Errorf("%d channels in %d answers, want 50 in several", seen, rounds)
	}
}

func TestNewsOfALogThatIsAway(t *testing.T) {
	t.Parallel()
	n, j, _ := patientLog(t, 100*time.Millisecond)
	n.stop()
	if _, upTo, err := j.News(t.Context(), []string{"a"}, 7); !errors.Is(err, journal.ErrUnavailable) || upTo != 7 {
		t.Errorf("up to %d, %v; want 7, ErrUnavailable", upTo, err)
	}
	if _, _, err := j.Bounds(t.Context()); !errors.Is(err, journal.ErrUnavailable) {
		t.Errorf("Bounds: %v, want ErrUnavailable", err)
	}
	n.start()
	receiveClosed(t, j.Resumed())
}

func receiveClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(within):
		t.Fatal("nothing is said")
	}
}

// Who reads at a node whose copy of the log is behind gets all that was appended at another one.
func TestClusterReadsWhatWasAppended(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	visitor := n.cfgs[0]
	visitor.Dir, visitor.Node = "", "edge"
	visitor.Cluster = &journal.Cluster{Servers: []string{n.cfgs[0].Cluster.Clients, n.cfgs[1].Cluster.Clients, n.cfgs[2].Cluster.Clients}}
	readers := append(n.nodes[:], openWith(t, visitor))
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprint("c:", i))
	}
	for i := range 300 {
		writer, reader := n.nodes[i%3], readers[(i/3)%4]
		c := all[i%len(all)]
		at := mustAppend(t, writer, newEvent(c))
		ctx, cancel := context.WithTimeout(t.Context(), within)
		entries, err := reader.History(ctx, c, at.Seq-1, 10)
		if err != nil || len(entries) != 1 || entries[0].Seq != at.Seq {
			t.Errorf("History after %d: %d events, %v", at.Seq-1, len(entries), err)
		}
		if last, err := reader.HistoryLast(ctx, c, 1); err != nil || len(last) != 1 || last[0].Seq != at.Seq {
			t.Errorf("HistoryLast: %d events, %v, want %d", len(last), err, at.Seq)
		}
		at = mustAppend(t, writer, newEvent(c))
		if ev, err := reader.EventAt(ctx, at.Seq); err != nil || ev.Seq != at.Seq || ev.Channel != c {
			t.Errorf("EventAt(%d): %+v, %v", at.Seq, ev, err)
		}
		at = mustAppend(t, writer, newEvent(c))
		for after := at.Seq - 1; ; {
			newest, upTo := news(t, reader, all, after)
			if newest[c] != 0 && newest[c] != at.Seq || upTo >= at.Seq && newest[c] != at.Seq {
				t.Fatalf("News after %d: %v, complete up to %d", after, newest, upTo)
			}
			if upTo >= at.Seq {
				break
			}
		}
		cancel()
	}
}

// Where a node is told that there are no more records there are none, also where the copy that answers is behind.
func TestClusterReadsAllRecords(t *testing.T) {
	t.Parallel()
	n := startTrio(t)
	readers := append(n.nodes[:], openWith(t, n.visitor()))
	for i := range 300 {
		must(t, n.nodes[i%3].Record(t.Context(), "", &event.Record{V: 1, Audit: &event.Audit{Action: "a", Target: fmt.Sprint(i)}}))
		last := uint64(i + 1)
		entries, err := readers[(i/3)%4].Records(t.Context(), last-1, 10, 0)
		if err != nil || len(entries) != 1 || entries[0].Seq != last {
			t.Fatalf("after %d there are %d records, %v", last-1, len(entries), err)
		}
		if entries, err := readers[(i/3)%4].Records(t.Context(), last, 10, 0); err != nil || len(entries) != 0 {
			t.Fatalf("after the last one there are %d records, %v", len(entries), err)
		}
	}
}
