package ws_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/ws"
)

// An entry that was lost is seen although none comes after it.
func TestLostEntryWithoutAnother(t *testing.T) {
	t.Parallel()
	n, l := startBad(t, func(c *ws.Config) { c.CheckInterval = 20 * time.Millisecond })
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	l.set(func(l *badLog) { l.live = func(journal.Entry, func(journal.Entry)) {} })
	publishN(n, channel, 1, 3)
	wantNumbers(t, c, 1, 3)

	// The log may fail now and then, and the live feed may be whole all the time.
	l.set(func(l *badLog) {
		failures := 2
		l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
			failures--
			return nil, failures >= 0, errBad
		}
	})
	publishN(n, channel, 4, 6)
	wantNumbers(t, c, 4, 6)
	l.set(func(l *badLog) { l.live = nil })
	publishN(n, channel, 7, 100)
	wantNumbers(t, c, 7, 100)
}

// Live entries that were lost are read from the log before the next is delivered.
func TestGapIsMended(t *testing.T) {
	t.Parallel()
	n, l := startBad(t)
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	count := 0
	l.set(func(l *badLog) {
		l.live = func(e journal.Entry, fn func(journal.Entry)) {
			if count++; count%5 == 0 { // of each five, one arrives, and it twice
				fn(e)
				fn(e)
			}
		}
	})
	publishN(n, channel, 1, 1000)
	wantNumbers(t, c, 1, 1000)
	if got := metric(t, n, "wedsync_ws_gaps_total", "outcome", "mended"); got == 0 || got > 200 {
		t.Errorf("mended %v gaps, want some of 200", got)
	}
}

// The log may answer a moment behind; the gap is read again until it is whole.
func TestGapIsReadAgain(t *testing.T) {
	t.Parallel()
	n, l := startBad(t)
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	late := 3
	l.set(func(l *badLog) {
		first := true
		l.live = func(e journal.Entry, fn func(journal.Entry)) {
			if !first {
				fn(e)
			}
			first = false
		}
		l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
			late--
			return nil, late >= 0, nil
		}
	})
	publishN(n, channel, 1, 3)
	wantNumbers(t, c, 1, 3)
	if late > 0 {
		t.Errorf("the log was asked %d times less than it was late", late)
	}
}

// Where a gap cannot be read, subscribers are told to subscribe again, and then recover.
func TestGapThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, history := range map[string]func(context.Context, uint64) ([]journal.Entry, bool, error){
		"the log fails":      func(context.Context, uint64) ([]journal.Entry, bool, error) { return nil, true, errBad },
		"it is not in there": func(context.Context, uint64) ([]journal.Entry, bool, error) { return nil, true, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, l := startBad(t)
			c := dialConnected(t, n, all(t))
			start := c.subscribe(channel)
			l.set(func(l *badLog) {
				l.live = func(e journal.Entry, fn func(journal.Entry)) {
					if e.Prev != 0 {
						fn(e)
					}
				}
				l.history = history
			})
			publishN(n, channel, 1, 2)
			p := c.mustNext().Push
			if p.GetUnsubscribe().GetCode() != ws.UnsubscribeInsufficient || p.Channel != channel {
				t.Fatalf("got %v, want an unsubscribe push with %d", p, ws.UnsubscribeInsufficient)
			}
			if got := metric(t, n, "wedsync_ws_gaps_total", "outcome", "lost"); got != 1 {
				t.Errorf("gaps lost: %v, want 1", got)
			}
			l.set(func(l *badLog) { l.live, l.history = nil, nil })
			res := c.recover(channel, start.Offset, start.Epoch)
			if got := numbers(t, res.Publications); !res.Recovered || fmt.Sprint(got) != "[1 2]" {
				t.Errorf("recovered %v %v, want 1 and 2", res.Recovered, got)
			}
			n.publish(channel, `{"n":3}`)
			wantNumbers(t, c, 3, 3)
		})
	}
}

// Once the log no longer has what came right after a position, nothing is called recovered: whether
// something is missing cannot be known.
func TestRecoveryOfWhatIsGone(t *testing.T) {
	t.Parallel()
	n, l := startBad(t)
	seqs := publishN(n, channel, 1, 5)
	l.set(func(l *badLog) { l.first = seqs[3] })
	for i, want := range []bool{false, false, true, true, true} {
		if res := dialConnected(t, n, all(t)).recover(channel, seqs[i], n.journal.Epoch()); res.Recovered != want {
			t.Errorf("after event %d, with the log beginning at event 4: recovered %v, want %v", i+1, res.Recovered, want)
		}
	}
}

