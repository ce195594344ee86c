package admin

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/edge/problem"
)

// What is live is made once for all who look at the same: same address, same rights.
const (
	liveEvery = time.Second      // a view is made anew
	liveShare = 20               // or as much rarer as keeps its making under one part in so many of a processor, and that of all views under one processor
	liveBeat  = 15 * time.Second // a sign of life where nothing changes
	liveWrite = 10 * time.Second // a browser may take that long to read
)

// maxViews is how many different views are open of those who have the same rights. Each costs, however few see it.
const maxViews = 200

// live has the views that are open.
type live struct {
	log     zerolog.Logger
	ctx     context.Context // of all views, ended by shutdown
	stop    context.CancelFunc
	running sync.WaitGroup
	squeezer

	mu    sync.Mutex
	views map[string]*view
}

func newLive(log zerolog.Logger) *live {
	ctx, stop := context.WithCancel(context.Background())
	return &live{log: log, ctx: ctx, stop: stop, views: map[string]*view{}}
}

// view is what some see.
type view struct {
	rights  string
	stop    context.CancelFunc
	readers int // under live.mu

	mu      sync.Mutex
	changed chan struct{} // closed with each change, and replaced
	version uint64        // of the last change
	frames  []frame
}

// frame is an event to send.
type frame struct {
	id      string
	version uint64
	data    []byte
	zipped  []byte // data as squeeze has it
}

// shutdown ends all views.
func (l *live) shutdown(ctx context.Context) error {
	l.mu.Lock() // nobody joins any more
	l.stop()
	l.mu.Unlock()
	ended := make(chan struct{})
	go func() { defer close(ended); l.running.Wait() }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the view of an address for those with these rights, and what to call in the end. The first who comes
// brings how it is made.
func (l *live) join(address, rights string, made func(context.Context) ([]part, error)) (*view, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, nil, problem.New(problem.ShuttingDown, "the node is stopping")
	}
	key := address + " " + rights
	v := l.views[key]
	if v == nil {
		if l.open(rights) >= maxViews {
			return nil, nil, problem.New(problem.TooManyConnections, "%d pages are open already with these rights; close some", maxViews).After(liveBeat)
		}
		ctx, stop := context.WithCancel(l.ctx)
		v = &view{rights: rights, stop: stop, changed: make(chan struct{})}
		l.views[key] = v
		l.running.Go(func() { l.run(ctx, v, made) })
	}
	v.readers++
	return v, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if v.readers--; v.readers == 0 {
			delete(l.views, key)
			v.stop()
		}
	}, nil
}

// open counts the views of those with these rights.
func (l *live) open(rights string) (n int) {
	for _, v := range l.views {
		if v.rights == rights {
			n++
		}
	}
	return n
}

// pause is how long a view rests whose making took that long.
func (l *live) pause(took time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(liveEvery, took*time.Duration(max(liveShare, len(l.views))))
}

