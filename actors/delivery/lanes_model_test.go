package delivery_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

// model is Lanes written to be obviously right: slices, searched from the front.
type model struct {
	items    map[string][]int
	inFlight map[string]bool
	until    map[string]time.Time
}

func (m *model) startable(key string, now time.Time) bool {
	return len(m.items[key]) > 0 && !m.inFlight[key] && !m.until[key].After(now)
}

func (m *model) done(key string) {
	if m.inFlight[key] {
		m.inFlight[key] = false
		m.items[key] = m.items[key][1:]
	}
}

func (m *model) hold(key string, until time.Time) {
	if len(m.items[key]) > 0 {
		m.inFlight[key] = false
		m.until[key] = until
	}
}

func (m *model) overtake(key string, may func(head, item int) bool) bool {
	items := m.items[key]
	for i := 1; i < len(items) && !m.inFlight[key]; i++ {
		if may(items[0], items[i]) {
			m.items[key] = slices.Concat(items[i:i+1], items[:i], items[i+1:])
			m.until[key] = time.Time{}
			return true
		}
	}
	return false
}

func (m *model) expire(gone func(int) bool) (out []int) {
	for key, items := range m.items {
		for !m.inFlight[key] && len(items) > 0 && gone(items[0]) {
			out = append(out, items[0])
			items = items[1:]
			m.items[key], m.until[key] = items, time.Time{}
		}
	}
	slices.Sort(out)
	return out
}

func (m *model) wake(now time.Time) (at time.Time, ok bool) {
	for key := range m.items {
		if len(m.items[key]) == 0 || m.inFlight[key] {
			continue
		}
		t := m.until[key]
		if t.Before(now) {
			t = now
		}
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	return at, ok
}

// FuzzLanes plays a script on Lanes and on the model. Each byte is an operation and one of eight keys.
func FuzzLanes(f *testing.F) {
	f.Add([]byte{0, 1, 2, 0, 3, 3, 4, 5, 3, 6, 7, 8, 3})
	f.Add([]byte("\x00\x08\x10\x18\x03\x03\x03\x05\x0d\x15\x06\x1e\x07\x03\x04\x0c\x02\x03"))
	f.Fuzz(playLanes)
}

// TestLanesRandomly plays long random scripts, so that every run of the tests sees some.
func TestLanesRandomly(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		playLanes(t, randomScript(seed, 2000))
	}
}

func randomScript(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, seed))
	script := make([]byte, n)
	for i := range script {
		script[i] = byte(rnd.Uint32())
	}
	return script
}

func playLanes(t *testing.T, script []byte) {
	t.Helper()
	var l delivery.Lanes[int]
	m := model{items: map[string][]int{}, inFlight: map[string]bool{}, until: map[string]time.Time{}}
	now, pushed, taken := t0, 0, 0
	served := map[string]map[string]bool{} // by a startable key: who was served while it waited
	for i, op := range script {
		key := string('a' + rune(op>>3&7))
		switch op & 7 {
		case 0, 1:
			if op > 191 {
				may := func(head, item int) bool { return item%4 == 3 && head%4 != 3 }
				got := l.Overtake(key, func(head, item *int) bool { return may(*head, *item) })
				if want := m.overtake(key, may); got != want {
					t.Fatalf("op %d: overtaken is %v, the model %v", i, got, want)
				}
				break
			}
			l.Push(key, pushed)
			m.items[key] = append(m.items[key], pushed)
			pushed++
		case 2, 3:
			got, item, ok := l.Next(now)
			want := false
			for k := range m.items {
				want = want || m.startable(k, now)
				if m.startable(k, now) && served[k] == nil {
					served[k] = map[string]bool{}
				}
			}
			if ok != want {
				t.Fatalf("op %d: next gives %v, the model %v", i, ok, want)
			}
			if !ok {
				continue
			}
			if !m.startable(got, now) || *item != m.items[got][0] {
				t.Fatalf("op %d: next gives %s:%d, the model has %v (%v)", i, got, *item, m.items[got], m.startable(got, now))
			}
			m.inFlight[got] = true
			delete(served, got)
			for waiting, who := range served {
				if who[got] {
					t.Fatalf("op %d: %s was served twice while %s waited", i, got, waiting)
				}
				who[got] = true
			}
		case 4:
			if m.inFlight[key] {
				taken++
			}
			l.Done(key)
			m.done(key)
		case 5:
			until := now.Add(time.Duration(i%7) * time.Second)
			if i%7 == 6 {
				until = time.Time{}
			}
			l.Hold(key, until)
			m.hold(key, until)
			delete(served, key)
		case 6:
			if op>>3&1 == 0 {
				now = now.Add(time.Duration(op>>4) * 400 * time.Millisecond)
				continue
			}
			l.Release()
			clear(m.until)
		case 7:
			gone := func(item int) bool { return item%8 == int(op>>3&7) || item%3 == 0 && op > 128 }
			got := l.Expire(func(item *int) bool { return gone(*item) })
			slices.Sort(got)
			want := m.expire(gone)
			if !slices.Equal(got, want) {
				t.Fatalf("op %d: expired %v, the model %v", i, got, want)
			}
			taken += len(got)
			clear(served)
		}
		for k := range served {
			if !m.startable(k, now) {
				delete(served, k)
			}
		}
		at, ok := l.Wake(now)
		wantAt, wantOK := m.wake(now)
		if ok != wantOK || !at.Equal(wantAt) {
			t.Fatalf("op %d: wake %s %v, the model %s %v", i, at, ok, wantAt, wantOK)
		}
		flying := 0
		for _, f := range m.inFlight {
			if f {
				flying++
			}
		}
		if l.Len() != pushed-taken || l.InFlight() != flying || l.Waiting() != pushed-taken-flying {
			t.Fatalf("op %d: len %d, in flight %d, waiting %d; the model %d, %d", i, l.Len(), l.InFlight(), l.Waiting(), pushed-taken, flying)
		}
	}
	all := map[string][]int{}
	for key, item := range l.All() {
		all[key] = append(all[key], *item)
	}
	for key, items := range m.items {
		if !slices.Equal(all[key], items) {
			t.Fatalf("lane %s: %v, the model %v", key, all[key], items)
		}
	}
}
