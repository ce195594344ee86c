package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Peer is how one core node's part of the log stands.
type Peer struct {
	Name    string        `json:"name"`
	Copy    bool          `json:"copy"`    // of the event log; of more core nodes than copies, some have none
	Leader  bool          `json:"leader"`  // of the event log: it orders what is appended
	Online  bool          `json:"online"`  // was heard of lately
	Current bool          `json:"current"` // has all that was agreed on, of what it has a copy of
	Lag     uint64        `json:"lag"`     // entries it has yet to take over
	Active  time.Duration `json:"active"`  // since it was last heard of
}

// Peers tells how the core nodes stand that the log counts on, by name; nil for a log that is not a
// cluster's. One that left counts until it is removed: more than half of all have to agree on changes.
func (j *Journal) Peers(ctx context.Context) ([]Peer, error) {
	if j.cfg.Cluster == nil {
		return nil, nil
	}
	info, err := j.streams[streamEvents].Info(ctx)
	if err != nil {
		return nil, j.fail("asking for the log's nodes", err)
	}
	var peers []Peer
	if c := info.Cluster; c != nil {
		if c.Leader != "" {
			peers = append(peers, Peer{Name: c.Leader, Copy: true, Leader: true, Online: true, Current: true})
		}
		for _, r := range c.Replicas {
			peers = append(peers, Peer{Name: r.Name, Copy: true, Online: !r.Offline, Current: r.Current, Lag: r.Lag, Active: r.Active})
		}
	}
	cores, err := j.cores(ctx)
	if err != nil {
		return nil, j.fail("asking for the log's nodes", err)
	}
	for _, p := range cores {
		if !slices.ContainsFunc(peers, func(other Peer) bool { return other.Name == p.Name }) {
			peers = append(peers, p)
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.Name, b.Name) })
	return peers, nil
}

// coresSubject is where a core node tells one without a log what cores finds, as JSON.
const coresSubject = "cores.ask"

// tellCores has this core node answer there.
func (j *Journal) tellCores() error {
	_, err := j.sub.QueueSubscribe(coresSubject, "cores", func(m *nats.Msg) {
		answer, err := json.Marshal(j.ownCores())
		if err == nil {
			err = m.Respond(answer)
		}
		if err != nil {
			j.log.Warn().Err(err).Msg("a node was not told of the core nodes")
		}
	})
	return err
}

// cores returns the nodes of the log's meta group, those that hold no copy of the event log among them. Where no core
// node is of a release that tells, there are none.
func (j *Journal) cores(ctx context.Context) ([]Peer, error) {
	if j.server != nil {
		return j.ownCores(), nil
	}
	m, err := j.query.RequestWithContext(ctx, coresSubject, nil)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeCores(m.Data)
}

func decodeCores(data []byte) ([]Peer, error) {
	var peers []Peer
	if err := json.Unmarshal(data, &peers); err != nil {
		return nil, fmt.Errorf("what a core node tells of the others: %w", err)
	}
	return peers, nil
}

// ownCores is what this node's server knows; nothing while it has stopped itself.
func (j *Journal) ownCores() []Peer {
	info, err := j.server.Jsz(&server.JSzOptions{})
	if err != nil || info.Meta == nil {
		return nil
	}
	peers := make([]Peer, len(info.Meta.Replicas))
	for i, r := range info.Meta.Replicas {
		peers[i] = Peer{Name: r.Name, Online: !r.Offline, Active: r.Active}
	}
	return peers
}
