package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/wedsync/wedsync/cluster/journal"
)

// joined is a node at a topic.
type joined struct {
	topic *journal.Topic
	heard chan string
}

func join(t *testing.T, j *journal.Journal, knows ...string) joined {
	t.Helper()
	n := joined{heard: make(chan string, 100)}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var err error
	n.topic, err = j.Join(ctx, "test", func(data []byte) { n.heard <- string(data) }, func() (messages [][]byte) {
		for _, k := range knows {
			messages = append(messages, []byte(k))
		}
		return messages
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (n joined) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := receive(t, n.heard); got != w {
			t.Errorf("heard %q, want %q", got, w)
		}
	}
}

func TestTopic(t *testing.T) {
	t.Parallel()
	url := startNATS(t).url()
	open := func() *journal.Journal { return openWith(t, journal.Config{URL: url, Logger: logger(t)}) }
	begun := time.Now()
	a := join(t, open(), "1", "2", "3")
	if took := time.Since(begun); took > within/2 {
		t.Errorf("the first waits %v for the others", took)
	}
	b := join(t, open(), "1", "2", "3")
	b.hears(t, "1", "2", "3") // from the one, or the other
	c := join(t, open())
	c.hears(t, "1", "2", "3")
	a.topic.Leave()
	d := join(t, open()) // c says that it knows nothing, or b tells
	for i := range 3 {
		for _, n := range []joined{b, c, d} {
			if err := n.topic.Tell(fmt.Append(nil, "told ", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range []joined{b, c, d} {
		heard := map[string]int{}
		for len(heard) < 3 || heard["told 0"] < 2 || heard["told 1"] < 2 || heard["told 2"] < 2 {
			got := receive(t, n.heard)
			if strings.HasPrefix(got, "told ") {
				heard[got]++
			}
		}
		if len(heard) != 3 {
			t.Errorf("heard %v", heard)
		}
	}
	if len(a.heard) != 0 {
		t.Error("who has left hears on")
	}
	if err := b.topic.Tell(make([]byte, journal.MaxTold+1)); !errors.Is(err, journal.ErrTooLarge) {
		t.Errorf("too much: %v, want ErrTooLarge", err)
	}
}

// Who answers with what is no answer keeps nobody from joining, nor does who does not answer.
func TestTopicWithoutAnswer(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	nc := connect(t, n)
	for name, respond := range map[string]func(*nats.Msg){
		"none":   func(*nats.Msg) {},
		"no end": func(m *nats.Msg) { _ = m.Respond([]byte("x")) },
	} {
		sub, err := nc.Subscribe("node.test.ask", respond)
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		j := openWith(t, journal.Config{URL: n.url(), Logger: logger(t).Level(5)})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		topic, err := j.Join(ctx, "test", func([]byte) { t.Errorf("%s: something is heard", name) }, func() [][]byte { return nil })
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		topic.Leave()
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
		closeJournal(t, j)
		if _, err := j.Join(t.Context(), "test", nil, nil); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("a closed log: %v, want ErrClosed", err)
		}
	}
}
