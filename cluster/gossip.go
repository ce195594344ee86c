package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/rs/zerolog"
)

var _ Membership = (*Gossip)(nil)

// Measured with 8 nodes that start at once: with 4 retransmissions, 100 ms apart, half of the starts need
// the next exchange, 5 to 10 s later; with these 80 of 80 were done within 0.7 s.
const (
	retransmitMult = 8
	gossipInterval = 50 * time.Millisecond
	streamTimeout  = 2 * time.Second // of a connection for an exchange, and of its reads and writes
	leaveTimeout   = time.Second     // of telling the others that this node goes

	// How many intervals a node is suspected before it is dead, and how many times that at the most, while no
	// others suspect it. With intervals of 200 ms, three nodes find a dead one within 0.8 to 1.2 s.
	suspicionMult, suspicionMaxMult = 3, 2
	reclaimTime                     = 200 * time.Millisecond // another address may have a dead node's name after it
)

// NameTakenError says that another node has this node's name.
type NameTakenError struct{ Name, Mine, Theirs string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the node name %q, of this node at %s, is another's, at %s, which is alive; give each node a name of its own, or stop the other one", e.Name, e.Mine, e.Theirs)
}

// ErrKeyRefused says that this node and those that it joins have no key in common.
var ErrKeyRefused = errors.New("the cluster does not take this node's cluster key")

// Gossip is the membership of a node in a cluster. Its methods are safe for concurrent use.
type Gossip struct {
	board
	cfg    GossipConfig
	log    zerolog.Logger
	roster *roster
	list   *memberlist.Memberlist
	addr   string

	stop    context.CancelFunc
	done    sync.WaitGroup // the goroutines that stop ends
	ended   atomic.Bool    // this node is no member any more
	over    chan struct{}  // closed when it is noted why
	err     error          // why
	leaving sync.Mutex     // memberlist cannot be left once it is shut down

	showing sync.Mutex // one view after the other
	telling sync.Mutex // one change after the other; guards self
	self    meta
}

// StartGossip makes this node a member: it listens, joins, and returns when the nodes that it has joined
// know it. Where nobody answers it returns too, and goes on trying. It returns a *NameTakenError when
// another node of the name is alive and does not go within cfg.NameWait, and ErrKeyRefused when all who
// answer have other keys. ctx is for the start alone; Leave or Close end the membership.
func StartGossip(ctx context.Context, cfg GossipConfig) (*Gossip, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Gossip{
		cfg: cfg, log: cfg.Logger, roster: newRoster(cfg.Name, cfg.Logger), over: make(chan struct{}),
		self: meta{Roles: cfg.Roles, Started: uint64(time.Now().UnixMilli()), Version: cfg.Version, Empty: cfg.Empty}, // #nosec G115 -- after 1970
	}
	g.self.setEndpoints(cfg.Endpoints)
	data, err := g.self.encode()
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.roster.tell(data)
	list, err := g.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	g.list, g.addr = list, list.LocalNode().Address()
	g.roster.listens(g.addr)
	g.publish()
	running, stop := context.WithCancel(context.Background())
	g.stop = stop
	g.done.Go(func() { g.follow(running) })
	s := seeker{Gossip: g}
	if err := s.start(ctx); err != nil {
		g.end(err)
		g.Close()
		return nil, err
	}
	g.done.Go(func() { s.run(running) })
	return g, nil
}

// listen opens memberlist on the addresses of the configuration.
func (g *Gossip) listen(ctx context.Context) (*memberlist.Memberlist, error) {
	c := memberlist.DefaultLANConfig()
	var err error
	if c.BindAddr, c.BindPort, err = ipPort(ctx, g.cfg.Bind); err != nil {
		return nil, fmt.Errorf("looking up Bind %q: %w", g.cfg.Bind, err)
	}
	c.AdvertisePort = c.BindPort
	if g.cfg.Advertise != "" {
		if c.AdvertiseAddr, c.AdvertisePort, err = ipPort(ctx, g.cfg.Advertise); err != nil {
			return nil, fmt.Errorf("looking up Advertise %q: %w", g.cfg.Advertise, err)
		}
	}
	c.Name, c.Keyring = g.cfg.Name, g.cfg.Keyring.gossip
	c.ProbeInterval, c.ProbeTimeout = g.cfg.ProbeInterval, g.cfg.ProbeInterval/2
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = suspicionMult, suspicionMaxMult
	c.PushPullInterval, c.DeadNodeReclaimTime = g.cfg.SyncInterval, reclaimTime
	c.GossipInterval, c.RetransmitMult, c.TCPTimeout = gossipInterval, retransmitMult, streamTimeout
	c.EnableCompression = false // what is sent is short
	c.Delegate, c.Events, c.Conflict, c.Merge = g.roster, g.roster, g.roster, g.roster
	c.LogOutput = newGossipLog(g.log)
	return memberlist.Create(c)
}

