package journal_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

// leaseTTL is short, and long enough for a busy machine.
const leaseTTL = 600 * time.Millisecond

// comrade opens the log in a server as a node of its own, over a way of its own.
func comrade(tb testing.TB, n *natsServer, node string, change ...func(*journal.Config)) (*journal.Journal, *natstest.Relay) {
	tb.Helper()
	way := natstest.Between(tb, strings.TrimPrefix(n.url(), "nats://"))
	cfg := journal.Config{URL: way.URL(), Node: node, LeaseTTL: leaseTTL, Logger: logger(tb).Level(5)}
	for _, c := range change {
		c(&cfg)
	}
	return openWith(tb, cfg), way
}

// claims waits for the lease in another goroutine.
func claims(t *testing.T, j *journal.Journal, name string) <-chan *journal.Lease {
	t.Helper()
	claimed := make(chan *journal.Lease, 1)
	go func() {
		l, err := j.Leases().Claim(t.Context(), name)
		if err != nil && t.Context().Err() == nil {
			t.Errorf("Claim(%s): %v", name, err)
		}
		claimed <- l
	}()
	return claimed
}

func TestLease(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, j *journal.Journal) {
		t.Helper()
		a := mustClaim(t, j, "3")
		if a.Name != "3" || a.Epoch != 1 || !a.Valid() || a.Lost() {
			t.Errorf("the lease is %s, epoch %d, valid %t, lost %t", a.Name, a.Epoch, a.Valid(), a.Lost())
		}
		if other := mustClaim(t, j, "recorder"); other.Epoch != 1 || !a.Valid() {
			t.Errorf("another lease: epoch %d", other.Epoch)
		}
		again := mustClaim(t, j, "3")
		if again.Epoch != 2 || !again.Valid() || a.Valid() || !a.Lost() {
			t.Errorf("claimed again: epoch %d, valid %t; the one before: valid %t", again.Epoch, again.Valid(), a.Valid())
		}
		if err := a.Release(t.Context()); err != nil || !again.Valid() {
			t.Errorf("releasing the one before: %v; valid %t", err, again.Valid())
		}
		for range 2 {
			if err := again.Release(t.Context()); err != nil || !again.Lost() {
				t.Errorf("Release: %v", err)
			}
		}
		if err := again.Wait(t.Context()); !errors.Is(err, journal.ErrLost) {
			t.Errorf("waiting for one that was released: %v, want ErrLost", err)
		}
		if _, err := j.Shard(t.Context(), 3, again); !errors.Is(err, journal.ErrLost) {
			t.Errorf("taking a shard over with one that was released: %v, want ErrLost", err)
		}
		if l := mustClaim(t, j, "3"); l.Epoch != 3 {
			t.Errorf("claimed after the release: epoch %d, want 3", l.Epoch)
		}
		for _, bad := range []string{"", "node.n1", "a b"} {
			if _, err := j.Leases().Claim(t.Context(), bad); err == nil {
				t.Errorf("there is a lease %q", bad)
			}
		}
	})
}

