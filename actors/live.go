package actors

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/wedsync/wedsync/analytics/live"
	"github.com/wedsync/wedsync/cluster/peers"
)

// livePage is how many rows one answer holds, unless they are too large together.
const livePage = 1024

// Live returns what all nodes have counted in the last hour, and the nodes that did not tell, whose numbers are
// missing. What a node counted that has ended since is missing too. The query is valid.
func (s *System) Live(ctx context.Context, q live.Query) (sum live.Report, silent []string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	sum = s.live.Report(q)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, node := range s.others() {
		all.Go(func() {
			r, err := s.liveOf(ctx, node, q)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = sum.Add(r)
			}
			if err != nil {
				silent = append(silent, node)
				s.log.Warn().Err(err).Str("peer", node).Msg("a node did not tell its live numbers; they are missing in the sum")
			}
		})
	}
	all.Wait()
	return sum, silent
}

// liveOf returns what another node has counted.
func (s *System) liveOf(ctx context.Context, node string, q live.Query) (all live.Report, err error) {
	for more := true; more; {
		body, err := json.Marshal(q)
		if err != nil {
			return all, err
		}
		if body, err = s.cfg.Peers.Ask(ctx, node, kindLive, body); err != nil {
			return all, err
		}
		var r live.Report
		if err := json.Unmarshal(body, &r); err != nil {
			return all, err
		}
		all.Since, all.Rows = r.Since, append(all.Rows, r.Rows...)
		if more = r.More && len(r.Rows) > 0; more {
			q.After = r.Rows[len(r.Rows)-1].Key
		}
	}
	return all, nil
}

// liveHere answers another node's question, with as many rows as an answer takes.
func (s *System) liveHere(question []byte) ([]byte, error) {
	var q live.Query
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	for q.MaxRows = livePage; ; q.MaxRows = max(q.MaxRows/16, 1) {
		body, err := json.Marshal(s.live.Report(q))
		if err != nil {
			return nil, err
		}
		if len(body) <= peers.MaxBody || q.MaxRows == 1 {
			return body, nil
		}
	}
}
