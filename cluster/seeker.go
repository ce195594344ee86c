package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// How often a node joins: one that is alone or not sure of its name, and one among others, which joins
// the seeds that are no members. memberlist forgets who was away for long; nobody else would bring the
// two halves of a cluster together again.
const (
	joinSoon  = 500 * time.Millisecond
	joinLater = 3 * time.Second
	joinAgain = 50 * time.Millisecond // until those that were joined know this node
)

// seeker joins other nodes, and finds out whether this node's name is its own.
type seeker struct {
	*Gossip
	contested time.Time // since when another node has the name; zero: none has
	alone     bool      // it was logged that nobody answers
}

// round is what came of asking once.
type round struct {
	asked, reached int
	refused        error // somebody answered with another key
	err            error // the last one
}

// start joins until this node is known, or nobody answers.
func (s *seeker) start(ctx context.Context) error {
	for began := time.Now(); ; {
		r := s.join(ctx, true)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("gossip: joining: %w", context.Cause(ctx))
		}
		if err := s.judge(r); err != nil {
			return err
		}
		again := joinAgain
		switch {
		case s.in():
			return nil
		case !s.contested.IsZero():
			again = joinSoon
		case r.reached > 0 && len(s.roster.members()) > 1 && time.Since(began) < s.cfg.NameWait:
		case r.reached == 0 && r.refused != nil:
			return fmt.Errorf("%w, %s: %w", ErrKeyRefused, s.cfg.Keyring.List()[0].ID, r.refused)
		default:
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// run joins again and again.
func (s *seeker) run(ctx context.Context) {
	for {
		every := joinLater
		settled := s.in() && s.contested.IsZero()
		if !settled || len(s.roster.members()) < 2 {
			every = joinSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		if err := s.judge(s.join(ctx, !settled)); err != nil && ctx.Err() == nil {
			if s.end(err) {
				s.log.Error().Err(err).Msg("this node is no member any more")
				_ = s.list.Shutdown() // never fails
			}
			return
		}
	}
}

func (s *seeker) in() bool {
	s.telling.Lock()
	defer s.telling.Unlock()
	return s.self.In
}

// judge draws from what was heard since the last round whether the name is this node's.
func (s *seeker) judge(r round) error {
	s.complain(r)
	known, by := s.roster.heard()
	s.telling.Lock()
	in, yields := s.self.In, by.addr != "" && s.self.yieldsTo(by.meta)
	s.telling.Unlock()
	switch {
	case yields && s.contested.IsZero():
		s.contested = time.Now()
		s.log.Warn().Str("addr", s.addr).Str("other", by.addr).Dur("wait", s.cfg.NameWait).Msg("another node has this node's name; waiting for it to go")
	case yields && time.Since(s.contested) > s.cfg.NameWait:
		return &NameTakenError{s.cfg.Name, s.addr, by.addr}
	case yields:
	case r.reached > 0, r.asked == 0:
		s.contested = time.Time{}
		if !in && (known || r.asked == 0) {
			return s.change(func(m *meta) { m.In = true })
		}
	}
	return nil
}

// complain logs once that nobody answers.
func (s *seeker) complain(r round) {
	was := s.alone
	s.alone = r.asked > 0 && len(s.roster.members()) < 2
	if s.alone && !was {
		s.log.Warn().Err(r.err).Strs("join", s.cfg.Join).Msg("no node to join answers; trying on")
	}
}

// join exchanges all that is known with the seeds that are no members, or with the seeds and all members.
func (s *seeker) join(ctx context.Context, all bool) round {
	members := map[string]bool{s.addr: true}
	targets := map[string]bool{}
	for _, m := range s.roster.members() {
		if m.Addr != s.addr {
			members[m.Addr] = true
			targets[m.Addr] = all
		}
	}
	var r round
	for _, seed := range s.cfg.Join {
		addrs, err := lookUp(ctx, seed)
		if err != nil {
			r.asked++
			r.err = err
		}
		for _, addr := range addrs {
			targets[addr] = !members[addr] || all && addr != s.addr
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for addr, wanted := range targets {
		if !wanted {
			continue
		}
		r.asked++
		wg.Go(func() {
			_, err := s.list.Join([]string{addr})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				r.reached++
				return
			}
			// memberlist joins several, and puts what became of each on lines of its own.
			if one := errors.Unwrap(err); one != nil {
				err = one
			}
			r.err = err
			// It has no error of its own for this; see decryptPayload in its security.go.
			if strings.Contains(strings.ToLower(err.Error()), "no installed keys could decrypt") {
				r.refused = err
			}
		})
	}
	wg.Wait()
	return r
}

// lookUp returns the addresses of a host:port.
func lookUp(ctx context.Context, hostPort string) ([]string, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	addrs := make([]string, len(ips))
	for i, ip := range ips {
		addrs[i] = net.JoinHostPort(ip.Unmap().String(), port)
	}
	return addrs, err
}