// ipPort looks up the first address of a host:port; no host is all addresses.
func ipPort(ctx context.Context, hostPort string) (ip string, port int, err error) {
	if strings.HasPrefix(hostPort, ":") {
		hostPort = "0.0.0.0" + hostPort
	}
	addrs, err := lookUp(ctx, hostPort)
	if err != nil {
		return "", 0, err
	}
	at, err := netip.ParseAddrPort(addrs[0])
	return at.Addr().String(), int(at.Port()), err
}

// Addr returns where others reach this node's gossip.
func (g *Gossip) Addr() string { return g.addr }

// follow shows what the roster has noted.
func (g *Gossip) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.roster.woke:
			g.publish()
		}
	}
}

func (g *Gossip) publish() {
	g.showing.Lock()
	defer g.showing.Unlock()
	v := NewView()
	if !g.ended.Load() {
		v = NewView(g.roster.members()...)
	}
	if !slices.Equal(v.members, g.View().members) {
		g.show(v)
	}
}

// SetState changes this node's state. When it returns this node's view has it; the others hear of it within
// some tenths of a second.
func (g *Gossip) SetState(s State) {
	_ = g.change(func(m *meta) { m.State = s }) // no longer than before: it fits
}

// SetHolding says that there is something of the log on this node's disk by now, as SetState does.
func (g *Gossip) SetHolding() {
	_ = g.change(func(m *meta) { m.Empty = false }) // no longer than before: it fits
}

// SetFailed says whether this node's part of the log does not work, as SetState does.
func (g *Gossip) SetFailed(failed bool) error {
	return g.change(func(m *meta) { m.Failed = failed })
}

// SetEndpoints changes where this node is reached, as SetState does. It fails if they are too long.
func (g *Gossip) SetEndpoints(e Endpoints) error {
	return g.change(func(m *meta) { m.setEndpoints(e) })
}

// change changes what this node says of itself.
func (g *Gossip) change(how func(*meta)) error {
	g.telling.Lock()
	defer g.telling.Unlock()
	changed := g.self
	how(&changed)
	if changed == g.self || g.ended.Load() {
		return nil
	}
	data, err := changed.encode()
	if err != nil {
		return err
	}
	g.self = changed
	g.roster.tell(data)
	_ = g.list.UpdateNode(time.Nanosecond) // it fails because it has not been sent often enough yet: it will be
	g.publish()
	return nil
}

// Wait waits until this node is no member any more, and sees none. It returns nil after Leave or Close, and a
// *NameTakenError when another node has its name now.
func (g *Gossip) Wait() error {
	<-g.over
	return g.err
}

// end notes that this node is no member any more, and why. It reports whether it was one.
func (g *Gossip) end(why error) bool {
	if !g.ended.CompareAndSwap(false, true) {
		return false
	}
	g.publish()
	g.err = why
	close(g.over)
	return true
}

// Leave tells the others that this node goes, as long as ctx allows, and closes. It can be called
// more than once.
func (g *Gossip) Leave(ctx context.Context) {
	g.telling.Lock()
	in := g.self.In
	g.telling.Unlock()
	g.leaving.Lock()
	if g.end(nil) && in { // or else the name is not this node's to take out
		timeout := leaveTimeout
		if until, ok := ctx.Deadline(); ok {
			timeout = max(time.Millisecond, min(timeout, time.Until(until)))
		}
		if err := g.list.Leave(timeout); err != nil {
			g.log.Debug().Err(err).Msg("telling the other nodes that this one leaves")
		}
	}
	g.leaving.Unlock()
	g.Close()
}

// Close ends the membership at once, as a crash would: others will find this node dead. It can be
// called more than once, and waits until all has ended.
func (g *Gossip) Close() {
	g.end(nil)
	g.stop()
	g.leaving.Lock()
	_ = g.list.Shutdown() // never fails
	g.leaving.Unlock()
	g.done.Wait()
}
