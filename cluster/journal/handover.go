package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// handOverTimeout bounds how long others are asked to lead before this node's server ends.
const handOverTimeout = 3 * time.Second

// handOver has other nodes lead what this one's server leads, so that nobody has to find out that it has
// gone. What does not succeed is found out.
func (j *Journal) handOver() {
	if j.cfg.Cluster == nil || j.server == nil || j.streams[streamEvents] == nil || !j.query.IsConnected() {
		return // it has never been open
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	next := "" // one for all, so that nothing is gathered again soon afterwards
	peers, _ := j.Peers(ctx)
	for _, p := range peers {
		if p.Name != j.cfg.Node && p.Online && p.Current {
			next = p.Name
		}
	}
	j.eachLed(func(leader, stepDown string) {
		if leader == j.cfg.Node {
			j.stepDown(ctx, j.query, stepDown, next)
		}
	})
	if j.server.JetStreamIsLeader() {
		if nc, err := j.dial("manage", nats.UserInfo(systemUser, "")); err == nil {
			j.stepDown(ctx, nc, server.JSApiLeaderStepDown, "")
			nc.Close()
		}
	}
}

// eachLed calls fn for each replicated stream here with the name of the node that leads it, as far as
// this one knows, and the subject by which that is asked to have another one lead.
func (j *Journal) eachLed(fn func(leader, stepDown string)) {
	here, err := j.server.JszAccount(&server.JSzOptions{Account: globalAccount, Streams: true})
	if err != nil {
		return // the log has stopped itself
	}
	for _, s := range here.Streams {
		if s.Cluster != nil && s.Cluster.RaftGroup != "" {
			fn(s.Cluster.Leader, "$JS.API.STREAM.LEADER.STEPDOWN."+s.Name)
		}
	}
}

const globalAccount = "$G" // where everything is

// stepDown has somebody else lead, the preferred node if one is named. It is a wish.
func (j *Journal) stepDown(ctx context.Context, nc *nats.Conn, subject, preferred string) {
	var body []byte
	if preferred != "" {
		body = []byte(`{"placement":{"preferred":"` + preferred + `"}}`)
	}
	err := bounded(ctx, tryTimeout, func(ctx context.Context) error {
		_, err := nc.RequestWithContext(ctx, subject, body)
		return err
	})
	if err != nil {
		j.log.Debug().Err(err).Str("subject", subject).Msg("asking for another leader was not answered")
	}
}

// watchLeads notices, until the log is closed, when this node does not lead a stream any more: if it was paused or
// cut off, others have elected a leader, and told of it, before.
func (j *Journal) watchLeads() {
	look := time.NewTicker(leadsEvery)
	defer look.Stop()
	led := map[string]bool{}
	for {
		select {
		case <-look.C:
		case <-j.closed:
			return
		}
		for _, stream := range []string{streamEvents, streamWork, streamDead, streamRecords} {
			leads := j.server.JetStreamIsStreamLeader(globalAccount, stream)
			if led[stream] && !leads {
				j.writer.moved(stream)
			}
			led[stream] = leads
		}
	}
}

const leadsEvery = 100 * time.Millisecond

const (
	gatherPause = 100 * time.Millisecond // between looks, until one node leads all
	// gatherEvery is how often the node that leads the event log looks for what others lead, if nobody is elected;
	// gatherTimeout bounds one look, with what is asked for.
	gatherEvery   = 30 * time.Second
	gatherTimeout = 10 * time.Second
)

// awaitGathered waits, as long as events would for a leader, until the node that leads the event log leads all of
// it: later, whoever reads and writes would stand while a leader moves.
func (j *Journal) awaitGathered(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, j.cfg.Patience)
	defer cancel()
	for !j.gather(ctx) && ctx.Err() == nil {
		wait(ctx, gatherPause)
	}
}

// gatherLeads gathers after each election, until the log is closed. So only the end of the node that leads all has
// the others elect leaders, which takes seconds; that of any other node stops nothing.
func (j *Journal) gatherLeads() {
	elected := j.elected.wait()
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-elected:
			elected = j.elected.wait()
			look.Reset(gatherPause) // they come in numbers
			continue
		case <-look.C:
			look.Reset(gatherEvery)
		case <-j.closed:
			return
		}
		if !j.server.JetStreamIsStreamLeader(globalAccount, streamEvents) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
		j.leading.Go(func() { // ends it when the log is closed
			select {
			case <-j.closed:
				cancel()
			case <-ctx.Done():
			}
		})
		j.gather(ctx)
		cancel()
	}
}

// gather has this node lead all streams, if it leads the event log, and reports whether one node leads
// all of them already.
func (j *Journal) gather(ctx context.Context) bool {
	here := j.server.JetStreamIsStreamLeader(globalAccount, streamEvents)
	leads := map[string]bool{}
	j.eachLed(func(leader, stepDown string) {
		leads[leader] = true
		if here && leader != "" && leader != j.cfg.Node {
			j.stepDown(ctx, j.query, stepDown, j.cfg.Node)
		}
	})
	return len(leads) == 1 && !leads[""]
}
