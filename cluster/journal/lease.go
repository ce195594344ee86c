package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Lease is the right to work on a shard until Expires. Epoch grows with every claim, so that what
// an earlier owner did can be told apart. Clocks of different nodes must agree to well within the
// length of a lease.
type Lease struct {
	Shard    int       `json:"shard"`
	Holder   string    `json:"holder"` // "" after Release
	Epoch    uint64    `json:"epoch"`
	Expires  time.Time `json:"expires"`
	Revision uint64    `json:"-"`
}

// Claim takes a shard's lease that is free, has expired, or is the holder's own. While somebody else
// has it, or was faster, it fails with ErrHeld.
func (j *Journal) Claim(ctx context.Context, shard int, holder string, ttl time.Duration) (Lease, error) {
	switch {
	case shard < 0 || shard >= j.cfg.Shards:
		return Lease{}, fmt.Errorf("claiming shard %d: there are %d shards", shard, j.cfg.Shards)
	case holder == "":
		return Lease{}, fmt.Errorf("claiming shard %d: a holder is needed", shard)
	case ttl <= 0:
		return Lease{}, fmt.Errorf("claiming shard %d: the lease must be longer than %v", shard, ttl)
	}
	old, err := j.lease(ctx, shard)
	if err != nil {
		return Lease{}, err
	}
	now := j.cfg.Now()
	if old.Holder != "" && old.Holder != holder && now.Before(old.Expires) {
		return Lease{}, heldError(old)
	}
	return j.writeLease(ctx, Lease{
		Shard: shard, Holder: holder, Epoch: old.Epoch + 1, Expires: now.Add(ttl), Revision: old.Revision,
	})
}

// Renew prolongs a lease to ttl from now. It fails with ErrHeld when somebody else has claimed it,
// and with ErrConflict when it has expired, was released or was claimed anew: claim it again then.
func (j *Journal) Renew(ctx context.Context, l Lease, ttl time.Duration) (Lease, error) {
	if ttl <= 0 {
		return Lease{}, fmt.Errorf("renewing the lease of shard %d: it must be longer than %v", l.Shard, ttl)
	}
	now := j.cfg.Now()
	if !now.Before(l.Expires) {
		return Lease{}, fmt.Errorf("renewing the lease of shard %d: %w: it expired at %v", l.Shard, ErrConflict, l.Expires)
	}
	l.Expires = now.Add(ttl)
	return j.writeLease(ctx, l)
}

// Release gives a lease back. It is no error that somebody else has claimed it since.
func (j *Journal) Release(ctx context.Context, l Lease) error {
	l.Holder, l.Expires = "", time.Time{}
	_, err := j.writeLease(ctx, l)
	if errors.Is(err, ErrHeld) || errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// lease reads the shard's lease; one never claimed is the zero Lease.
func (j *Journal) lease(ctx context.Context, shard int) (Lease, error) {
	v, err := j.buckets[bucketShards].Get(ctx, leaseKey(shard))
	if errors.Is(err, ErrNotFound) {
		return Lease{Shard: shard}, nil
	}
	if err != nil {
		return Lease{}, err
	}
	var l Lease
	if err := json.Unmarshal(v.Data, &l); err != nil {
		// Whoever wrote it cannot renew it: treat it as expired, but keep the comparison.
		j.bad("KV_"+bucketShards, v.Revision, leaseKey(shard), err)
		l = Lease{}
	}
	l.Shard, l.Revision = shard, v.Revision
	return l, nil
}

// writeLease replaces exactly the lease with l.Revision; 0 means none yet.
func (j *Journal) writeLease(ctx context.Context, l Lease) (Lease, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return Lease{}, err
	}
	revision, err := j.buckets[bucketShards].Update(ctx, leaseKey(l.Shard), data, l.Revision)
	if errors.Is(err, ErrConflict) {
		now, readErr := j.lease(ctx, l.Shard)
		if readErr != nil {
			return Lease{}, errors.Join(err, readErr)
		}
		if now.Holder != "" && now.Holder != l.Holder {
			return Lease{}, heldError(now)
		}
	}
	if err != nil {
		return Lease{}, err
	}
	l.Revision = revision
	return l, nil
}

func heldError(l Lease) error {
	return fmt.Errorf("shard %d: %w: %s, until %s", l.Shard, ErrHeld, l.Holder, l.Expires.Format(time.RFC3339Nano))
}

func leaseKey(shard int) string { return strconv.Itoa(shard) }
