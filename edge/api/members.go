package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/access"
	"github.com/wedsync/wedsync/edge/problem"
)

// logWait is how long the log is asked for its nodes. Who asks wants an answer most when the log has none.
const logWait = 2 * time.Second

// drainWait is how long a request waits for shards to be handed over; then there is time left to say that it goes on.
const drainWait = maxWork - 5*time.Second

// stateFailed is a member whose part of the log does not work: it has no shards.
const stateFailed = "failed"

// stateMissing is a node that the log counts on and that is no member.
const stateMissing = "missing"

// What a node is to the log.
const (
	logNone    = "none" // it holds nothing of it
	logAlone   = "alone"
	logLeader  = "leader"
	logReplica = "replica"
	logBehind  = "behind" // a replica that has yet to take over what was agreed on
	logOffline = "offline"
	logUnknown = "unknown" // the log has not answered
)

type member struct {
	Name      string           `json:"name"`
	Roles     []string         `json:"roles" nullable:"false" doc:"core: holds the log and owns shards; edge: serves clients."`
	State     string           `json:"state" doc:"joining, up or draining; failed: its part of the log does not work, as with a full disk; missing: the log counts on it, and it is no member."`
	Shards    []int            `json:"shards" nullable:"false" doc:"Those that it should own."`
	Log       string           `json:"log" doc:"leader, replica, behind, offline, alone, none, or unknown where the log did not answer."`
	Lag       uint64           `json:"lag" doc:"Entries of the event log that it has yet to take over."`
	Version   string           `json:"version,omitempty"`
	StartedAt time.Time        `json:"startedAt,omitzero"`
	Addresses *memberAddresses `json:"addresses,omitempty" doc:"Where other nodes and clients reach it, host:port each."`
}

type memberAddresses struct {
	Gossip     string `json:"gossip"`
	Log        string `json:"log,omitempty" doc:"For nodes that hold the log."`
	LogClients string `json:"logClients,omitempty" doc:"For nodes that hold none."`
	Peers      string `json:"peers,omitempty" doc:"For requests between nodes."`
	HTTP       string `json:"http,omitempty"`
}

func (a *API) routeMembers(h huma.API) {
	handle(h, huma.Operation{
		OperationID: "members", Method: http.MethodGet, Path: "/api/cluster/members", Tags: []string{"cluster"}, Security: needs(access.StatusRead),
		Summary:     "List the nodes, what each does and how it stands",
		Description: "As this node sees them: after a change the nodes agree within a second. A node that is alone lists itself.",
	}, a.listMembers)
	handle(h, huma.Operation{
		OperationID: "remove-member", Method: http.MethodDelete, Path: "/api/cluster/members/{name}", Tags: []string{"cluster"}, Security: needs(access.ClusterWrite),
		Summary: "Have the log count no more on a core node that will not come back", DefaultStatus: http.StatusNoContent,
		Description: "What it held is copied to another core node that holds no copy. A node that is alive is stopped first. Asked of a core node.",
	}, a.removeMember)
	handle(h, huma.Operation{
		OperationID: "drain", Method: http.MethodPost, Path: "/api/cluster/drain", Tags: []string{"cluster"}, Security: needs(access.ClusterWrite),
		Summary: "Hand the shards of the node that is asked over to the others", DefaultStatus: http.StatusNoContent,
		Description: "It is answered when they are handed over, or 503 while that goes on; then it can be asked again. " +
			"The node goes on serving clients until it is stopped, and takes shards again after a restart.",
	}, a.drain)
}

func (a *API) listMembers(ctx context.Context, _ *struct{}) (*body[page[member]], error) {
	view := a.cfg.Members.View()
	ctx, cancel := context.WithTimeout(ctx, logWait)
	defer cancel()
	peers, err := a.cfg.History.Peers(ctx)
	log := logNone
	switch {
	case err != nil:
		log = logUnknown
	case peers == nil:
		log = logAlone
	}
	byName := map[string]*member{}
	for _, m := range view.Members() {
		byName[m.Name] = memberOf(m)
		if m.Roles.Has(cluster.Core) {
			byName[m.Name].Log = log
		}
	}
	if self := byName[a.cfg.Node]; self != nil {
		self.Version = a.cfg.Version // of a node alone nobody else tells
	}
	for shard := range a.cfg.History.Shards() {
		if m := byName[view.Owner(shard)]; m != nil {
			m.Shards = append(m.Shards, shard)
		}
	}
	for _, p := range peers {
		m := byName[p.Name]
		if m == nil {
			m = &member{Name: p.Name, Roles: []string{cluster.Core.String()}, State: stateMissing, Shards: []int{}}
			byName[p.Name] = m
		}
		m.Log, m.Lag = logOf(p), p.Lag
	}
	out := page[member]{Items: []member{}}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out.Items = append(out.Items, *byName[name])
	}
	return &body[page[member]]{out}, nil
}

func memberOf(m cluster.Member) *member {
	out := &member{
		Name: m.Name, Roles: []string{}, State: m.State.String(), Shards: []int{}, Log: logNone, Version: m.Version,
	}
	if m.Failed {
		out.State = stateFailed
	}
	if roles := m.Roles.String(); roles != "" {
		out.Roles = strings.Split(roles, ",")
	}
	if m.Addr != "" { // it is not alone
		out.StartedAt = time.UnixMilli(int64(m.Incarnation)).UTC() // #nosec G115 -- as it was made
		out.Addresses = &memberAddresses{m.Addr, m.Endpoints.Log, m.Endpoints.LogClients, m.Endpoints.Peers, m.Endpoints.HTTP}
	}
	return out
}

func logOf(p journal.Peer) string {
	switch {
	case p.Leader:
		return logLeader
	case !p.Online:
		return logOffline
	case !p.Copy:
		return logNone
	case !p.Current:
		return logBehind
	}
	return logReplica
}

type memberInput struct {
	Name string `path:"name" doc:"The node."`
}

func (a *API) removeMember(ctx context.Context, in *memberInput) (_ *struct{}, err error) {
	defer func() { a.audit(ctx, nil, "member.remove", cutText(in.Name, 100), "", err) }()
	if m, alive := a.cfg.Members.View().Member(in.Name); alive {
		return nil, problem.New(problem.MemberAlive, "the node %s is %s, at %s; stop it first", m.Name, m.State, cmp.Or(m.Addr, "this address"))
	}
	err = a.cfg.History.RemovePeer(ctx, in.Name)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, problem.New(problem.MemberUnknown, "the log, as this node has it, knows no node %.100q; the list of members has those that it counts on", in.Name).Because(err)
	}
	return nil, err
}

func (a *API) drain(ctx context.Context, _ *struct{}) (_ *struct{}, err error) {
	defer func() { a.audit(ctx, nil, "member.drain", a.cfg.Node, "", err) }()
	if !slices.ContainsFunc(a.cfg.Members.View().Members(), func(m cluster.Member) bool {
		return m.Name != a.cfg.Node && m.State == cluster.Up && m.Roles.Has(cluster.Core)
	}) {
		return nil, problem.New(problem.NoSuccessor, "no other core node is up, so the shards of %s would be nobody's; start one first", a.cfg.Node)
	}
	wait, cancel := context.WithTimeout(ctx, drainWait)
	defer cancel()
	if err = a.cfg.Drain(wait); wait.Err() != nil && ctx.Err() == nil {
		return nil, problem.New(problem.EngineUnavailable, "the shards of %s are still being handed over; ask again to wait on", a.cfg.Node).After(time.Second).Because(err)
	}
	return nil, err
}