// run makes a view anew until ctx ends.
func (l *live) run(ctx context.Context, v *view, made func(context.Context) ([]part, error)) {
	for {
		begun := time.Now()
		frames, err := l.frames(ctx, made)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			frames = []frame{{id: "trouble", data: sse("trouble", []byte(problem.Of(err).Detail))}}
		}
		v.change(frames, l.squeeze)
		wait := time.NewTimer(l.pause(time.Since(begun)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// frames makes a view. What panics is of one page, as where a request asks for it, and not the end of the node.
func (l *live) frames(ctx context.Context, made func(context.Context) ([]part, error)) (_ []frame, err error) {
	defer func() {
		if broke := recover(); broke != nil {
			l.log.Error().Interface("panic", broke).Bytes("stack", debug.Stack()).Msg("a live page panicked")
			err = problem.New(problem.Internal, "it could not be made; the node's log says more")
		}
	}()
	parts, err := made(ctx)
	if err != nil {
		return nil, err
	}
	frames := []frame{{id: "trouble", data: sse("trouble", nil)}}
	for _, p := range parts {
		var b bytes.Buffer
		if err := p.body.Render(ctx, &b); err != nil {
			if ctx.Err() != nil { // nobody looks any more
				return nil, err
			}
			l.log.Error().Err(err).Str("part", p.id).Msg("a live part could not be rendered")
			return nil, err
		}
		frames = append(frames, frame{id: p.id, data: sse(p.id, b.Bytes())})
	}
	return frames, nil
}

// change takes frames in, of which some may be new.
func (v *view) change(frames []frame, squeeze func([]byte) []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	news := false
	for _, f := range frames {
		at := -1
		for i := range v.frames {
			if v.frames[i].id == f.id {
				at = i
			}
		}
		switch {
		case at < 0:
			v.frames = append(v.frames, frame{id: f.id})
			at = len(v.frames) - 1
		case bytes.Equal(v.frames[at].data, f.data):
			continue
		}
		f.version, f.zipped, news = v.version+1, squeeze(f.data), true
		v.frames[at] = f
	}
	if news {
		v.version++
		close(v.changed)
		v.changed = make(chan struct{})
	}
}

// since returns what changed after a version, the version that it is at now, and what is closed when there is more.
func (v *view) since(version uint64) (changed []frame, now uint64, more <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, f := range v.frames {
		if f.version > version {
			changed = append(changed, f)
		}
	}
	return changed, v.version, v.changed
}

// sse writes an event as https://html.spec.whatwg.org/multipage/server-sent-events.html has it.
func sse(name string, data []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	for line := range strings.SplitSeq(strings.ReplaceAll(string(data), "\r", "\n"), "\n") {
		fmt.Fprintf(&b, "data: %s\n", line)
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// showLive sends the live parts of a page until the browser goes, the session ends or the node stops.
func (a *Admin) showLive(w http.ResponseWriter, v *visit, p *page) {
	if !v.may(p.scope) {
		a.fail(w, v, problem.New(problem.ScopeMissing, "this page needs the scope %s", p.scope))
		return
	}
	view, leave, err := a.live.join(v.URL.Path+"?"+v.URL.RawQuery, v.Caller().Rights(), func(ctx context.Context) ([]part, error) {
		own := *v
		own.Request, own.page = v.WithContext(ctx), p
		s, err := p.open(&own)
		return s.live, err
	})
	if err != nil {
		a.fail(w, v, err)
		return
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // of a proxy in between
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // else the server's own, for a whole request, ends it
	zipped := takesZipped(v.Request)
	if zipped {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(gzipHead) // what is sent next tells whether somebody reads
	}
	send := func(frames ...frame) bool {
		_ = c.SetWriteDeadline(time.Now().Add(liveWrite))
		for _, f := range frames {
			body := f.data
			if zipped {
				body = f.zipped
			}
			if _, err := w.Write(body); err != nil {
				return false
			}
		}
		return c.Flush() == nil
	}
	a.follow(v, view, send)
}

// follow sends what changes in a view. Who is signed out is told so.
func (a *Admin) follow(v *visit, view *view, send func(...frame) bool) {
	own := func(text []byte) frame { return frame{data: text, zipped: a.live.squeeze(text)} }
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	quiet := time.Now()
	if !send(own([]byte("retry: 2000\n\n"))) {
		return
	}
	var version uint64
	for {
		changed, now, more := view.since(version)
		version = now
		if _, err := a.cfg.Sessions.Find(v.token); err != nil {
			send(own(sse("signed-out", nil)))
			return
		}
		if len(changed) == 0 && time.Since(quiet) > liveBeat {
			changed = []frame{own([]byte(": alive\n\n"))}
		}
		if len(changed) > 0 {
			if !send(changed...) {
				return
			}
			quiet = time.Now()
		}
		select {
		case <-more:
		case <-tick.C: // has the session ended?
		case <-v.Context().Done():
			return
		case <-a.live.ctx.Done():
			return
		}
	}
}
