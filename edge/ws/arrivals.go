package ws

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

const (
	// arrivalsTopic is where the nodes tell each other who comes and goes.
	arrivalsTopic = "arrivals"
	// tellEvery is how long arrivals are gathered before the other nodes are told.
	tellEvery = 20 * time.Millisecond
	// toldBytes is about how much is told in one message; one arrival is far smaller than what is left.
	toldBytes = journal.MaxTold / 2
	// maxUntold arrivals wait to be told. Of more, as after a storm, the others are not told.
	maxUntold = 100_000
)

// arrival is a client that came to a channel, or left it.
type arrival struct {
	Channel string          `json:"channel"`
	User    string          `json:"user"`
	Client  string          `json:"client"`
	Conn    json.RawMessage `json:"conn,omitempty"` // ClientInfo.conn_info
	Chan    json.RawMessage `json:"chan,omitempty"` // ClientInfo.chan_info
	Left    bool            `json:"left,omitempty"`
}

// told is a message of the topic.
type told struct {
	V        int       `json:"v"`
	Arrivals []arrival `json:"arrivals"`
}

// arrivals tell the other nodes who comes and goes here, and their watchers here of those there. What does not
// reach a node its clients are not told: whoever must know asks for the presence.
type arrivals struct {
	hub   *hub
	topic *journal.Topic // nil: there are no other nodes

	mu     sync.Mutex
	untold []arrival
	timer  *time.Timer // runs while there is something untold
	tells  sync.WaitGroup
	closed bool
}

// joinTimeout bounds how long a node that starts waits for the topic.
const joinTimeout = time.Second

func newArrivals(h *hub) (*arrivals, error) {
	a := &arrivals{hub: h}
	if h.cfg.Nodes == nil {
		return a, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	topic, err := h.cfg.Nodes.Join(ctx, arrivalsTopic, a.heard, func() [][]byte { return nil })
	if err != nil {
		return nil, fmt.Errorf("ws: %w", err)
	}
	a.topic = topic
	return a, nil
}

// close tells the others what they were not told yet.
func (a *arrivals) close() {
	a.mu.Lock()
	a.closed = true
	if a.timer != nil && a.timer.Stop() {
		a.tells.Done()
	}
	a.mu.Unlock()
	a.tells.Wait()
	if a.topic != nil {
		a.tell()
		a.topic.Leave()
	}
}

// note has the others told of a subscription that has begun or ended.
func (a *arrivals) note(s *subscription, left bool) {
	if a.topic == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.untold) >= maxUntold {
		return
	}
	a.untold = append(a.untold, arrival{
		s.name, s.info.User, s.info.Client, json.RawMessage(s.info.ConnInfo), json.RawMessage(s.info.ChanInfo), left,
	})
	if a.timer == nil && !a.closed {
		a.tells.Add(1)
		a.timer = time.AfterFunc(tellEvery, func() {
			defer a.tells.Done()
			a.tell()
		})
	}
}

// tell gives what was gathered to the others.
func (a *arrivals) tell() {
	a.mu.Lock()
	all := a.untold
	a.untold, a.timer = nil, nil
	a.mu.Unlock()
	for size, from, i := 0, 0, 0; i < len(all); i++ {
		size += len(all[i].Channel) + len(all[i].User) + 2*(len(all[i].Conn)+len(all[i].Chan)) + 128
		if size < toldBytes && i < len(all)-1 {
			continue
		}
		if data, err := json.Marshal(told{event.Version, all[from : i+1]}); err == nil {
			_ = a.topic.Tell(data) // the connection is lost, and so is the log's: clients are about to notice
		}
		size, from = 0, i+1
	}
}

// heard tells the watchers here. What cannot be read, as of a later version, is passed over.
func (a *arrivals) heard(data []byte) {
	var m told
	if json.Unmarshal(data, &m) != nil || m.V != event.Version {
		return
	}
	for _, one := range m.Arrivals {
		a.hub.mu.Lock()
		f := a.hub.feeds[one.Channel]
		a.hub.mu.Unlock()
		if f == nil {
			continue
		}
		info := &protocol.ClientInfo{User: one.User, Client: one.Client, ConnInfo: protocol.Raw(one.Conn), ChanInfo: protocol.Raw(one.Chan)}
		f.mu.Lock()
		f.announce(info, one.Left)
		f.mu.Unlock()
	}
}

// announce tells the subscribers that asked for it who came or left. The caller holds f.mu.
func (f *feed) announce(info *protocol.ClientInfo, left bool) {
	if f.watchers == 0 {
		return
	}
	push := &protocol.Push{Channel: f.name, Join: &protocol.Join{Info: info}}
	if left {
		push = &protocol.Push{Channel: f.name, Leave: &protocol.Leave{Info: info}}
	}
	all := &frames{push: push}
	for _, s := range f.subs {
		if s.watches && s.present {
			s.client.out.push(all.on(s.client.wire))
		}
	}
}

// unwatch has a subscriber told no more who comes and goes.
func (f *feed) unwatch(s *subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.watches && s.present {
		f.watchers--
	}
	s.watches = false
}
