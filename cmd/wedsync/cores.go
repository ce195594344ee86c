package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wedsync/wedsync/cluster"
)

// awaitCores has a core node that holds nothing of the log wait until it cannot make an empty one beside
// what others have: a majority of empty nodes would agree on it without them.
func (n *node) awaitCores(ctx context.Context) error {
	if n.gossip == nil || n.cfg.Log.AwaitRestore || !n.cfg.Cluster.roles().Has(cluster.Core) {
		return nil
	}
	changed := make(chan struct{}, 1)
	stop := n.members.Subscribe(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	say := time.NewTicker(5 * time.Second)
	defer say.Stop()
	for {
		why := coresMissing(n.cfg.Node.Name, n.members.View().Members(), len(n.cfg.Cluster.Join))
		if why == "" {
			return nil
		}
		select {
		case <-changed:
		case <-say.C:
			n.log.Warn().Str("because", why).Msg("waiting for other core nodes, to open the log")
		case <-ctx.Done():
			return fmt.Errorf("log: %s: %w", why, ctx.Err())
		}
	}
}

// coresMissing says what a node that was started empty waits for, of so many core nodes that are to hold
// the log; "": nothing.
func coresMissing(self string, members []cluster.Member, cores int) string {
	var hold, empty int
	waits := false
	for _, m := range members {
		switch {
		case !m.Roles.Has(cluster.Core):
		case m.Empty:
			empty++
			waits = waits || m.Name == self
		default:
			hold++
		}
	}
	switch {
	case !waits, hold > cores/2, hold == 0 && empty >= cores:
		return ""
	case hold == 0:
		return fmt.Sprintf("this node's data folder has nothing of the log, and %d of %d core nodes are there; a log is made when all are", empty, cores)
	}
	return fmt.Sprintf("this node's data folder has nothing of the log; of %d core nodes, %d hold it and are there, and %d have none of it: "+
		"start those that hold it, more than half, or restore a backup (docs/backup.md)", cores, hold, empty)
}

// copiesTrouble says which of the nodes that hold the log is away or behind; "" where each has all of it.
func (n *node) copiesTrouble(ctx context.Context) string {
	peers, err := n.journal.Peers(ctx)
	if err != nil {
		return err.Error()
	}
	var trouble []string
	whole := 0
	for _, p := range peers {
		switch {
		case !p.Online:
			trouble = append(trouble, fmt.Sprintf("%s is away for %v", p.Name, p.Active.Round(time.Second)))
		case !p.Copy:
		case !p.Current:
			trouble = append(trouble, fmt.Sprintf("%s is behind by %d entries", p.Name, p.Lag))
		default:
			whole++
		}
	}
	if want := min(len(n.cfg.Cluster.Join), 3); whole < want {
		return strings.Join(append([]string{fmt.Sprintf("%d of %d copies of the log are whole", whole, want)}, trouble...), "; ")
	}
	return ""
}
