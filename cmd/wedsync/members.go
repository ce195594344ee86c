package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

type membersCmd struct {
	List   membersListCmd   `cmd:"" default:"withargs" help:"List the nodes."`
	Remove membersRemoveCmd `cmd:"" help:"Have the log count no more on a core node that will not come back."`
}

// member is a node as the API shows it.
type member struct {
	Name      string    `json:"name"`
	Roles     []string  `json:"roles"`
	State     string    `json:"state"`
	Shards    []int     `json:"shards"`
	Log       string    `json:"log"`
	Lag       uint64    `json:"lag"`
	Version   string    `json:"version,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	Addresses *struct {
		Gossip     string `json:"gossip"`
		Log        string `json:"log,omitempty"`
		LogClients string `json:"logClients,omitempty"`
		Peers      string `json:"peers,omitempty"`
		HTTP       string `json:"http,omitempty"`
	} `json:"addresses,omitempty"`
}

type membersListCmd struct{ nodeFlags }

func (membersListCmd) Help() string {
	return `A node is joining, up or draining; "missing" is one that the log counts on and nobody sees, "failed" one whose part
of the log does not work, as with a full disk: it has no shards, and its /readyz says why. A node should own so many shards. Its part of the log is led by it, a replica, behind by so many entries, or offline.

Examples:

    wedsync members

    wedsync members --json --addr http://10.0.0.2:8080`
}

func (c membersListCmd) Run(ctx context.Context, p printer) error {
	head := []string{"name", "roles", "state", "shards", "log", "lag", "version", "gossip", "http", "started"}
	return listAll(ctx, p, c.nodeFlags, "/api/cluster/members", head, func(m member) []string {
		gossip, http := "", ""
		if m.Addresses != nil {
			gossip, http = m.Addresses.Gossip, m.Addresses.HTTP
		}
		return []string{
			m.Name, strings.Join(m.Roles, ","), m.State, strconv.Itoa(len(m.Shards)), m.Log, strconv.FormatUint(m.Lag, 10), m.Version, gossip, http, clock(m.StartedAt),
		}
	})
}

type membersRemoveCmd struct {
	nodeFlags
	Name string `arg:"" help:"The node, as listed; it is stopped."`
}

func (membersRemoveCmd) Help() string {
	return `Until it is removed, a core node that is gone counts when the others have to agree: of three, the two that are left must
both be there. What it held is copied to another core node that has no copy, such as one that was started in its place.

Example:

    wedsync members remove n3`
}

func (c membersRemoveCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	if _, err := node.call(ctx, http.MethodDelete, "/api/cluster/members/"+url.PathEscape(c.Name), nil, nil); err != nil {
		return err
	}
	return done(p, "node "+c.Name+" is removed", map[string]string{"name": c.Name})
}

type drainCmd struct{ nodeFlags }

func (drainCmd) Help() string {
	return `The node at --addr gives its shards to the other core nodes, finishes or gives back calls in flight, and goes on serving
clients until it is stopped. After a restart it takes its share again. A node that is stopped by SIGTERM drains by itself.

Example:

    wedsync drain --addr http://10.0.0.2:8080`
}

func (c drainCmd) Run(ctx context.Context, p printer) error {
	node, err := c.client()
	if err != nil {
		return err
	}
	if _, err := node.call(ctx, http.MethodPost, "/api/cluster/drain", nil, nil); err != nil {
		return err
	}
	return done(p, "the node at "+c.Addr+" holds no shard any more", map[string]string{"addr": c.Addr})
}
