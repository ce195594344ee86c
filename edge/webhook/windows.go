package webhook

import (
	"maps"
	"sync"
	"time"

	"github.com/wedsync/wedsync/actors/delivery"
)

// maxWindows bounds how many keys are counted at once; a window takes about 350 bytes.
const maxWindows = 20_000

// windows are sliding windows by key. It is safe for concurrent use.
type windows[K comparable] struct {
	per time.Duration

	mu  sync.Mutex
	all map[K]*window
}

type window struct {
	delivery.Window
	limit int
	used  time.Time
}

func newWindows[K comparable](per time.Duration) *windows[K] {
	return &windows[K]{per: per, all: map[K]*window{}}
}

// allow counts one for the key and returns true, or counts nothing and returns how long until one
// may be allowed. A changed limit begins a new window.
func (w *windows[K]) allow(key K, limit int, now time.Time) (ok bool, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	win := w.all[key]
	if win == nil || win.limit != limit {
		win = w.open(key, limit, now)
	}
	win.used = now
	return win.Allow(now)
}

// add counts what was allowed elsewhere, some time before now.
func (w *windows[K]) add(key K, limit, n int, age time.Duration, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	win := w.all[key]
	if win == nil {
		win = w.open(key, limit, now)
	}
	win.used = now
	win.Add(now, age, n)
}

// each calls fn with what counts.
func (w *windows[K]) each(now time.Time, fn func(key K, limit, n int, age time.Duration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, win := range w.all {
		win.Counts(now, func(age time.Duration, n int) { fn(key, win.limit, n, age) })
	}
}

func (w *windows[K]) open(key K, limit int, now time.Time) *window {
	if w.all[key] == nil && len(w.all) >= maxWindows {
		w.makeRoom(now)
	}
	win := &window{Window: delivery.NewWindow(limit, w.per), limit: limit}
	w.all[key] = win
	return win
}

// makeRoom forgets windows that are empty by now, and where there are none, some of the others.
func (w *windows[K]) makeRoom(now time.Time) {
	maps.DeleteFunc(w.all, func(_ K, win *window) bool { return now.Sub(win.used) > w.per+w.per/30 })
	spare := len(w.all) - maxWindows*9/10
	for key := range w.all {
		if spare <= 0 {
			return
		}
		delete(w.all, key)
		spare--
	}
}