// Of several that claim at once one has it, and the next one as soon as it is released.
func TestOneHasTheLease(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	const nodes = 3
	claimed := make(chan *journal.Lease, nodes)
	for i := range nodes {
		j := openWith(t, journal.Config{URL: n.url(), Node: fmt.Sprint("n", i), Logger: logger(t), LeaseTTL: time.Hour})
		go func() {
			l, err := j.Leases().Claim(t.Context(), "0")
			if err != nil {
				t.Error(err)
			}
			claimed <- l
		}()
	}
	for i := range nodes {
		l := receive(t, claimed)
		if l == nil || l.Epoch != uint64(i+1) || !l.Valid() {
			t.Fatalf("claim %d: %+v", i+1, l)
		}
		select {
		case other := <-claimed:
			t.Fatalf("epoch %d was claimed while %d is held", other.Epoch, l.Epoch)
		default:
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A node that comes back has its own at once, and whoever waits for the rest has that.
func TestLeasesOfANodeThatComesBack(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	forLong := func(c *journal.Config) { c.LeaseTTL = time.Hour } // nobody lives to see them end by themselves
	a, _ := comrade(t, n, "a", forLong)
	b, _ := comrade(t, n, "b", forLong)
	const count = 8
	for i := range count {
		mustClaim(t, a, journal.ShardLease(i))
	}
	closeJournal(t, a)
	var all []<-chan *journal.Lease
	for i := range count - 1 {
		all = append(all, claims(t, b, journal.ShardLease(i)))
	}
	back, _ := comrade(t, n, "a", forLong)
	if own := mustClaim(t, back, journal.ShardLease(count-1)); own.Epoch != 2 {
		t.Errorf("a's own: epoch %d, want 2", own.Epoch)
	}
	for _, c := range all { // of a session that is over now
		if l := receive(t, c); l.Epoch != 2 {
			t.Errorf("epoch %d, want 2", l.Epoch)
		}
	}
}

// A node that is gone is waited for as long as its leases are valid.
func TestLeasesOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	b, _ := comrade(t, n, "b")
	mustClaim(t, a, "0")
	closeJournal(t, a)
	begun := time.Now()
	l := receive(t, claims(t, b, "0"))
	if took := time.Since(begun); l.Epoch != 2 || took < leaseTTL/2 {
		t.Errorf("epoch %d after %v; the lease may have been valid for %v", l.Epoch, took, leaseTTL)
	}
}

// A holder that is cut off stops in time, and goes on as if nothing had been if nobody wanted its leases.
func TestLeaseLapses(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a")
	l := mustClaim(t, a, "0")
	while, end := l.Context(t.Context())
	defer end()
	way.Hold(true, true)
	receive(t, while.Done())
	if l.Valid() || l.Lost() {
		t.Errorf("valid %t, lost %t", l.Valid(), l.Lost())
	}
	way.Hold(false, false)
	if err := l.Wait(t.Context()); err != nil || l.Epoch != 1 {
		t.Errorf("after the connection is back: %v", err)
	}
	if other := mustClaim(t, a, "0"); other.Epoch != 2 {
		t.Errorf("epoch %d: somebody else has claimed it", other.Epoch)
	}
}

// A holder that was cut off for long has lost its leases, and gets them again when they are free.
func TestLeaseIsTakenFromWhoIsCutOff(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a")
	b, _ := comrade(t, n, "b")
	l, kept := mustClaim(t, a, "0"), mustClaim(t, a, "1")
	way.Hold(true, true)
	theirs := receive(t, claims(t, b, "0"))
	if l.Valid() || kept.Valid() || theirs.Epoch != 2 {
		t.Errorf("epoch %d is claimed while the one before is valid: %t", theirs.Epoch, l.Valid())
	}
	way.Hold(false, false)
	for _, lease := range []*journal.Lease{l, kept} { // the session is over, and all that was held under it
		if err := lease.Wait(t.Context()); !errors.Is(err, journal.ErrLost) {
			t.Errorf("the one who was cut off waits: %v, want ErrLost", err)
		}
	}
	if other := mustClaim(t, a, "1"); other.Epoch != 2 {
		t.Errorf("claimed again: epoch %d", other.Epoch)
	}
	again := claims(t, a, "0")
	if err := theirs.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, again); got.Epoch != 3 {
		t.Errorf("after it was released: epoch %d, want 3", got.Epoch)
	}
}

// Whoever cannot see the renewals takes nothing: the comparison fails.
func TestLeaseIsNotTakenByWhoIsCutOff(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	b, way := comrade(t, n, "b")
	l := mustClaim(t, a, "0")
	mine := mustClaim(t, b, "1")
	waiting := claims(t, b, "0")
	way.Hold(true, true)
	while, end := mine.Context(t.Context())
	receive(t, while.Done())
	end()
	for range 3 { // b's own lease is over for so long
		other, end := mustClaim(t, a, "2").Context(t.Context())
		select {
		case <-other.Done():
		case <-time.After(leaseTTL):
		}
		end()
	}
	way.Hold(false, false)
	if err := mine.Wait(t.Context()); err != nil {
		t.Errorf("b's own lease: %v", err)
	}
	mustClaim(t, b, "3") // by now it has asked for a's, too
	if !l.Valid() || len(waiting) > 0 {
		t.Errorf("a's lease: valid %t, claimed %d", l.Valid(), len(waiting))
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	receive(t, waiting)
}

// What was given back is claimed even by whom the watch does not tell of it.
func TestLeaseIsClaimedWithoutTheWatch(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	b, way := comrade(t, n, "b")
	l := mustClaim(t, a, "0")
	mustClaim(t, a, "1") // a's session goes on
	mustClaim(t, b, "2")
	waiting := claims(t, b, "0")
	way.Suppress("MSG $KV.shards.")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	receive(t, waiting)
}

// A node that holds a copy of the leases may be stopped, and asked for them all the same: what is free is claimed
// without its answer.
func TestLeaseIsClaimedWithoutLooking(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a")
	b, theirs := comrade(t, n, "b")
	mustClaim(t, a, "0")
	mustClaim(t, b, "2")
	theirs.Suppress("Nats-Stream: KV_shards")
	way.Hold(true, true)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // a question is given up after ten
	defer cancel()
	if _, err := b.Leases().Claim(ctx, "0"); err != nil {
		t.Error(err)
	}
}

// What the log has as a node's and nobody there wants is given back: whoever claimed it, or gave it back, did not
// wait for the answer.
func TestLeaseThatNobodyWantsIsGivenBack(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, way := comrade(t, n, "a")
	b, _ := comrade(t, n, "b")
	kept, l := mustClaim(t, a, "0"), mustClaim(t, a, "1")
	way.Hold(true, false)
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), leaseTTL/8)
		t.Cleanup(cancel)
		return ctx
	}
	if err := l.Release(soon()); err == nil {
		t.Error("the lease was given back without an answer")
	}
	if _, err := a.Leases().Claim(soon(), "2"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Claim: %v", err)
	}
	way.Hold(false, false)
	mustClaim(t, b, "1") // a's session goes on: else it would never be free
	if l := mustClaim(t, b, "2"); l.Epoch != 2 {
		t.Errorf("epoch %d: a has not claimed it", l.Epoch)
	}
	if err := kept.Wait(t.Context()); err != nil {
		t.Fatalf("what was kept: %v", err)
	}
}

