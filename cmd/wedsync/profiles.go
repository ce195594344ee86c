package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/wedsync/wedsync/actors/event"
)

type integrationsSyncCmd struct {
	nodeFlags
	ID       string `arg:"" help:"The integration."`
	Profiles string `arg:"" help:"A JSON array of profiles: clientId, name, email, phone, weddingDate, venue, notes. @FILE reads it from a file, - from standard input."`
	SyncID   string `help:"Go on with the sync of that id; nothing is told twice. Default: a new one." placeholder:"ID"`
	Wait     bool   `help:"Wait until the vendor has been told of all."`
}

// syncPoll is how often it is looked how far a sync is.
const syncPoll = 500 * time.Millisecond

func (integrationsSyncCmd) Help() string {
	return `A profile that the vendor has already is not sent. If the command ends early, the same with --sync-id goes on;
what the node was given goes on by itself. It fails where a profile has failed: the dead letters tell why.`
}

func (c integrationsSyncCmd) Run(ctx context.Context, w world, p printer) error {
	text, err := readArgument(c.Profiles, w.stdin)
	if err != nil {
		return err
	}
	var profiles []json.RawMessage
	if err := json.Unmarshal(text, &profiles); err != nil || len(profiles) == 0 {
		return usageError{errors.New(`the profiles are not a JSON array such as [{"clientId":"c1","name":"Amélie & Jonas"}]`)}
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	if c.SyncID == "" {
		c.SyncID = "sync_" + uuid.NewString()
	}
	path := integrationPath(c.ID, "client-profiles/sync")
	var sync event.ProfileSync
	for part := range slices.Chunk(profiles, event.MaxProfiles) {
		if sync, _, err = ask[event.ProfileSync](ctx, node, http.MethodPost, path, nil, map[string]any{"syncId": c.SyncID, "profiles": part}); err != nil {
			return fmt.Errorf("sync %s: %w", c.SyncID, err)
		}
	}
	if c.Wait {
		if sync, err = c.follow(ctx, node, p, path, sync); err != nil {
			return fmt.Errorf("sync %s: %w", c.SyncID, err)
		}
	}
	return showSync(p, sync)
}

// follow asks until nothing is pending any more, and tells people how far it is.
func (c integrationsSyncCmd) follow(ctx context.Context, node *client, p printer, path string, sync event.ProfileSync) (event.ProfileSync, error) {
	tick := time.NewTicker(syncPoll)
	defer tick.Stop()
	told := -1
	for sync.Pending > 0 {
		if done := sync.Total - sync.Pending; !p.json && done != told {
			p.say("%d of %d", done, sync.Total)
			told = done
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return sync, ctx.Err()
		}
		var err error
		if sync, _, err = ask[event.ProfileSync](ctx, node, http.MethodGet, path+"/"+url.PathEscape(c.SyncID), nil, nil); err != nil {
			return sync, err
		}
	}
	return sync, nil
}

func showSync(p printer, sync event.ProfileSync) error {
	var err error
	if p.json {
		err = p.object(sync)
	} else {
		err = printSync(p, sync)
	}
	if err == nil && sync.Failed > 0 {
		err = fmt.Errorf("%d of %d profiles have failed", sync.Failed, sync.Total)
	}
	return err
}

// printSync prints the counts, and of the clients those that somebody may have to look after.
func printSync(p printer, sync event.ProfileSync) error {
	var rows [][]string
	for _, r := range sync.Results {
		if r.Outcome == event.ProfileFailed {
			rows = append(rows, []string{r.ClientID, string(r.Outcome), r.Reason})
		}
	}
	counts := []string{sync.SyncID}
	for _, n := range []int{sync.Total, sync.Created, sync.Updated, sync.Unchanged, sync.Failed, sync.Pending} {
		counts = append(counts, strconv.Itoa(n))
	}
	err := p.table([]string{"sync", "total", "created", "updated", "unchanged", "failed", "pending"}, [][]string{counts})
	if err != nil || len(rows) == 0 {
		return err
	}
	p.say("")
	return p.table([]string{"client", "outcome", "reason"}, rows)
}
