package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/delivery"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/analytics/live"
)

// Errors of a System.
var (
	// ErrNotOwned means that no node that can be reached holds the shard of what was asked for, at present.
	ErrNotOwned = errors.New("actors: the shard is held by no node that can be reached at the moment; try again")
	// ErrUnknown means that there is no such integration.
	ErrUnknown = errors.New("actors: no such integration")
	// ErrPassedOver means that the event is not for that integration, though somebody sends it there.
	ErrPassedOver = errors.New("actors: the integration is passed over")
)

// System is the supervision tree of one node. Its methods may be called concurrently.
type System struct {
	cfg     Config
	log     zerolog.Logger
	metrics *metrics
	live    *live.Book
	gate    *delivery.Gate
	actors  *actor.ActorSystem
	root    *actor.RootContext
	host    *actor.PID
	crew    *crew
	shards  []atomic.Pointer[actor.PID]
	stopped atomic.Bool
	erasing sync.Mutex // held to add to erased
	erased  atomic.Pointer[[]erasure]
	unwatch func()
}

// New returns a System that does nothing yet. It fails where the configuration is not valid.
func New(cfg Config) (*System, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &System{
		cfg: cfg, log: cfg.Logger, live: live.NewBook(live.Config{Now: cfg.Now}), gate: delivery.NewGate(cfg.MaxInFlight), crew: newCrew(),
		shards: make([]atomic.Pointer[actor.PID], cfg.Journal.Shards()),
	}
	s.cfg.Caller = LogCaller{Log: cfg.Journal, Next: cfg.Caller}
	s.metrics = newMetrics(s, cfg.Metrics)
	quiet := slog.New(slog.DiscardHandler) // panics are logged by logPanics, the rest is protoactor's own
	s.actors = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }),
		// A message to an actor that has stopped leaves a goroutine for so long, to count what is not logged.
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
	s.root = s.actors.Root
	return s, nil
}

// Start begins to claim shards and to work on them; it returns at once. [System.Ready] tells when.
func (s *System) Start() {
	s.cfg.Journal.Leases() // what others hold is watched before it is needed
	if s.cfg.Peers != nil {
		s.serve(s.cfg.Peers)
	}
	s.host = s.root.Spawn(s.props(func() actor.Actor { return newHost(s) }))
	moved := s.cfg.Placement.Subscribe(func() { s.root.Send(s.host, reconcile{}) })
	edited := s.cfg.Registry.Subscribe(func(id string) {
		if pid := s.shardOf(id); pid != nil {
			s.root.Send(pid, configChanged{id})
		}
	})
	s.unwatch = func() { moved(); edited() }
}

// Stop hands the shards over: nothing new is begun, calls in flight are finished until ctx ends and
// called off then, and what is not done stays in the log. It may be called twice.
func (s *System) Stop(ctx context.Context) error {
	if s.stopped.Swap(true) || s.host == nil {
		return nil
	}
	s.unwatch()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(s.cfg.Timeout)
	}
	// A little more than the deadline, for the actors to stop once the calls were called off.
	err := s.root.RequestFuture(s.host, handOver{deadline}, time.Until(deadline)+5*time.Second).Wait()
	if err != nil {
		err = fmt.Errorf("actors: not every shard was handed over in time; its work returns with its lease: %w", err)
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	s.crew.finish(done)
	_ = s.root.StopFuture(s.host).Wait()
	s.actors.Shutdown()
	return err
}

// Ready reports how many shards this node holds, and how many it should hold.
func (s *System) Ready() (held, wanted int) {
	for shard := range s.shards {
		if s.shards[shard].Load() != nil {
			held++
		}
		if s.cfg.Placement.Owner(shard) == s.cfg.Node {
			wanted++
		}
	}
	return held, wanted
}

// InFlight is how many calls to vendors are under way on this node.
func (s *System) InFlight() int { return s.gate.InUse() }

// ResetBreaker closes the integration's breaker, so that what waits is tried at once.
func (s *System) ResetBreaker(ctx context.Context, id string) error {
	return s.tell(ctx, id, resetBreaker{})
}

// Reinstate lets a suspended integration work again.
func (s *System) Reinstate(ctx context.Context, id string) error { return s.tell(ctx, id, reinstate{}) }

// Health asks the integration's actor how it does, and the log how much of its it holds.
func (s *System) Health(ctx context.Context, id string) (event.Health, error) {
	answer, err := s.ask(ctx, id, getHealth{})
	if err != nil {
		return event.Health{}, err
	}
	h, ok := answer.(event.Health)
	if !ok {
		return event.Health{}, fmt.Errorf("actors: integration %s answered %T", id, answer)
	}
	held := s.heldBack(ctx, id)[id]
	h.AddHeld(held.Count, held.Next)
	return h, nil
}

func (s *System) tell(ctx context.Context, id string, message any) error {
	_, err := s.ask(ctx, id, message)
	return err
}

// ask sends a command to an integration's actor, which is created if need be, on whatever node it is, and waits
// for the answer until ctx ends or askTimeout is over: a message to an actor that stops is lost, so none is
// waited for without an end. While the shard changes its owner it tries again; commands bear that.
func (s *System) ask(ctx context.Context, id string, message any) (any, error) {
	if _, ok := s.cfg.Registry.Lookup(id); !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknown, id)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	for {
		answer, err := s.askHere(ctx, id, message)
		if s.cfg.Peers == nil {
			return answer, err
		}
		if errors.Is(err, ErrNotOwned) {
			answer, err = s.askAbroad(ctx, id, message)
		}
		if !errors.Is(err, ErrNotOwned) || !pause(ctx, movePause) {
			return answer, err
		}
	}
}

// askHere is ask for an integration whose shard this node holds; for others it fails with ErrNotOwned.
func (s *System) askHere(ctx context.Context, id string, message any) (any, error) {
	pid := s.shardOf(id)
	if pid == nil {
		return nil, ErrNotOwned
	}
	limit := askTimeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline))
	}
	answer, err := s.root.RequestFuture(pid, toIntegration{id, message}, limit).Result()
	if err != nil {
		return nil, fmt.Errorf("actors: integration %s did not answer: %w", id, err)
	}
	return answer, nil
}

func (s *System) shardOf(id string) *actor.PID {
	return s.shards[s.cfg.Journal.ShardOf(id)].Load()
}

// owned publishes who works on a shard; nil when nobody here does.
func (s *System) owned(shard int, pid *actor.PID) { s.shards[shard].Store(pid) }

func (s *System) props(produce actor.Producer) *actor.Props {
	return actor.PropsFromProducer(produce, actor.WithReceiverMiddleware(logPanics(s.log)))
}
