package demo

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// story tells what happens, a line a step. It is safe for concurrent use.
type story struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	from   time.Time // what the times of steps count from
}

// The colours, as ANSI escape codes.
const (
	bold   = "1"
	green  = "32"
	yellow = "33"
	red    = "31"
	grey   = "90"
)

func (s *story) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// scene opens a scene; number 0 is what comes after them.
func (s *story) scene(n int, name, about string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 {
		name = fmt.Sprintf("Scene %d: %s", n, name)
	}
	fmt.Fprintf(s.out, "\n%s  %s\n", s.paint(bold, name), s.paint(grey, about))
	s.from = time.Now()
}

// begin starts a new clock: the following steps are timed from here.
func (s *story) begin(format string, args ...any) {
	s.mu.Lock()
	s.from = time.Now()
	s.mu.Unlock()
	s.line(bold, ">", format, args...)
}

func (s *story) step(format string, args ...any) { s.line(green, "✓", format, args...) }
func (s *story) note(format string, args ...any) { s.line(yellow, "·", format, args...) }
func (s *story) fail(text string)                { s.line(red, "✗", "%s", text) }

func (s *story) line(colour, mark, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := fmt.Sprintf("%7.1f ms", float64(time.Since(s.from).Microseconds())/1000)
	fmt.Fprintf(s.out, "  %s %s  %s\n", s.paint(colour, mark), s.paint(grey, took), fmt.Sprintf(format, args...))
}
