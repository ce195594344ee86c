package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// process is a child: it ends with us, whatever ends us.
type process struct {
	pid   int
	stdin io.Closer     // closing it ends a library's child
	done  chan struct{} // closed when it has ended; err is set before
	err   error
	kill  func()
}

// startProcess starts the engine. The lock is the child's, too, until it ends.
func startProcess(e engine, args []string, lock *os.File, log zerolog.Logger) (*process, error) {
	output := &lines{log: log}
	cmd := exec.Command(e.path, append([]string{"local"}, args...)...) //nolint:noctx // it outlives Start's context
	cmd.Args[0] = "clickhouse"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TZ=UTC"}
	if e.library {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd.Path, cmd.Args = self, append([]string{self}, args...)
		cmd.Env = append(cmd.Env, childEnv+"="+e.path)
	}
	cmd.Stderr = output
	cmd.ExtraFiles = []*os.File{lock}
	cmd.WaitDelay = time.Second
	tie(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}

	p := &process{stdin: stdin, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ties the child to this thread, not to the process: it must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = ended(cmd.Wait(), output)
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p.pid = cmd.Process.Pid
	p.kill = func() { _ = cmd.Process.Kill() }
	return p, nil
}

// ended says why the process ended. The library exits with 0 after some errors.
func ended(err error, output *lines) error {
	if err == nil {
		err = errors.New("it ended of itself")
	}
	if last := output.lastError(); last != "" {
		err = fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// lines logs what the engine writes and keeps the last error.
type lines struct {
	log zerolog.Logger

	mu   sync.Mutex
	rest []byte
	last string
}

const maxLine = 4 << 10

// Write takes whole and partial lines; it never fails.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			break
		}
		l.line(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
	if len(l.rest) > maxLine {
		l.line(string(l.rest))
		l.rest = nil
	}
	return len(p), nil
}

func (l *lines) line(text string) {
	text = strings.TrimSpace(text)
	if text == "" || isFrame(text) {
		return
	}
	if strings.Contains(text, "Exception") || strings.HasPrefix(text, "load ") || strings.HasPrefix(text, "panic: ") {
		l.last = text[:min(len(text), maxLine)]
	}
	l.log.Debug().Str("engine", "clickhouse").Msg(text)
}

// isFrame reports whether the line is of a stack trace, such as "12. ? @ 0x000000000f12bc5e"; the
// engine has no symbols, so they say nothing.
func isFrame(text string) bool {
	number, rest, ok := strings.Cut(text, ". ")
	_, err := strconv.Atoi(number)
	return ok && err == nil && strings.Contains(rest, " @ 0x")
}

func (l *lines) lastError() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
