package cluster

import (
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// gossipLog passes on what memberlist says, warnings and worse: a line a message, in which the level
// stands in brackets. Who knocks with a wrong key does so again and again: it is bounded.
type gossipLog struct{ log zerolog.Logger }

func newGossipLog(log zerolog.Logger) gossipLog {
	return gossipLog{log.Sample(&zerolog.BurstSampler{Burst: 30, Period: time.Minute})}
}

func (l gossipLog) Write(line []byte) (int, error) {
	_, text, found := strings.Cut(string(line), "[")
	level, text, closed := strings.Cut(text, "]")
	if !found || !closed {
		return len(line), nil
	}
	text = strings.TrimPrefix(strings.TrimSpace(text), "memberlist: ")
	switch level {
	case "WARN":
		l.log.Warn().Msg(text)
	case "ERR", "ERROR":
		l.log.Error().Msg(text)
	}
	return len(line), nil
}
