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
	for _, l := range j.eachLed() {
		if l.leader == j.cfg.Node {
			j.stepDown(ctx, j.query, l.stepDown, next)
		}
	}
	if j.server.JetStreamIsLeader() {
		if nc, err := j.dial("manage", nats.UserInfo(systemUser, "")); err == nil {
			j.stepDown(ctx, nc, server.JSApiLeaderStepDown, "")
			nc.Close()
		}
	}
}

// led is a replicated stream: which node leads it as far as this one knows, and the subject by which that is asked
// to have another one lead.
type led struct{ stream, leader, stepDown string }

// eachLed returns all that this node has a copy of.
func (j *Journal) eachLed() (all []led) {
	here, err := j.server.JszAccount(&server.JSzOptions{Account: globalAccount, Streams: true})
	if err != nil {
		return nil // the log has stopped itself
	}
	for _, s := range here.Streams {
		if s.Cluster != nil && s.Cluster.RaftGroup != "" {
			all = append(all, led{s.Name, s.Cluster.Leader, "$JS.API.STREAM.LEADER.STEPDOWN." + s.Name})
		}
	}
	return all
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

// watchServer notices, until the log is closed, what this node's server tells nobody: when it does not work any more,
// or again, and when it does not lead a stream any more. If it was paused or cut off, others have elected a leader, and
// told of it, before.
func (j *Journal) watchServer() {
	look := time.NewTicker(serverLook)
	defer look.Stop()
	led := map[string]bool{}
	for {
		select {
		case <-look.C:
		case <-j.closed:
			return
		}
		j.examine()
		for _, stream := range []string{streamEvents, streamWork, streamDead, streamRecords} {
			leads := j.server.JetStreamIsStreamLeader(globalAccount, stream)
			if led[stream] && !leads {
				j.moved(stream)
			}
			led[stream] = leads
		}
	}
}

const serverLook = 200 * time.Millisecond

const (
	// gatherWait bounds how long a node that opens the log waits until one node leads all of it, and gatherPause is
	// the time between looks.
	gatherWait  = 5 * time.Second
	gatherPause = 100 * time.Millisecond
	// The node that leads the event log looks for what others lead gatherQuiet after the last of some elections, and
	// every gatherEvery; gatherTimeout bounds one look, with what is asked for.
	gatherQuiet   = time.Second
	gatherEvery   = 30 * time.Second
	gatherTimeout = 10 * time.Second
)

// awaitGathered waits, for a while, until the node that leads the event log leads all of it: later, whoever reads
// and writes would stand while a leader moves.
func (j *Journal) awaitGathered(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gatherWait)
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
			look.Reset(gatherQuiet)
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
// all of them already. What it is not ready to lead it leaves where it is, and what it was not given it asks for
// again only after a while: an election that fails leaves nobody to lead for seconds.
func (j *Journal) gather(ctx context.Context) bool {
	here := j.server.JetStreamIsStreamLeader(globalAccount, streamEvents)
	leads := map[string]bool{}
	for _, l := range j.eachLed() {
		leads[l.leader] = true
		if !here || l.leader == "" || l.leader == j.cfg.Node || !j.server.JetStreamIsStreamCurrent(globalAccount, l.stream) {
			continue
		}
		if last, ok := j.asked[l.stepDown]; !ok || time.Since(last) > gatherEvery {
			j.asked[l.stepDown] = time.Now()
			j.stepDown(ctx, j.query, l.stepDown, j.cfg.Node)
		}
	}
	return len(leads) == 1 && !leads[""]
}
