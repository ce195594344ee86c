package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster/journal"
)

const (
	// budgetTopic is where the nodes tell each other what they have counted.
	budgetTopic = "webhooks"
	// tellEvery is how long what was counted is gathered before the others are told.
	tellEvery = 50 * time.Millisecond
	// askTimeout bounds how long a node that starts waits to hear what counts.
	askTimeout = time.Second
	// toldBytes is about how much is told in one message; one count is far smaller than what is left.
	toldBytes = journal.MaxTold / 2
)

// Peers are the other nodes; *journal.Journal leads to them.
type Peers interface {
	Join(ctx context.Context, topic string, heard func([]byte), present func() [][]byte) (*journal.Topic, error)
}

// budgets count each integration's webhooks of an hour, over all nodes. Each node allows by what it knows and
// tells the others what it has allowed; what is on its way to them may be allowed beyond the limit.
type budgets struct {
	*windows[string]
	now   func() time.Time
	topic *journal.Topic // nil: there are no others

	mu     sync.Mutex
	untold map[string]*counted
	timer  *time.Timer // runs while there is something untold
	tells  sync.WaitGroup
	closed bool
}

// told is a message of the topic.
type told struct {
	V      int       `json:"v"`
	Counts []counted `json:"counts"`
}

// counted is how many webhooks of an integration were allowed, and when. A node that has another limit keeps it.
type counted struct {
	ID    string `json:"id"`
	Limit int    `json:"limit"`
	N     int    `json:"n"`
	Age   int    `json:"age,omitempty"` // in seconds
}

// newBudgets returns budgets that know what the peers have counted already.
func newBudgets(peers Peers, now func() time.Time) (*budgets, error) {
	b := &budgets{windows: newWindows[string](time.Hour), now: now, untold: map[string]*counted{}}
	if peers == nil {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	var err error
	if b.topic, err = peers.Join(ctx, budgetTopic, b.heard, b.present); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return b, nil
}

// close tells the others what they were not told yet.
func (b *budgets) close() {
	b.mu.Lock()
	b.closed = true
	if b.timer != nil && b.timer.Stop() {
		b.tells.Done()
	}
	b.mu.Unlock()
	b.tells.Wait()
	if b.topic != nil {
		b.tell()
		b.topic.Leave()
	}
}

// spend is allow, and has the others know.
func (b *budgets) spend(id string, limit int, now time.Time) (ok bool, after time.Duration) {
	ok, after = b.allow(id, limit, now)
	if !ok || b.topic == nil {
		return ok, after
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.untold[id]
	if c == nil {
		c = &counted{ID: id, Limit: limit}
		b.untold[id] = c
	}
	c.N++
	if b.timer == nil && !b.closed {
		b.tells.Add(1)
		b.timer = time.AfterFunc(tellEvery, func() {
			defer b.tells.Done()
			b.tell()
		})
	}
	return ok, after
}

// tell gives what was counted to the others. What does not reach them they do not count.
func (b *budgets) tell() {
	b.mu.Lock()
	counts := make([]counted, 0, len(b.untold))
	for _, c := range b.untold {
		counts = append(counts, *c)
	}
	clear(b.untold)
	b.timer = nil
	b.mu.Unlock()
	for _, message := range messages(counts) {
		_ = b.topic.Tell(message) // the connection is lost: nothing is accepted here until it is back
	}
}

// messages writes counts down.
func messages(counts []counted) [][]byte {
	var out [][]byte
	for size, from, i := 0, 0, 0; i < len(counts); i++ {
		size += len(counts[i].ID) + 64
		if size < toldBytes && i < len(counts)-1 {
			continue
		}
		data, err := json.Marshal(told{event.Version, counts[from : i+1]})
		if err == nil {
			out = append(out, data)
		}
		size, from = 0, i+1
	}
	return out
}

// heard counts what another node tells. What cannot be read, as of a later version, counts for nothing.
func (b *budgets) heard(data []byte) {
	var m told
	if json.Unmarshal(data, &m) != nil || m.V != event.Version {
		return
	}
	now := b.now()
	for _, c := range m.Counts {
		if event.CheckID(c.ID) == nil && c.Limit > 0 && c.N > 0 && c.Age >= 0 {
			b.add(c.ID, c.Limit, c.N, time.Duration(min(c.Age, int(b.per/time.Second)*2))*time.Second, now)
		}
	}
}

// present is what a node is told that starts.
func (b *budgets) present() [][]byte {
	var counts []counted
	b.each(b.now(), func(id string, limit, n int, age time.Duration) {
		counts = append(counts, counted{id, limit, n, int(age / time.Second)})
	})
	return messages(counts)
}
