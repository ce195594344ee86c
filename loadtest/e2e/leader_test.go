package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
	"github.com/wedsync/wedsync/loadtest/wsclient"
)

// rideLimit is how long a request may take while the log's leader is killed, on a machine with other things to do.
const rideLimit = 20 * time.Second

// newTrio starts three nodes that are one system; edit changes how each is started.
func newTrio(ctx context.Context, t *testing.T, edit ...func(node int, c *nodeproc.Config)) []*station {
	t.Helper()
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails
	var seeds []string
	for range 3 {
		seeds = append(seeds, seed(t))
	}
	var all []*station
	for i, addr := range seeds {
		s := newStation(t, "--name", "n"+strconv.Itoa(i+1), "--bind", addr, "--join", strings.Join(seeds, ","),
			"--cluster-key", base64.StdEncoding.EncodeToString(raw), "--set", "clickhouse.dsn=off")
		for _, e := range edit {
			e(i, &s.cfg)
		}
		s.begin()
		all = append(all, s)
	}
	for _, s := range all {
		s.ready(ctx)
		s.api.HTTP.Timeout = time.Minute
	}
	return all
}

// seed is an address with a port that is free, as the two after it are.
func seed(t *testing.T) string {
	t.Helper()
	for {
		addr, err := nodeproc.FreeAddress()
		if err != nil {
			t.Fatal(err)
		}
		host, text, _ := net.SplitHostPort(addr)
		port, _ := strconv.Atoi(text)
		free := true
		for next := port + 1; next <= port+2; next++ {
			l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(next)))
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return addr
		}
	}
}

// leading returns which of the stations leads the log.
func leading(ctx context.Context, t *testing.T, all []*station) int {
	t.Helper()
	var members struct {
		Items []struct {
			Name string `json:"name"`
			Log  string `json:"log"`
		} `json:"items"`
	}
	at := -1
	until(ctx, t, "a leader of the log", func(ctx context.Context) (bool, string) {
		err := all[0].api.Call(ctx, http.MethodGet, "/api/cluster/members", nil, &members)
		for _, m := range members.Items {
			if m.Log == "leader" {
				n, _ := strconv.Atoi(strings.TrimPrefix(m.Name, "n"))
				at = n - 1
			}
		}
		return at >= 0, fmt.Sprintf("%+v, %v", members, err)
	})
	return at
}

// The node that leads the log is killed: whoever publishes at the others waits and succeeds, and whoever listens
// there gets all of it, once and in order.
func TestLeaderIsKilled(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	all := newTrio(ctx, t)
	gone := leading(ctx, t, all)
	left := []*station{all[(gone+1)%3], all[(gone+2)%3]}

	const channels = 8 // every other one is published on by WebSocket
	watchers := []*watcher{
		watch(ctx, t, left[0].node.WebSocketURL(), "one watcher", channels),
		watchBySDK(ctx, t, left[1].node.WebSocketURL(), "the SDK", channels),
	}
	var over atomic.Bool
	var publishing sync.WaitGroup
	accepted, longest := make([]int, channels), make([]time.Duration, channels)
	total := func() (n int) {
		watchers[0].mu.Lock()
		defer watchers[0].mu.Unlock()
		return watchers[0].count
	}
	for c := range channels {
		publish := publisherOn(ctx, t, left[c/2%2], c)
		publishing.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := 1; !over.Load(); i++ {
				begun := time.Now()
				if err := publish(i); err != nil {
					t.Errorf("%s, number %d, after %v: %v", channelName(c), i, time.Since(begun), err)
					return
				}
				accepted[c], longest[c] = i, max(longest[c], time.Since(begun))
				<-tick.C
			}
		})
	}
	if err := watchers[0].wait(ctx, 20*channels); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	all[gone].node.Kill()
	before := total()
	if err := watchers[0].wait(ctx, before+40*channels); err != nil {
		t.Error(err)
	}
	over.Store(true)
	publishing.Wait()
	took := slices.Max(longest)
	t.Logf("%v after the kill; the longest publish took %v", time.Since(killed).Round(time.Millisecond), took.Round(time.Millisecond))
	if took > rideLimit {
		t.Errorf("a publish took %v", took)
	}
	sum := 0
	for _, n := range accepted {
		sum += n
	}
	for _, w := range watchers {
		if err := w.wait(ctx, sum); err != nil {
			t.Error(err)
		}
		w.verify(t, accepted)
	}
}

// publisherOn publishes the event with a number on a channel, by HTTP or WebSocket.
func publisherOn(ctx context.Context, t *testing.T, s *station, channel int) func(number int) error {
	t.Helper()
	name := channelName(channel)
	if channel%2 == 0 {
		return func(number int) error { return s.api.Publish(ctx, name, bulky(eventID(channel, number), 0)) }
	}
	client, err := wsclient.Config{URL: s.node.WebSocketURL(), CommandTimeout: time.Minute}.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return func(number int) error {
		return client.Publish(ctx, name, wsclient.Event{Type: "a.b", ID: eventID(channel, number), Payload: json.RawMessage(`{}`)})
	}
}
