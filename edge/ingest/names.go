package ingest

import "bytes"

// few is up to how many keys of an object are compared one by one.
const few = 16

// names are the keys of one open object; it refuses those that it already has.
type names struct {
	s    *scanner
	from int
	many map[string]struct{} // once there are more than few
}

func newNames(s *scanner) names { return names{s: s, from: len(s.names)} }

func (n *names) add(key []byte) bool {
	if n.many != nil {
		_, dup := n.many[string(key)]
		n.many[string(key)] = struct{}{}
		return !dup
	}
	open := n.s.names[n.from:]
	for _, have := range open {
		if bytes.Equal(have, key) {
			return false
		}
	}
	n.s.names = append(n.s.names, key)
	if len(open) == few {
		n.many = make(map[string]struct{}, 4*few)
		for _, k := range n.s.names[n.from:] {
			n.many[string(k)] = struct{}{}
		}
	}
	return true
}

func (n *names) close() { n.s.names = n.s.names[:n.from] }
