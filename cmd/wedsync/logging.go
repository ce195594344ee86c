package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// newLogger writes to standard error: for people on a terminal, otherwise for programs.
func newLogger(w world, c LoggingConfig) zerolog.Logger {
	out := w.stderr
	if c.Format == "console" || c.Format == "auto" && terminal(out) {
		out = zerolog.ConsoleWriter{Out: out, TimeFormat: "15:04:05.000", NoColor: !w.colours(out)}
	}
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil { // Validate saw to it that there is none
		level = zerolog.InfoLevel
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// terminal reports whether what is written to out is read by a person at once.
func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// colours reports whether to write colours to out; NO_COLOR (no-color.org) forbids them.
func (w world) colours(out io.Writer) bool {
	return terminal(out) && !slices.ContainsFunc(w.environ, func(e string) bool {
		value, ok := strings.CutPrefix(e, "NO_COLOR=")
		return ok && value != ""
	})
}
