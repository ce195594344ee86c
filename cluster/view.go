package cluster

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// View is the members at one moment. It never changes and is safe for concurrent use. The zero View
// has no members.
type View struct {
	members []Member    // by name
	owners  []candidate // those that may own shards
}

type candidate struct {
	name string
	hash uint64
}

// NewView returns a view of the members. Of several with one name the latest incarnation counts.
func NewView(members ...Member) *View {
	sorted := slices.Clone(members)
	slices.SortStableFunc(sorted, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(b.Incarnation, a.Incarnation))
	})
	v := &View{members: slices.CompactFunc(sorted, func(a, b Member) bool { return a.Name == b.Name })}
	for _, m := range v.members {
		if m.State == Up && m.Roles.Has(Core) && !m.Failed {
			v.owners = append(v.owners, candidate{m.Name, xxhash.Sum64String(m.Name)})
		}
	}
	return v
}

// Members returns the members, sorted by name. The caller may keep and change the slice.
func (v *View) Members() []Member { return slices.Clone(v.members) }

// Member returns the member of that name.
func (v *View) Member(name string) (Member, bool) {
	i, ok := slices.BinarySearchFunc(v.members, name, func(m Member, name string) int { return cmp.Compare(m.Name, name) })
	if !ok {
		return Member{}, false
	}
	return v.members[i], true
}

// Owner returns the name of the member that should own a shard: of the core members that are up and whose part of
// the log works, the one with the highest weight for it. It returns "" when there is none.
func (v *View) Owner(shard int) string {
	var best candidate
	var most uint64
	for _, c := range v.owners {
		// Names are in order, so that of equal weights the first name wins everywhere.
		if w := weight(c.hash, shard); best.name == "" || w > most {
			best, most = c, w
		}
	}
	return best.name
}

// salt is chosen, of 200,000, so that eight shards spread evenly over three or five nodes with usual names
// (n1, node-0, wedsync-2): with so few, chance leaves one in eight such clusters with an idle node. All nodes
// must have the same.
const salt = 173_586

func weight(node uint64, shard int) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], node^salt)
	binary.LittleEndian.PutUint64(b[8:], uint64(shard))
	return xxhash.Sum64(b[:])
}
