package ws

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/cluster/peers"
)

// presenceTimeout bounds how long other nodes are waited for: less than an SDK waits for a reply.
const presenceTimeout = 3 * time.Second

// kindPresence is what nodes ask each other for who is on a channel.
const kindPresence = "ws.presence"

// Nodes are the others of the cluster that clients connect to.
type Nodes interface {
	// Others returns their names.
	Others() []string
	// Ask has one of them answer before ctx ends, which has a deadline.
	Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error)
	// Handle has requests of a kind, from others, answered by h.
	Handle(kind string, h peers.Handler)
	// Join begins to hear what the others tell of a topic.
	Join(ctx context.Context, topic string, heard func([]byte), present func() [][]byte) (*journal.Topic, error)
}

var errTooManyPresent = errors.New("too many are on the channel to be listed")

type presenceRequest struct {
	Channel string `json:"channel"`
	List    bool   `json:"list"`
}

// presenceAnswer is who is on a channel at one node.
type presenceAnswer struct {
	Clients int    `json:"clients"`
	Users   []byte `json:"users"`          // a hash of each, 8 bytes
	List    []byte `json:"list,omitempty"` // a PresenceResult, if that was asked for
}

// presence returns who is on a channel, on all nodes.
func (c *client) presence(ctx context.Context, req *protocol.PresenceRequest) (*protocol.PresenceResult, *protocol.Error) {
	if refused := c.watchable(req.Channel); refused != nil {
		return nil, refused
	}
	all, err := c.server.hub.list(ctx, req.Channel)
	if err != nil {
		return nil, c.unknownPresence(req.Channel, err)
	}
	return &protocol.PresenceResult{Presence: all}, nil
}

// presenceStats returns how many are on a channel, on all nodes.
func (c *client) presenceStats(ctx context.Context, req *protocol.PresenceStatsRequest) (*protocol.PresenceStatsResult, *protocol.Error) {
	if refused := c.watchable(req.Channel); refused != nil {
		return nil, refused
	}
	clients, users, err := c.server.hub.stats(ctx, req.Channel)
	if err != nil {
		return nil, c.unknownPresence(req.Channel, err)
	}
	return &protocol.PresenceStatsResult{NumClients: uint32(clients), NumUsers: uint32(users)}, nil
}

// watchable returns why the client may not know who is on a channel, or nil.
func (c *client) watchable(name string) *protocol.Error {
	p, err := parseName(name)
	switch {
	case err != nil:
		return err
	case !p.IsChannel():
		return replyError(ErrNotAvailable, "a pattern has no presence; ask for a channel's")
	case !c.who.mayWatch(p):
		return replyError(ErrPermissionDenied, "the token's presence claim does not cover "+name)
	}
	return nil
}

func (c *client) unknownPresence(channel string, err error) *protocol.Error {
	if errors.Is(err, errTooManyPresent) || errors.Is(err, peers.ErrTooLarge) {
		return replyError(ErrLimitExceeded, errTooManyPresent.Error()+"; ask for presence stats")
	}
	c.log().Warn().Err(err).Str("channel", channel).Msg("asking who is on a channel failed")
	return replyError(ErrInternal, "another node does not answer; ask again")
}

// list returns the clients of a channel on all nodes, or errTooManyPresent.
func (h *hub) list(ctx context.Context, channel string) (map[string]*protocol.ClientInfo, error) {
	all := make(map[string]*protocol.ClientInfo)
	err := h.survey(ctx, presenceRequest{channel, true}, func(a presenceAnswer) error {
		var listed protocol.PresenceResult
		if err := listed.UnmarshalCF(a.List); err != nil {
			return err
		}
		for id, info := range listed.Presence {
			all[id] = info
		}
		if len(all) > h.cfg.MaxPresent {
			return errTooManyPresent
		}
		return nil
	})
	return all, err
}

// stats returns how many clients a channel has on all nodes, and of how many users.
func (h *hub) stats(ctx context.Context, channel string) (number, ofUsers int, err error) {
	clients, users := 0, make(map[uint64]struct{})
	err = h.survey(ctx, presenceRequest{Channel: channel}, func(a presenceAnswer) error {
		clients += a.Clients
		for rest := a.Users; len(rest) >= 8; rest = rest[8:] {
			users[binary.LittleEndian.Uint64(rest)] = struct{}{}
		}
		return nil
	})
	return clients, len(users), err
}

// survey gives the answers of all nodes to take, one after the other.
func (h *hub) survey(ctx context.Context, req presenceRequest, take func(presenceAnswer) error) error {
	own, err := h.present(req)
	if err == nil {
		err = take(own)
	}
	if err != nil || h.cfg.Nodes == nil {
		return err
	}
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, presenceTimeout)
	defer cancel()
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, node := range h.cfg.Nodes.Others() {
		g.Go(func() error {
			answer, err := h.cfg.Nodes.Ask(ctx, node, kindPresence, body)
			if err != nil {
				return err
			}
			var a presenceAnswer
			if err := json.Unmarshal(answer, &a); err != nil {
				return fmt.Errorf("node %s: %w", node, err)
			}
			mu.Lock()
			defer mu.Unlock()
			return take(a)
		})
	}
	return g.Wait()
}

// serve answers other nodes.
func (h *hub) serve(_ context.Context, _ string, body []byte) ([]byte, error) {
	var req presenceRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, err
	}
	a, err := h.present(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", peers.ErrTooLarge, err)
	}
	return json.Marshal(a)
}

// present returns who is on a channel at this node.
func (h *hub) present(req presenceRequest) (presenceAnswer, error) {
	h.mu.Lock()
	f := h.feeds[req.Channel]
	h.mu.Unlock()
	if f == nil {
		return presenceAnswer{}, nil
	}
	infos := f.present()
	a := presenceAnswer{Clients: len(infos)}
	if req.List && len(infos) > h.cfg.MaxPresent {
		return a, errTooManyPresent
	}
	users := make(map[string]struct{}, len(infos))
	list := protocol.PresenceResult{Presence: make(map[string]*protocol.ClientInfo)}
	for _, info := range infos {
		if _, known := users[info.User]; !known {
			users[info.User] = struct{}{}
			a.Users = binary.LittleEndian.AppendUint64(a.Users, xxhash.Sum64String(info.User))
		}
		if req.List {
			list.Presence[info.Client] = info
		}
	}
	if !req.List {
		return a, nil
	}
	var err error
	a.List, err = list.MarshalCF()
	return a, err
}

// present returns the subscribers that have gone live.
func (f *feed) present() []*protocol.ClientInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	infos := make([]*protocol.ClientInfo, 0, len(f.subs))
	for _, s := range f.subs {
		if s.present {
			infos = append(infos, s.info)
		}
	}
	return infos
}