// What comes while a history is read is kept, and joined to it.
func TestHistoryIsJoinedToWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	n, l := startBad(t)
	publishN(n, channel, 1, 3)
	asked, goOn := make(chan struct{}), make(chan struct{})
	l.set(func(l *badLog) {
		once := false
		l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
			if !once {
				once = true
				close(asked)
				<-goOn
			}
			return nil, false, nil
		}
	})
	watcher := dialConnected(t, n, all(t))
	watcher.subscribe(channel)
	c := dialConnected(t, n, all(t))
	c.send(fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q,"recover":true,"epoch":%q}}`, channel, n.journal.Epoch()))
	<-asked
	publishN(n, channel, 4, 6)
	wantNumbers(t, watcher, 4, 6) // so they have come through the feed
	close(goOn)
	r := c.mustNext()
	if got := numbers(t, r.Subscribe.GetPublications()); fmt.Sprint(got) != "[1 2 3 4 5 6]" {
		t.Errorf("recovered %v, want 1 to 6", got)
	}
	n.publish(channel, `{"n":7}`)
	wantNumbers(t, c, 7, 7)
}

// A history that lags behind what the feed has shown is not taken for whole.
//
//nolint:tparallel // its parts come one after the other
func TestHistoryThatLags(t *testing.T) {
	t.Parallel()
	n, l := startBad(t)
	watcher := dialConnected(t, n, all(t))
	start := watcher.subscribe(channel)
	publishN(n, channel, 1, 3)
	wantNumbers(t, watcher, 1, 3)

	t.Run("for a moment", func(t *testing.T) {
		late := 2
		l.set(func(l *badLog) {
			l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
				late--
				return nil, late >= 0, nil
			}
		})
		res := dialConnected(t, n, all(t)).recover(channel, start.Offset, start.Epoch)
		if got := numbers(t, res.Publications); !res.Recovered || fmt.Sprint(got) != "[1 2 3]" {
			t.Errorf("recovered %v %v, want 1 to 3", res.Recovered, got)
		}
	})
	t.Run("for good", func(t *testing.T) {
		l.set(func(l *badLog) {
			l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) { return nil, true, nil }
		})
		c := dialConnected(t, n, all(t))
		r := c.do(fmt.Sprintf(`"subscribe":{"channel":%q,"recover":true,"offset":%d,"epoch":%q}`, channel, start.Offset, start.Epoch))
		if r.Error.GetCode() != ws.ErrInternal || !r.Error.Temporary {
			t.Errorf("reply %v, want the temporary error %d", r, ws.ErrInternal)
		}
	})
	t.Run("unseen until the next event", func(t *testing.T) {
		// Nobody was there when 4 came, so only what follows it can show that it is missing.
		watcher.ok(fmt.Sprintf(`"unsubscribe":{"channel":%q}`, channel))
		from := publishN(n, channel, 4, 5)[0]
		res := dialConnected(t, n, all(t))
		got := res.recover(channel, from-1, start.Epoch)
		if len(got.Publications) != 0 {
			t.Fatalf("recovered %v", got)
		}
		n.publish(channel, `{"n":6}`)
		if p := res.mustNext().Push; p.GetUnsubscribe().GetCode() != ws.UnsubscribeInsufficient {
			t.Errorf("got %v, want an unsubscribe push with %d", p, ws.UnsubscribeInsufficient)
		}
	})
}

// What may be held back is bounded, for a feed that reads a gap and for a client that joins one.
func TestTooMuchHeldBack(t *testing.T) {
	t.Parallel()
	t.Run("while a gap is read", func(t *testing.T) {
		t.Parallel()
		n, l := startBad(t)
		c := dialConnected(t, n, all(t))
		c.subscribe(channel)
		const events = 80 // 19 MB
		big := fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 240<<10))
		come, goOn := make(chan struct{}), make(chan struct{})
		l.set(func(l *badLog) {
			count := 0
			l.live = func(e journal.Entry, fn func(journal.Entry)) {
				if e.Prev != 0 {
					fn(e)
				}
				if count++; count == events {
					close(come)
				}
			}
			l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
				<-goOn
				return nil, true, nil // once more, and the feed sees how much it holds
			}
		})
		for range events {
			n.publish(channel, big)
		}
		<-come
		close(goOn)
		if p := c.mustNext().Push; p.GetUnsubscribe().GetCode() != ws.UnsubscribeInsufficient {
			t.Errorf("got %v, want an unsubscribe push with %d", p, ws.UnsubscribeInsufficient)
		}
	})
	t.Run("while a client joins", func(t *testing.T) {
		t.Parallel()
		n, l := startBad(t, func(c *ws.Config) { c.QueueBytes = 100 << 10 })
		big := fmt.Sprintf(`{"n":1,"x":%q}`, strings.Repeat("x", 60<<10))
		first := n.publish(channel, `{"n":0}`)
		n.publish(channel, `{"n":0}`)
		watcher := dialConnected(t, n, all(t))
		watcher.subscribe(channel)
		asked, goOn := make(chan struct{}), make(chan struct{})
		tell := sync.OnceFunc(func() { close(asked) }) // the sweep may ask too
		l.set(func(l *badLog) {
			l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) {
				tell()
				<-goOn
				return nil, false, nil
			}
		})
		c := dialConnected(t, n, all(t))
		c.send(fmt.Sprintf(`{"id":2,"subscribe":{"channel":%q,"recover":true,"offset":%d}}`, channel, first))
		<-asked
		for range 3 {
			n.publish(channel, big)
			watcher.mustNext()
		}
		close(goOn)
		if r := c.mustNext(); r.Id != 2 || r.Error.GetCode() != ws.ErrInternal || !r.Error.Temporary {
			t.Errorf("got %v, want the temporary error %d", r, ws.ErrInternal)
		}
		waitMetric(t, n, 1, "wedsync_ws_subscriptions")
	})
}

// Who waits for a feed that another client opens does not wait longer than a command may take.
func TestWaitingForAnotherToOpen(t *testing.T) {
	t.Parallel()
	n, l := startBad(t, func(c *ws.Config) { c.CommandTimeout = 300 * time.Millisecond })
	entered, goOn := make(chan struct{}), make(chan struct{})
	l.set(func(l *badLog) {
		l.bounds = func() error {
			close(entered)
			<-goOn
			return nil
		}
	})
	opener := dialConnected(t, n, all(t))
	opener.send(fmt.Sprintf(`{"id":7,"subscribe":{"channel":%q}}`, channel))
	<-entered
	l.set(func(l *badLog) { l.bounds = nil })
	c := dialConnected(t, n, all(t))
	if r := c.do(fmt.Sprintf(`"subscribe":{"channel":%q}`, channel)); r.Error.GetCode() != ws.ErrInternal {
		t.Errorf("got %v, want the temporary error %d", r, ws.ErrInternal)
	}
	close(goOn)
	opener.mustNext()
	c.subscribe("another")
}

// When the log does not answer, subscribing fails for now, and works afterwards.
func TestLogFailures(t *testing.T) {
	t.Parallel()
	n, l := startBad(t, func(c *ws.Config) { c.CommandTimeout = 5 * time.Second })
	seq := n.publish(channel, `{"n":1}`)
	n.publish(channel, `{"n":2}`)
	c := dialConnected(t, n, all(t))
	fail := func() error { return errBad }
	for name, fault := range map[string]func(*badLog){
		"live":   func(l *badLog) { l.listen = fail },
		"bounds": func(l *badLog) { l.bounds = fail },
		"history": func(l *badLog) {
			l.history = func(context.Context, uint64) ([]journal.Entry, bool, error) { return nil, true, errBad }
		},
	} {
		l.set(fault)
		r := c.do(fmt.Sprintf(`"subscribe":{"channel":%q,"recover":true,"offset":%d}`, channel, seq))
		if r.Error.GetCode() != ws.ErrInternal || !r.Error.Temporary {
			t.Errorf("%s: reply %v, want the temporary error %d", name, r, ws.ErrInternal)
		}
		if name != "live" {
			r = c.do(fmt.Sprintf(`"history":{"channel":%q,"limit":1}`, channel))
			if r.Error.GetCode() != ws.ErrInternal || !r.Error.Temporary {
				t.Errorf("%s: reply %v, want the temporary error %d", name, r, ws.ErrInternal)
			}
		}
		l.set(func(l *badLog) { l.listen, l.bounds, l.history = nil, nil, nil })
		if got := metric(t, n, "wedsync_ws_feeds") + metric(t, n, "wedsync_ws_subscriptions"); got != 0 {
			t.Errorf("%s: feeds and subscriptions are left: %v", name, got)
		}
	}
	if res := c.recover(channel, seq, ""); !res.Recovered || len(res.Publications) != 1 {
		t.Errorf("afterwards: %v", res)
	}
}

// An entry that is not JSON would break every client's parser; the next one is unharmed.
func TestEntryThatIsNotJSON(t *testing.T) {
	t.Parallel()
	n, l := startBad(t)
	c := dialConnected(t, n, all(t))
	c.subscribe(channel)
	l.set(func(l *badLog) {
		l.live = func(e journal.Entry, fn func(journal.Entry)) {
			if e.Prev == 0 {
				e.Data = []byte(`{"n":`)
			}
			fn(e)
		}
	})
	publishN(n, channel, 1, 2)
	wantNumbers(t, c, 2, 2)

	l.set(func(l *badLog) {
		l.history = func(ctx context.Context, after uint64) ([]journal.Entry, bool, error) {
			entries, err := l.Journal.History(ctx, channel, after, 2)
			entries[0].Data = []byte(`hello`)
			return entries, true, err
		}
	})
	if res := c.ok(fmt.Sprintf(`"history":{"channel":%q,"limit":2}`, channel)); len(res.History.Publications) != 1 {
		t.Errorf("history %v, want the second event alone", res.History.Publications)
	}
}
