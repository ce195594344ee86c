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
	if j.cfg.Cluster == nil || j.server == nil || j.query == nil || !j.query.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	ask := func(nc *nats.Conn, subject string) {
		if _, err := nc.RequestWithContext(ctx, subject, nil); err != nil {
			j.log.Debug().Err(err).Str("subject", subject).Msg("handing over was not answered")
		}
	}
	streams := j.js.ListStreams(ctx)
	for s := range streams.Info() {
		stream, err := j.js.Stream(ctx, s.Config.Name)
		if err != nil {
			continue
		}
		consumers := stream.ListConsumers(ctx)
		for c := range consumers.Info() {
			if j.leads(c.Cluster) {
				ask(j.query, "$JS.API.CONSUMER.LEADER.STEPDOWN."+c.Stream+"."+c.Name)
			}
		}
		if j.leads(s.Cluster) {
			ask(j.query, "$JS.API.STREAM.LEADER.STEPDOWN."+s.Config.Name)
		}
	}
	if j.server.JetStreamIsLeader() {
		if nc, err := j.dial("manage", nats.UserInfo(systemUser, "")); err == nil {
			ask(nc, server.JSApiLeaderStepDown)
			nc.Close()
		}
	}
}

func (j *Journal) leads(c *jetstream.ClusterInfo) bool { return c != nil && c.Leader == j.cfg.Node }
