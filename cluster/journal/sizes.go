package journal

import "fmt"

const (
	mib = 1 << 20
	gib = 1 << 30

	defaultMaxStore = 32 * gib
	minStore        = 64 * mib

	// least is what the smallest have at any rate, and leastLeft enough for all of them: a lease that
	// cannot be renewed for want of room would stop the node.
	least       = mib / 4
	leastConfig = mib
	leastRouted = mib / 2 // of some shards with all that they can have in hand
	leastLeft   = 4 * mib
)

// sizes are the bounds of all streams, in bytes.
type sizes struct {
	store                         int64 // of all together; 0: whatever the external server allows
	events, work, records, dead   int64
	config, secrets, shards, seen int64
	answers, clients, syncs       int64
	routed                        int64
}

// bytesOf is the size that is configured for a stream; 0: none is.
func (c Config) bytesOf(stream string) int64 {
	switch stream {
	case streamEvents:
		return c.EventBytes
	case streamWork:
		return c.WorkBytes
	case streamRecords:
		return c.RecordBytes
	case streamDead:
		return c.DeadBytes
	}
	return 0
}

// chooseSizes takes the sizes that are configured and fits the others into what is left: beyond the
// least for each, in their proportions. room is how much the disk can give to the store in all; 0 means unknown.
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
		size         *int64
		usual, least int64
	}{
		{&s.events, 8 * gib, least},
		{&s.work, 4 * gib, least},
		{&s.records, 10 * gib, least},
		{&s.dead, gib, least},
		{&s.config, 256 * mib, leastConfig},
		{&s.secrets, 64 * mib, least},
		{&s.shards, 16 * mib, least},
		{&s.routed, 16 * mib, leastRouted},
		{&s.seen, 512 * mib, least},
		{&s.answers, 64 * mib, least},
		{&s.clients, 256 * mib, least},
		{&s.syncs, 256 * mib, least},
	}
	var usual, sure int64
	for _, o := range open {
		if *o.size == 0 {
			usual += o.usual
			sure += o.least
		}
	}
	left := s.store - fixed
	if s.store > 0 && left < leastLeft {
		return s, &StoreError{path, fmt.Errorf("%w: MaxStore is %d bytes, and the sizes configured for its streams take %d of it; %d must be left", ErrFull, s.store, fixed, int64(leastLeft)), "raise MaxStore or lower the sizes"}
	}
	for _, o := range open {
		switch {
		case *o.size > 0:
		case s.store == 0 || usual <= left:
			*o.size = o.usual
		default:
			*o.size = o.least + int64(float64(o.usual)/float64(usual)*float64(left-sure))
		}
	}
	return s, nil
}
