package actors

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// shard hands what its feeders pull to the channel and integration actors, creates those on first
// work, stops the idle ones, and decides what becomes of one that panics.
type shard struct {
	t            *tenure
	channels     map[string]*child
	integrations map[string]*child
	byPID        map[string]*child
	timer        *time.Timer
}

// child is what a shard knows of one of its actors. The bag outlives the actor's restarts.
type child struct {
	id       string
	pid      *actor.PID
	sent     uint64       // work messages sent to it
	last     time.Time    // when it last got work, or was asked whether it has any
	channel  *channelBag  // of a channel
	delivery *deliveryBag // of an integration
}

var _ actor.SupervisorStrategy = (*shard)(nil)

func newShard(t *tenure) *shard {
	return &shard{t: t, channels: map[string]*child{}, integrations: map[string]*child{}, byPID: map[string]*child{}}
}

// Receive implements actor.Actor.
func (s *shard) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.schedule(c.Self())
		s.findParked(c.Self())
	case *actor.Stopping:
		s.timer.Stop()
	case *actor.Restarting:
		// What its children held is in nobody's hands now. Ending the tenure brings it back.
		s.timer.Stop()
		s.t.spoil()
	case eventsPulled:
		now := s.t.sys.cfg.Now()
		for _, ev := range m.events {
			s.work(c, s.channelActor(c, ev.Event.Channel), ev, now)
		}
	case worksPulled:
		now := s.t.sys.cfg.Now()
		for _, w := range m.works {
			s.work(c, s.integrationActor(c, w.Delivery.Integration), w, now)
		}
	case toIntegration:
		c.RequestWithCustomSender(s.integrationActor(c, m.id).pid, m.message, c.Sender())
	case configChanged:
		if ch := s.integrations[m.id]; ch != nil {
			c.Send(ch.pid, reload{})
		}
	case resume:
		for _, ch := range s.byPID {
			c.Send(ch.pid, m)
		}
	case parkedFound:
		s.parkedFound(c, m)
	case survey:
		for _, ch := range s.integrations {
			m.to.expect()
			c.Send(ch.pid, m)
		}
		m.to.done()
	case tick:
		s.passivate(c)
		s.schedule(c.Self())
	case idle:
		s.idle(c, m)
	}
}

func (s *shard) work(c actor.Context, ch *child, message any, now time.Time) {
	ch.sent++
	ch.last = now
	c.Send(ch.pid, message)
}

func (s *shard) channelActor(c actor.Context, name string) *child {
	ch := s.channels[name]
	if ch == nil {
		ch = &child{id: name, channel: &channelBag{}}
		ch.pid = c.Spawn(s.t.sys.props(func() actor.Actor { return newChannel(s.t, ch) }))
		s.channels[name], s.byPID[ch.pid.Id] = ch, ch
	}
	return ch
}

func (s *shard) integrationActor(c actor.Context, id string) *child {
	ch := s.integrations[id]
	if ch == nil {
		ch = &child{id: id, delivery: newDeliveryBag(), last: s.t.sys.cfg.Now()}
		ch.pid = c.Spawn(s.t.sys.props(func() actor.Actor { return newIntegration(s.t, ch) }))
		s.integrations[id], s.byPID[ch.pid.Id] = ch, ch
	}
	return ch
}

// findParked looks for integrations with deliveries that wait from before: nothing new need arrive
// for those to go on.
func (s *shard) findParked(self *actor.PID) {
	s.t.crew.Go(func(ctx context.Context) {
		ids, err := s.t.sys.cfg.Journal.ParkedIntegrations(ctx, s.t.shard)
		if err != nil && !pause(ctx, time.Second) {
			return
		}
		s.t.sys.root.Send(self, parkedFound{ids, err})
	})
}

func (s *shard) parkedFound(c actor.Context, m parkedFound) {
	if m.err != nil {
		s.t.sys.log.Warn().Err(m.err).Int("shard", s.t.shard).Msg("looking for waiting deliveries failed; trying again")
		s.findParked(c.Self())
		return
	}
	for _, id := range m.ids {
		s.integrationActor(c, id)
	}
}

func (s *shard) schedule(self *actor.PID) {
	s.timer = time.AfterFunc(s.t.sys.cfg.PassivateAfter/2, func() { s.t.sys.root.Send(self, tick{}) })
}

func (s *shard) passivate(c actor.Context) {
	now := s.t.sys.cfg.Now()
	before := now.Add(-s.t.sys.cfg.PassivateAfter)
	for _, children := range []map[string]*child{s.channels, s.integrations} {
		for _, ch := range children {
			if ch.last.Before(before) {
				ch.last = now // one that is at work is asked again later
				c.Send(ch.pid, askIdle{})
			}
		}
	}
}

func (s *shard) idle(c actor.Context, m idle) {
	ch := m.child
	if ch.sent != m.seen || s.byPID[ch.pid.Id] != ch {
		return // work is on its way to it
	}
	delete(s.byPID, ch.pid.Id)
	if ch.channel != nil {
		delete(s.channels, ch.id)
	} else {
		delete(s.integrations, ch.id)
	}
	c.Stop(ch.pid)
}

// HandleFailure implements actor.SupervisorStrategy. An integration that keeps panicking is
// suspended: its deliveries wait in the log until an admin reinstates it. A channel is not, since
// its events would wait unseen: it is restarted for ever, with growing pauses.
func (s *shard) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, pid *actor.PID, rs *actor.RestartStatistics, reason, _ any) {
	wait, spent := s.t.sys.cfg.Restart.failed(rs)
	ch := s.byPID[pid.Id]
	if ch == nil {
		return // it was being stopped
	}
	s.t.sys.metrics.restarts.Inc()
	if spent && ch.delivery != nil {
		why := fmt.Sprintf("its actor failed %d times within %v, last with: %.200v", s.t.sys.cfg.Restart.Budget+1, s.t.sys.cfg.Restart.Window, reason)
		ch.delivery.suspended.Store(&why)
		s.t.sys.log.Error().Str("integration", ch.id).Str("reason", why).Msg("integration suspended; reinstate it when the cause is mended")
	}
	restartAfter(supervisor, pid, wait)
}
