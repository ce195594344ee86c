package journal

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
	j.eachLed(ctx, func(leader, stepDown string) {
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

// eachLed calls fn for each stream and consumer with the name of the node that leads it, and the subject by which
// that is asked to have another one lead.
func (j *Journal) eachLed(ctx context.Context, fn func(leader, stepDown string)) {
	tell := func(c *jetstream.ClusterInfo, stepDown string) {
		if c != nil && c.Leader != "" {
			fn(c.Leader, stepDown)
		}
	}
	streams := j.js.ListStreams(ctx)
	for s := range streams.Info() {
		if s.Config.Name == streamWork { // those of others are in one server's memory
			consumers := j.streams[streamWork].ListConsumers(ctx)
			for c := range consumers.Info() {
				tell(c.Cluster, "$JS.API.CONSUMER.LEADER.STEPDOWN."+streamWork+"."+c.Name)
			}
		}
		tell(s.Cluster, "$JS.API.STREAM.LEADER.STEPDOWN."+s.Config.Name)
	}
}

// stepDown has somebody else lead, the preferred node if one is named. It is a wish.
func (j *Journal) stepDown(ctx context.Context, nc *nats.Conn, subject, preferred string) {
	var body []byte
	if preferred != "" {
		body = []byte(`{"placement":{"preferred":"` + preferred + `"}}`)
	}
	if _, err := nc.RequestWithContext(ctx, subject, body); err != nil {
		j.log.Debug().Err(err).Str("subject", subject).Msg("asking for another leader was not answered")
	}
}

const (
	// gatherEvery is how often the node that leads the event log looks for what others lead; every node that has
	// just opened the log, sooner.
	gatherEvery = 5 * time.Second
	gatherSoon  = time.Second
	// gatherTimeout bounds one look, with what is asked for.
	gatherTimeout = 10 * time.Second
)

// gatherLeads has the node that leads the event log lead all other streams and consumers too, until the log is
// closed. So only its end has the others elect leaders, which takes seconds; that of any other node stops nothing.
func (j *Journal) gatherLeads() {
	look := time.NewTimer(gatherSoon)
	defer look.Stop()
	for {
		select {
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
		j.eachLed(ctx, func(leader, stepDown string) {
			if leader != j.cfg.Node {
				j.stepDown(ctx, j.query, stepDown, j.cfg.Node)
			}
		})
		cancel()
	}
}

const globalAccount = "$G" // where everything is
