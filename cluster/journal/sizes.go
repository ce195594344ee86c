package journal

import "fmt"

const (
	mib = 1 << 20
	gib = 1 << 30

	defaultMaxStore = 32 * gib
	minStore        = 64 * mib
)

// sizes are the bounds of all streams, in bytes.
type sizes struct {
	store                         int64 // of all together; 0: whatever the external server allows
	events, work, records, dead   int64
	config, secrets, shards, seen int64
}

// chooseSizes takes the sizes that are configured and fits the others into what is left, keeping
// their proportions. room is how much the disk can give to the store in all; 0 means unknown.
func chooseSizes(cfg Config, path string, room int64) (sizes, error) {
	s := sizes{
		events: cfg.EventBytes, work: cfg.WorkBytes, records: cfg.RecordBytes, dead: cfg.DeadBytes,
		store: cfg.MaxStore,
	}
	if room > 0 && s.store == 0 {
		s.store = max(min(defaultMaxStore, room/5*4), minStore)
	}
	fixed := s.events + s.work + s.records + s.dead
	open := []struct {
		size  *int64
		usual int64
	}{
		{&s.events, 8 * gib},
		{&s.work, 4 * gib},
		{&s.records, 10 * gib},
		{&s.dead, gib},
		{&s.config, 256 * mib},
		{&s.secrets, 64 * mib},
		{&s.shards, 16 * mib},
		{&s.seen, 512 * mib},
	}
	var usual int64
	for _, o := range open {
		if *o.size == 0 {
			usual += o.usual
		}
	}
	left := s.store - fixed
	if s.store > 0 && left < mib {
		return s, &StoreError{path, fmt.Errorf("%w: MaxStore is %d bytes, and the sizes configured for its streams take %d of it", ErrFull, s.store, fixed), "raise MaxStore or lower the sizes"}
	}
	for _, o := range open {
		switch {
		case *o.size > 0:
		case s.store == 0 || usual <= left:
			*o.size = o.usual
		default:
			*o.size = int64(float64(o.usual) / float64(usual) * float64(left))
		}
	}
	return s, nil
}