// At no time two leases of one name are valid, whoever is cut off when.
func TestOneLeaseIsValid(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	type sight struct {
		at    time.Time
		epoch uint64
	}
	var mu sync.Mutex
	var seen []sight
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	var ways []*natstest.Relay
	for _, node := range []string{"a", "b", "c"} {
		j, way := comrade(t, n, node, func(c *journal.Config) { c.LeaseTTL = 200 * time.Millisecond })
		ways = append(ways, way)
		tasks.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				l, err := j.Leases().Claim(ctx, "0")
				if err != nil {
					return
				}
				for !l.Lost() && ctx.Err() == nil {
					now := time.Now()
					if l.Valid() {
						mu.Lock()
						seen = append(seen, sight{now, l.Epoch})
						mu.Unlock()
					}
					<-tick.C
				}
			}
		})
	}
	epochs := func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) == 0 {
			return 0
		}
		return seen[len(seen)-1].epoch
	}
	for i := range 8 {
		before := epochs()
		for k, way := range ways {
			if k != i%len(ways) {
				continue
			}
			if i%2 == 0 {
				way.Hold(true, true)
			} else {
				way.Hold(false, true)
			}
		}
		waitForOr(epochs, before)
		ways[i%len(ways)].Hold(false, false)
	}
	cancel()
	tasks.Wait()
	slices.SortStableFunc(seen, func(x, y sight) int { return x.at.Compare(y.at) })
	if !slices.IsSortedFunc(seen, func(x, y sight) int { return cmp.Compare(x.epoch, y.epoch) }) {
		t.Error("a lease was valid after a later one was")
	}
	if last := seen[len(seen)-1].epoch; last < 3 {
		t.Errorf("the last epoch is %d: nothing was taken over", last)
	}
}

// waitForOr waits for a change, or for longer than a lease of 200 ms is valid.
func waitForOr(now func() uint64, before uint64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(500 * time.Millisecond); now() <= before && time.Now().Before(end); {
		<-tick.C
	}
}

// What cannot be read is nobody's: whoever wrote it cannot renew it.
func TestUnreadableLease(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, _ := comrade(t, n, "a")
	for key, value := range map[string]string{
		"0": "{", "1": `{"holder":"gone","session":7,"epoch":4}`, "2": `{"holder":"odd","session":7,"epoch":4}`, "node.odd": "{", "node.a": "[]",
	} {
		if _, err := bucket(t, a, "shards").Put(t.Context(), key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for name, epoch := range map[string]uint64{"0": 1, "1": 5, "2": 5} {
		if l := mustClaim(t, a, name); l.Epoch != epoch {
			t.Errorf("%s: epoch %d, want %d", name, l.Epoch, epoch)
		}
	}
	if err := bucket(t, a, "shards").Delete(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	if l := mustClaim(t, a, "0"); !l.Valid() {
		t.Error("a lease whose key was deleted cannot be claimed")
	}
}
