package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// copiesTimeout bounds one look at what the servers have; one that is away does not answer.
const copiesTimeout = 2 * time.Second

// lacking is why there are less copies of the log than there are to be, "" when there are enough: the servers are
// asked what their files hold. That a copy is current, as Raft has it, says only that it knows what to fetch.
func (j *Journal) lacking(ctx context.Context) (string, error) {
	nc, err := j.dial("manage", nats.UserInfo(systemUser, ""))
	if err != nil {
		return "", err
	}
	defer nc.Close()
	names := append(backedUp(), streamOf(bucketShards))
	last := map[string]uint64{} // asked for first: a copy that goes on has this, too
	for _, name := range names {
		s, err := j.js.Stream(ctx, name)
		if err != nil {
			return "", err
		}
		last[name] = s.CachedInfo().State.LastSeq
	}
	states, err := j.statesOf(ctx, nc)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		copies := 0
		for _, server := range states {
			if has, ok := server[name]; ok && has.LastSeq >= last[name] { // they are filled in order
				copies++
			}
		}
		if copies < j.cfg.Replicas {
			return fmt.Sprintf("there are %d of %d copies of %s", copies, j.cfg.Replicas, name), nil
		}
	}
	return "", nil
}

// statesOf asks the servers, until as many have answered as copies are wanted or time is up, what their streams have.
func (j *Journal) statesOf(ctx context.Context, nc *nats.Conn) ([]map[string]server.StreamState, error) {
	answers, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(server.JSzOptions{Account: globalAccount, Streams: true})
	if err != nil {
		return nil, err
	}
	if err := nc.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", answers.Subject, body); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, copiesTimeout)
	defer cancel()
	var all []map[string]server.StreamState
	for len(all) < j.cfg.Replicas {
		m, err := answers.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		var answer server.ServerAPIJszResponse
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return nil, err
		}
		has := map[string]server.StreamState{}
		if answer.Data != nil {
			for _, account := range answer.Data.AccountDetails {
				for _, s := range account.Streams {
					has[s.Name] = s.State
				}
			}
		}
		all = append(all, has)
	}
	return all, nil
}

// awaitCopies waits until every node that is to have a copy of a stream has all of it.
func (j *Journal) awaitCopies(ctx context.Context) error {
	if j.mode != modeCluster {
		return nil
	}
	for {
		lacking, err := j.lacking(ctx)
		switch {
		case err == nil && lacking == "":
			return nil
		case err != nil && !passing(err):
			return j.storeError(err)
		case ctx.Err() != nil:
			return j.storeError(fmt.Errorf("%s: %w", lacking, ctx.Err()))
		}
		wait(ctx, 200*time.Millisecond)
	}
}
