package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// roles are the nodes by what they do.
type roles struct{ leader, owner, bystander int }

// member is a node as the API tells of it.
type member struct {
	Name, State, Log string
	Shards           []int
}

// members asks a node for all of them.
func (s *stage) members(ctx context.Context, i int) ([]member, error) {
	var list struct{ Items []member }
	err := s.clients[i].Call(ctx, http.MethodGet, "/api/cluster/members", nil, &list)
	return list.Items, err
}

// roles asks who leads the log and who owns most shards, until a node knows.
func (s *stage) roles(ctx context.Context) (roles, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for n := 0; ; n++ {
		list, err := s.members(ctx, n%nodes)
		var r roles
		if err == nil {
			r, err = rolesOf(list)
		}
		if err == nil {
			return r, nil
		}
		if late := nodeproc.Sleep(ctx, 200*time.Millisecond); late != nil {
			return r, fmt.Errorf("asking who does what: %w (%w)", err, late)
		}
	}
}

// rolesOf tells the roles of the three nodes, all of which must be up.
func rolesOf(members []member) (roles, error) {
	shards := map[int]int{}
	r := roles{leader: -1, owner: -1}
	for _, m := range members {
		i := nodeIndex(m.Name)
		if i < 0 || m.State != "up" {
			continue
		}
		shards[i] = len(m.Shards)
		if m.Log == "leader" {
			r.leader = i
		}
	}
	if len(shards) < nodes {
		return r, fmt.Errorf("%d of %d nodes are up", len(shards), nodes)
	}
	if r.leader < 0 {
		return r, errors.New("no node leads the log")
	}
	for i := range nodes {
		if i != r.leader && (r.owner < 0 || shards[i] > shards[r.owner]) {
			r.owner = i
		}
	}
	r.bystander = 0 + 1 + 2 - r.leader - r.owner
	return r, nil
}
