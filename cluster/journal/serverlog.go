package journal

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"
)

var _ server.Logger = (*serverLog)(nil)

// serverLog passes on what the embedded server says, warnings and worse, and keeps what it died of.
type serverLog struct {
	log zerolog.Logger

	mu    sync.Mutex
	fatal string
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}

// Warnf leaves out what is no news: that names in certificates are not compared with host names (see
// Cluster.TLS), and what a server says of its streams while it ends.
func (l *serverLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "will not be verified") || strings.Contains(text, "store is closed") || strings.Contains(text, "blocking snapshot") {
		return
	}
	l.log.Warn().Msg(text)
}

func (l *serverLog) Errorf(format string, v ...any) { l.log.Error().Msgf(format, v...) }

// Fatalf is followed by the end of the server, not of the process.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
}

func (l *serverLog) reason() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
