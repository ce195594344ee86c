package ws

import (
	"math/rand/v2"
	"sync"
	"time"
)

// heartbeat times one connection: the connect command that has to come, then pings and their pongs.
// It is safe for concurrent use.
type heartbeat struct {
	pongs             bool // are expected
	interval, timeout time.Duration
	ping              func()
	expire            func(CloseCode)

	mu    sync.Mutex
	timer *time.Timer
	phase phase
	busy  bool // a command is under way: whatever came behind it is not read yet
	late  bool // the time for the pong was over while busy
}

type phase uint8

const (
	connecting phase = iota // the connect command has to come
	resting                 // until the next ping
	waiting                 // for a pong
	answered                // the pong came; as resting, after the rest of the time-out
	stopped
)

func newHeartbeat(cfg Config, pongs bool, ping func(), expire func(CloseCode)) *heartbeat {
	h := &heartbeat{pongs: pongs, interval: cfg.PingInterval, timeout: cfg.PongTimeout, ping: ping, expire: expire}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(cfg.ConnectTimeout, h.beat)
	return h
}

// connected begins the pings. The first comes early by up to half an interval, so that clients that
// all came at once are not all pinged at once.
func (h *heartbeat) connected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != connecting {
		return
	}
	h.phase = resting
	h.timer.Reset(h.interval/2 + rand.N(h.interval/2))
}

// pong reports whether a pong was due.
func (h *heartbeat) pong() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase == stopped {
		return true
	}
	due := h.phase == waiting
	if due {
		h.phase = answered
	}
	return due
}

// command says whether a command is under way. A pong that came meanwhile is not seen before it has ended.
func (h *heartbeat) command(underWay bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy = underWay
	if h.late && h.phase == waiting {
		h.late = false
		h.timer.Reset(h.timeout)
	}
}

func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase = stopped
	h.timer.Stop()
}

func (h *heartbeat) beat() {
	h.mu.Lock()
	was := h.phase
	h.late = was == waiting && h.busy
	late := h.late
	switch was {
	case resting:
		h.timer.Reset(h.interval)
		if h.pongs {
			h.phase = waiting
			h.timer.Reset(h.timeout)
		}
	case answered:
		h.phase = resting
		h.timer.Reset(h.interval - h.timeout)
	}
	h.mu.Unlock()
	switch {
	case was == connecting:
		h.expire(CloseConnectTimeout)
	case was == resting:
		h.ping()
	case was == waiting && !late:
		h.expire(CloseNoPong)
	}
}
