package journal

import (
	"github.com/rs/zerolog"
)

// serverLog passes what the embedded server says on, warnings and worse.
type serverLog struct{ log zerolog.Logger }

func (l serverLog) Noticef(string, ...any)         {}
func (l serverLog) Debugf(string, ...any)          {}
func (l serverLog) Tracef(string, ...any)          {}
func (l serverLog) Warnf(format string, v ...any)  { l.log.Warn().Msgf(format, v...) }
func (l serverLog) Errorf(format string, v ...any) { l.log.Error().Msgf(format, v...) }
func (l serverLog) Fatalf(format string, v ...any) { l.log.Error().Msgf(format, v...) }
