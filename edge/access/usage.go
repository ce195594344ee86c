package access

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

// usedSuffix ends the keys of the bucket under which the nodes note when an API key was last used.
const usedSuffix = ".used"

// usedEvery is how exactly that is known: a key that is used all the time is noted once in it.
const usedEvery = time.Minute

// maxNotes is how many uses wait to be noted. What comes on top is dropped: the key's next use in another
// minute is noted instead.
const maxNotes = 256

// usage is when a key was last used, as far as this node knows.
type usage struct{ seconds atomic.Int64 } // since 1970, rounded down to usedEvery; 0: never

// at returns the time, zero for never.
func (u *usage) at() time.Time {
	if s := u.seconds.Load(); s > 0 {
		return time.Unix(s, 0).UTC()
	}
	return time.Time{}
}

// raise reports whether the time is later than what was known.
func (u *usage) raise(to time.Time) bool {
	s := to.Truncate(usedEvery).Unix()
	for {
		was := u.seconds.Load()
		if s <= was {
			return false
		}
		if u.seconds.CompareAndSwap(was, s) {
			return true
		}
	}
}

// usedRecord is a use as the bucket has it.
type usedRecord struct {
	V  int       `json:"v"`
	At time.Time `json:"at"`
}

// use notes that a key is used now. It costs nothing but for the first time in a minute, and never waits.
func (r *Keyring) use(k *held, now time.Time) {
	if !k.used.raise(now) {
		return
	}
	select {
	case r.notes <- k:
	default:
		r.unnoted.Inc()
	}
}

// note writes uses to the log until ctx ends.
func (r *Keyring) note(ctx context.Context) {
	for {
		select {
		case k := <-r.notes:
			r.noteOne(ctx, k)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Keyring) noteOne(ctx context.Context, k *held) {
	if (*r.held.Load())[k.key.ID] == nil {
		return // revoked meanwhile
	}
	data, err := json.Marshal(usedRecord{event.Version, k.used.at()})
	if err == nil {
		_, err = r.cfg.Bucket.Put(ctx, recordPrefix+k.key.ID+usedSuffix, data)
	}
	if err != nil && ctx.Err() == nil {
		r.unnoted.Inc()
		r.cfg.Logger.Warn().Err(err).Str("key", k.key.ID).Msg("the other nodes do not know that an API key was used")
	}
}

// takeUse brings in what a node has noted. What cannot be read, or is of a key that is gone, says nothing.
func (r *Keyring) takeUse(all map[string]*held, key string, data []byte) {
	k := all[strings.TrimSuffix(strings.TrimPrefix(key, recordPrefix), usedSuffix)]
	var u usedRecord
	if k == nil || json.Unmarshal(data, &u) != nil || u.V != event.Version {
		return
	}
	k.used.raise(u.At)
}
