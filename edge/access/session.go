package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

// SessionAge is how long a session lasts.
const SessionAge = 12 * time.Hour

// maxSessions is how many sessions a key has at once. One more ends the one that would have ended first.
const maxSessions = 100

// sessionPrefix is before the hash of a session's token, in a bucket whose values vanish after a day.
const sessionPrefix = "session."

// SessionConfig is what OpenSessions needs. Bucket and Keys must be given.
type SessionConfig struct {
	Bucket Bucket // the log's bucket "answers": longer than a session nothing need be kept
	Keys   *Keyring
	Logger zerolog.Logger
	Now    func() time.Time // default time.Now
}

// Sessions has who signed in, on whatever node. It is safe for concurrent use.
type Sessions struct {
	cfg    SessionConfig
	open   atomic.Pointer[map[string]session] // by hash of the token; replaced, never changed
	cancel context.CancelFunc
	watch  sync.WaitGroup
}

// session is one as the bucket has it. The key's text does not follow from it.
type session struct {
	V     int       `json:"v"`
	Key   string    `json:"key,omitempty"` // its id; a configured key has none
	Proof string    `json:"proof"`         // of the key, hex
	Ends  time.Time `json:"ends"`
}

// proofOf is what a session has of a key: that of one key is that of no other.
func proofOf(hash [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte("wedsync session "), hash[:]...))
}

// OpenSessions loads the sessions and follows them until Close; ctx bounds the loading alone.
func OpenSessions(ctx context.Context, cfg SessionConfig) (*Sessions, error) {
	if cfg.Bucket == nil || cfg.Keys == nil {
		return nil, errors.New("access: SessionConfig.Bucket or Keys is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Sessions{cfg: cfg, cancel: cancel}
	s.open.Store(&map[string]session{})
	loaded := make(chan error, 1)
	s.watch.Go(func() { keepWatch(watching, cfg.Logger, "sessions", loaded, s.follow) })
	var err error
	select {
	case err = <-loaded:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("load sessions: %w", err)
	}
	return s, nil
}

// Close stops following the log. It may be called twice.
func (s *Sessions) Close() {
	s.cancel()
	s.watch.Wait()
}

// Begin begins a session for who has the key of that text, and returns its token. It fails as Keyring.Find does.
// Another node may know the session a moment later.
func (s *Sessions) Begin(ctx context.Context, text string) (token event.Secret, by *Caller, err error) {
	if by, err = s.cfg.Keys.Find(text); err != nil {
		return token, nil, err
	}
	proof := proofOf(sha256.Sum256([]byte(text)))
	one := session{event.Version, idOf(text), hex.EncodeToString(proof[:]), s.cfg.Now().Add(SessionAge).UTC()}
	data, err := json.Marshal(one)
	if err == nil {
		err = s.makeRoom(ctx, one.Proof)
	}
	if err != nil {
		return token, nil, err
	}
	token = event.SecretOf(rand.Text() + rand.Text())
	name := nameOf(token.Reveal())
	if _, err = s.cfg.Bucket.Create(ctx, sessionPrefix+name, data); err != nil {
		return token, nil, err
	}
	s.change(func(all map[string]session) { all[name] = one }) // the next request comes sooner than the watch
	return token, by, nil
}

// makeRoom ends a session of the key where it has as many as it may.
func (s *Sessions) makeRoom(ctx context.Context, proof string) error {
	count, first, ends := 0, "", time.Time{}
	for name, one := range *s.open.Load() {
		if one.Proof != proof {
			continue
		}
		if count++; count == 1 || one.Ends.Before(ends) {
			first, ends = name, one.Ends
		}
	}
	if count < maxSessions {
		return nil
	}
	return s.end(ctx, first)
}

// Find returns whose session the token is of. It fails with ErrUnknown where there is none or its key was revoked,
// and with ErrExpired where the time of either is over.
func (s *Sessions) Find(token string) (*Caller, error) {
	one, ok := (*s.open.Load())[nameOf(token)]
	if !ok {
		return nil, ErrUnknown
	}
	if !s.cfg.Now().Before(one.Ends) {
		return nil, ErrExpired
	}
	proof, err := hex.DecodeString(one.Proof)
	if err != nil || len(proof) != sha256.Size {
		return nil, ErrUnknown
	}
	return s.cfg.Keys.find(one.Key, [sha256.Size]byte(proof), proofOf)
}

// End ends a session on every node. It is no error that there is none.
func (s *Sessions) End(ctx context.Context, token string) error {
	name := nameOf(token)
	if _, ok := (*s.open.Load())[name]; !ok {
		return nil
	}
	return s.end(ctx, name)
}

func (s *Sessions) end(ctx context.Context, name string) error {
	if err := s.cfg.Bucket.Delete(ctx, sessionPrefix+name); err != nil {
		return err
	}
	s.change(func(all map[string]session) { delete(all, name) })
	return nil
}

func nameOf(token string) string {
	hash := sha256.Sum256([]byte(token))
	return hex.EncodeToString(hash[:])
}

// follow runs one watch; what it brings at first replaces all that was there.
func (s *Sessions) follow(ctx context.Context, loaded func()) error {
	first, ready := map[string]session{}, false
	return s.cfg.Bucket.WatchKeys(ctx, sessionPrefix+">", func(c journal.Change) {
		if ready {
			s.change(func(all map[string]session) { take(all, c) })
		} else {
			take(first, c)
		}
	}, func() {
		ready = true
		s.change(func(all map[string]session) { clear(all); maps.Copy(all, first) })
		loaded()
	})
}

// take brings a change in. What cannot be read lets nobody in.
func take(all map[string]session, c journal.Change) {
	name := strings.TrimPrefix(c.Key, sessionPrefix)
	var one session
	if c.Deleted || json.Unmarshal(c.Data, &one) != nil || one.V != event.Version {
		delete(all, name)
		return
	}
	all[name] = one
}

// change replaces the sessions by what do makes of them, without those that are over.
func (s *Sessions) change(do func(map[string]session)) {
	for {
		was := s.open.Load()
		all := maps.Clone(*was)
		do(all)
		now := s.cfg.Now()
		maps.DeleteFunc(all, func(_ string, one session) bool { return !now.Before(one.Ends) })
		if s.open.CompareAndSwap(was, &all) {
			return
		}
	}
}
