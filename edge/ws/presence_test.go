package ws_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/centrifugal/centrifuge-go"
	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/cluster/peers"
	"github.com/wedsync/wedsync/edge/ws"
	"github.com/wedsync/wedsync/loadtest/natstest"
)

// street is several nodes over one log, in one process: they hear each other through the log's server, and ask
// each other by calls. (Real ones ask over protoactor's remote, of which a process can have one; see loadtest/e2e.)
type street struct {
	mu    sync.Mutex
	doors map[string]peers.Handler
	away  string // does not answer
}

type neighbour struct {
	*journal.Journal
	street *street
	name   string
}

var _ ws.Nodes = neighbour{}

func (n neighbour) Others() []string {
	n.street.mu.Lock()
	defer n.street.mu.Unlock()
	var others []string
	for name := range n.street.doors {
		if name != n.name {
			others = append(others, name)
		}
	}
	return others
}

func (n neighbour) Handle(_ string, h peers.Handler) {
	n.street.mu.Lock()
	defer n.street.mu.Unlock()
	n.street.doors[n.name] = h
}

func (n neighbour) Ask(ctx context.Context, node, _ string, body []byte) ([]byte, error) {
	n.street.mu.Lock()
	h, away := n.street.doors[node], n.street.away == node
	n.street.mu.Unlock()
	if away {
		return nil, peers.ErrUnreachable
	}
	return h(ctx, n.name, body)
}

// startStreet starts nodes over one log.
func startStreet(t *testing.T, names []string, change ...func(*ws.Config)) (*street, []*node) {
	t.Helper()
	s, url := &street{doors: map[string]peers.Handler{}}, fmt.Sprintf("nats://127.0.0.1:%d", natstest.Serve(t).Options.Port)
	var nodes []*node
	for _, name := range names {
		j, err := journal.Open(t.Context(), journal.Config{URL: url, Shards: 1, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		change = append(change, func(c *ws.Config) { c.Nodes = neighbour{j, s, name} })
		nodes = append(nodes, startNode(t, j, change...))
	}
	return s, nodes
}

func watchToken(t *testing.T, user string) string {
	t.Helper()
	return sign(t, jwt.MapClaims{
		"sub": user, "channels": []string{"**"}, "presence": []string{"supplier:**"}, "info": map[string]string{"name": "The " + user},
	}, key)
}

// joinLeave subscribes and is told who comes and goes.
func (c *rawConn) joinLeave(channel string) {
	c.tb.Helper()
	c.ok(fmt.Sprintf(`"subscribe":{"channel":%q,"join_leave":true}`, channel))
}

// wantArrival returns the client that the next push tells of: that joined, or that left.
func (c *rawConn) wantArrival(user string, left bool) string {
	c.tb.Helper()
	p := c.mustNext().Push
	info := p.GetJoin().GetInfo()
	if left {
		info = p.GetLeave().GetInfo()
	}
	if p.GetChannel() != channel || info.GetUser() != user || string(info.GetConnInfo()) != `{"name":"The `+user+`"}` {
		c.tb.Fatalf("got %v, want %s, left %t", p, user, left)
	}
	return info.GetClient()
}

func TestPresence(t *testing.T) {
	t.Parallel()
	s, nodes := startStreet(t, []string{"n1", "n2", "n3"})
	here, there := dialRaw(t, nodes[0].addr), dialRaw(t, nodes[1].addr)
	id := here.connect(watchToken(t, "bride")).Client
	here.joinLeave(channel)
	if got := here.wantArrival("bride", false); got != id {
		t.Errorf("told of %s, want %s itself", got, id)
	}
	guest := there.connect(watchToken(t, "guest")).Client
	there.subscribe(channel)
	if got := here.wantArrival("guest", false); got != guest {
		t.Errorf("told of %s, want %s", got, guest)
	}
	again := dialRaw(t, nodes[1].addr) // the same user once more
	again.connect(watchToken(t, "guest"))
	again.subscribe(channel)
	here.wantArrival("guest", false)
	there.subscribe("supplier:**") // who listens to a pattern is on none of its channels

	// Each node tells the same, also one where nobody is.
	for i, n := range nodes {
		c := dialConnected(t, n, watchToken(t, "asks"))
		stats := c.ok(fmt.Sprintf(`"presence_stats":{"channel":%q}`, channel)).PresenceStats
		if stats.NumClients != 3 || stats.NumUsers != 2 {
			t.Errorf("n%d: %v, want 3 clients of 2 users", i+1, stats)
		}
		all := c.ok(fmt.Sprintf(`"presence":{"channel":%q}`, channel)).Presence.Presence
		if len(all) != 3 || all[id].GetUser() != "bride" || all[guest].GetUser() != "guest" || string(all[guest].GetConnInfo()) != `{"name":"The guest"}` {
			t.Errorf("n%d: %v", i+1, all)
		}
	}

	there.ok(fmt.Sprintf(`"unsubscribe":{"channel":%q}`, channel))
	if got := here.wantArrival("guest", true); got != guest {
		t.Errorf("%s left, want %s", got, guest)
	}
	_ = again.conn.Close()
	here.wantArrival("guest", true)

	// A node that does not answer is not passed over in silence.
	s.mu.Lock()
	s.away = "n2"
	s.mu.Unlock()
	for _, command := range []string{"presence", "presence_stats"} {
		if r := here.do(fmt.Sprintf(`%q:{"channel":%q}`, command, channel)); r.Error.GetCode() != ws.ErrInternal || !r.Error.GetTemporary() {
			t.Errorf("%s: %v, want a temporary error", command, r)
		}
	}
}

func TestPresenceIsGuarded(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	watcher := dialConnected(t, n, watchToken(t, "watcher"))
	for name, code := range map[string]uint32{"couple:updates:7": ws.ErrPermissionDenied, "a::b": ws.ErrUnknownChannel, "supplier:*": ws.ErrNotAvailable} {
		for _, command := range []string{"presence", "presence_stats"} {
			if r := watcher.do(fmt.Sprintf(`%q:{"channel":%q}`, command, name)); r.Error.GetCode() != code {
				t.Errorf("%s of %s: %v, want error %d", command, name, r, code)
			}
		}
	}
	// Whoever may not know who is there is not told, though it asks for it.
	watcher.joinLeave("couple:updates:7")
	watcher.joinLeave("supplier:*:*")
	other := dialConnected(t, n, watchToken(t, "other"))
	other.subscribe("couple:updates:7")
	other.subscribe(channel)
	n.publish("couple:updates:7", `{"n":1}`)
	if r := watcher.mustNext(); number(t, r.Push.GetPub().GetData()) != 1 {
		t.Errorf("got %v, want the publication only", r)
	}
	if r := watcher.ok(`"presence_stats":{"channel":"supplier:nobody:1"}`); r.PresenceStats.NumClients != 0 {
		t.Errorf("a channel with nobody: %v", r)
	}
}

// Whoever refreshes with a token that no longer allows to know who is there is told no more.
func TestPresenceEndsWithTheClaim(t *testing.T) {
	t.Parallel()
	n := startNode(t, openJournal(t))
	watcher := dialConnected(t, n, watchToken(t, "watcher"))
	watcher.joinLeave(channel)
	watcher.wantArrival("watcher", false)
	less := sign(t, jwt.MapClaims{"sub": "watcher", "channels": []string{"**"}}, key)
	watcher.ok(fmt.Sprintf(`"refresh":{"token":%q}`, less))
	other := dialConnected(t, n, watchToken(t, "other"))
	other.subscribe(channel)
	n.publish(channel, `{"n":1}`)
	if r := watcher.mustNext(); number(t, r.Push.GetPub().GetData()) != 1 {
		t.Errorf("got %v, want the publication only", r)
	}
}

// Of very many there are the numbers, and no list.
func TestPresenceOfMany(t *testing.T) {
	t.Parallel()
	const most = 20
	_, nodes := startStreet(t, []string{"n1", "n2"}, func(c *ws.Config) { c.MaxPresent = most })
	for i := range most + 1 { // some here, some there; more than are listed only together
		c := dialConnected(t, nodes[i%2], all(t))
		c.subscribe(channel)
	}
	for _, n := range nodes {
		c := dialConnected(t, n, all(t))
		if r := c.do(fmt.Sprintf(`"presence":{"channel":%q}`, channel)); r.Error.GetCode() != ws.ErrLimitExceeded {
			t.Errorf("presence of too many: %v", r)
		}
		if r := c.ok(fmt.Sprintf(`"presence_stats":{"channel":%q}`, channel)); r.PresenceStats.NumClients != most+1 || r.PresenceStats.NumUsers != 1 {
			t.Errorf("%v", r)
		}
	}
	for range most { // more than are listed at one node alone
		dialConnected(t, nodes[0], all(t)).subscribe(channel)
	}
	for _, n := range nodes {
		if r := dialConnected(t, n, all(t)).do(fmt.Sprintf(`"presence":{"channel":%q}`, channel)); r.Error.GetCode() != ws.ErrLimitExceeded {
			t.Errorf("presence of too many at one node: %v", r)
		}
	}
}

// The Go SDK is told of others, in both protocols.
func TestGoSDKPresence(t *testing.T) {
	t.Parallel()
	for _, protobuf := range []bool{false, true} {
		t.Run(fmt.Sprintf("protobuf %t", protobuf), func(t *testing.T) {
			t.Parallel()
			n := startNode(t, openJournal(t))
			s := startGoSDK(t, n, protobuf, func(c *centrifuge.Config) { c.Token = watchToken(t, "bride") })
			sub := s.subscribe(channel, func(c *centrifuge.SubscriptionConfig) { c.JoinLeave = true })
			if own := s.want("join").(centrifuge.ClientInfo); own.User != "bride" {
				t.Errorf("told of %+v", own)
			}
			guest := dialConnected(t, n, watchToken(t, "guest"))
			guest.subscribe(channel)
			joined := s.want("join").(centrifuge.ClientInfo)
			if joined.User != "guest" || string(joined.ConnInfo) != `{"name":"The guest"}` {
				t.Errorf("told of %+v", joined)
			}
			all, err := sub.Presence(t.Context())
			if err != nil || len(all.Clients) != 2 || all.Clients[joined.Client].User != "guest" {
				t.Errorf("presence %+v, %v", all, err)
			}
			stats, err := sub.PresenceStats(t.Context())
			if err != nil || stats.NumClients != 2 || stats.NumUsers != 2 {
				t.Errorf("stats %+v, %v", stats, err)
			}
			_ = guest.conn.Close()
			if left := s.want("leave").(centrifuge.ClientInfo); left.Client != joined.Client {
				t.Errorf("%+v left, want %+v", left, joined)
			}
		})
	}
}

// What another node could tell, of whatever version, is told on or passed over.
func FuzzArrivals(f *testing.F) {
	j := openJournal(f)
	heard := make(chan func([]byte), 1)
	n := startNode(f, j, func(c *ws.Config) {
		c.Nodes = eavesdropper{neighbour{j, &street{doors: map[string]peers.Handler{}}, "n1"}, heard}
	})
	tell := <-heard
	c := dialConnected(f, n, all(f))
	c.joinLeave(channel)
	c.mustNext()
	for _, seed := range []string{
		``, `{}`, `{"v":1,"arrivals":[{"channel":"supplier:dashboard:42","user":"u","client":"c","conn":{}}]}`,
		`{"v":2,"arrivals":[{"channel":"supplier:dashboard:42"}]}`, `{"v":1,"arrivals":[{"channel":"supplier:dashboard:42","conn":{\n},"left":true}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c.tb = t
		tell(data)
		c.ok(`"history":{"channel":"end"}`) // what was told before could be read
	})
}

type eavesdropper struct {
	neighbour
	heard chan<- func([]byte)
}

func (e eavesdropper) Join(ctx context.Context, topic string, heard func([]byte), present func() [][]byte) (*journal.Topic, error) {
	e.heard <- heard
	return e.neighbour.Join(ctx, topic, heard, present)
}
