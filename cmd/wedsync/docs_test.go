package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/adapter"
)

// asCommand makes the test's binary the wedsync that a document's commands run; see TestMain.
const asCommand = "WEDSYNC_TEST_AS_COMMAND"

// within bounds what a command may take, and what it asks for until it is there.
const within = 30 * time.Second

// typed is a command of a document and what it should print.
type typed struct {
	line    int
	command string
	answer  []string
}

// commandsOf returns the commands of a document's console blocks: after "$ ", gone on with after "> ",
// each with the lines that follow.
func commandsOf(t *testing.T, path string) []typed {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []typed
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			all = append(all, typed{line: i + 1, command: line[2:]})
		case strings.HasPrefix(line, "> "):
			all[len(all)-1].command += "\n" + line[2:]
		default:
			all[len(all)-1].answer = append(all[len(all)-1].answer, line)
		}
	}
	return all
}

// pattern is what the answer has to look like, but for the width of its columns.
func (c typed) pattern() *regexp.Regexp {
	text := regexp.QuoteMeta(narrow(strings.Join(c.answer, "\n")))
	for name, form := range map[string]string{
		"<id>": `[A-Za-z0-9_-]+`, "<n>": `[0-9.]+`, "<time>": `[0-9][0-9:.TZ -]*[0-9Z]`, regexp.QuoteMeta("..."): `[^\n]*`,
	} {
		text = strings.ReplaceAll(text, name, form)
	}
	return regexp.MustCompile("^" + text + "$")
}

var spaces = regexp.MustCompile(`[ \r]+`)

// narrow writes columns one space apart, and the line ends of mails as those of files.
func narrow(text string) string {
	text = spaces.ReplaceAllString(text, " ")
	return strings.TrimSpace(strings.ReplaceAll(text, " \n", "\n"))
}

// asks matches commands that change nothing; what they ask for may take a moment to come.
var asks = regexp.MustCompile(`^(wedsync (tail .*|dead|integrations health .*)|curl -s( -H @auth)? http\S+( \| .*)?)$`)

// shell runs a document's commands in a folder of its own.
type shell struct {
	t       *testing.T
	dir     string
	environ []string
	replace []string // addresses of the document, and where that is here
}

func newShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{t: t, dir: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(s.dir, "wedsync")); err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("../../loadtest/js/node_modules") // where ClickHouse is
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(s.dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	s.environ = append(os.Environ(), "PATH="+s.dir+":"+os.Getenv("PATH"), asCommand+"=1", "GOCOVERDIR="+t.TempDir())
	return s
}

// start runs a command in the background until the test ends, and returns when it has printed a line
// that ready takes.
func (s *shell) start(from func(*exec.Cmd) (io.ReadCloser, error), ready func(line []byte) bool, command string, more ...string) {
	s.t.Helper()
	args := strings.Fields(strings.TrimSuffix(command, "&"))[1:]
	cmd := exec.Command(filepath.Join(s.dir, "wedsync"), append(args, more...)...)
	cmd.Dir, cmd.Env = s.dir, s.environ
	out, err := from(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	read := make(chan struct{})
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("%s: %v", command, err)
		}
	})
	found := false
	for !found && lines.Scan() {
		found = ready(lines.Bytes())
	}
	go func() { // or it would be stuck in printing
		defer close(read)
		_, _ = io.Copy(io.Discard, out)
	}()
	if !found {
		s.t.Fatalf("%s: did not start: %v", command, lines.Err())
	}
}

// startSims runs "wedsync sim" at free ports.
func (s *shell) startSims(command string) {
	s.t.Helper()
	var head struct{ Simulators map[string]string }
	s.start((*exec.Cmd).StdoutPipe, func(line []byte) bool {
		return json.Unmarshal(line, &head) == nil && len(head.Simulators) > 0
	}, command, "--port=0", "--json")
	for i, vendor := range []string{"studiocloud", "venuemaster", "whatsapp", "slack", "email"} {
		s.replace = append(s.replace, "http://127.0.0.1:910"+string(rune('0'+i)), head.Simulators[vendor])
	}
}

// startNode runs "wedsync serve" at a free port.
func (s *shell) startNode(command, clickhouse string) {
	s.t.Helper()
	var serving struct{ Addr string }
	s.start((*exec.Cmd).StderrPipe, func(line []byte) bool {
		return json.Unmarshal(line, &serving) == nil && serving.Addr != ""
	}, command, "--addr=127.0.0.1:0", "--clickhouse="+clickhouse, "--log-format=json")
	s.replace = append(s.replace, "http://127.0.0.1:8080", serving.Addr)
	s.environ = append(s.environ, "WEDSYNC_ADDR="+serving.Addr)
	waitReady(s.t, serving.Addr)
}

// run runs a command in a shell and returns all that it prints.
func (s *shell) run(command string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", strings.NewReplacer(s.replace...).Replace(command))
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, s.environ, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		return err.Error()
	}
	return narrow(string(out))
}

// do runs a command until it answers as the document says, if that may take a moment.
func (s *shell) do(c typed) {
	s.t.Helper()
	want := c.pattern()
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := s.run(c.command)
		if want.MatchString(got) {
			return
		}
		if !asks.MatchString(c.command) {
			s.t.Fatalf("line %d: %s\nprints\n%s\nwhere the document says\n%s", c.line, c.command, got, strings.Join(c.answer, "\n"))
		}
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("line %d: %s\nprints at last\n%s\nwhere the document says\n%s", c.line, c.command, got, strings.Join(c.answer, "\n"))
		}
	}
}

// TestDocumentsAsWritten types what the documents say, and compares what comes.
func TestDocumentsAsWritten(t *testing.T) {
	t.Parallel()
	for name, clickhouse := range map[string]string{"workflows": clickhouseOff, "api": clickhouseEmbedded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t)
			commands := commandsOf(t, "../../docs/"+name+".md")
			if len(commands) < 20 {
				t.Fatalf("the document has %d commands", len(commands))
			}
			for _, c := range commands {
				switch {
				case strings.HasPrefix(c.command, "wedsync sim "):
					s.startSims(c.command)
				case strings.HasPrefix(c.command, "wedsync serve "):
					s.startNode(c.command, clickhouse)
				default:
					s.do(c)
				}
			}
		})
	}
}

// TestEmbeddingExamplesExist looks for each example that docs/embedding.md names.
func TestEmbeddingExamplesExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/embedding.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for row := range strings.Lines(string(text)) {
		cells := strings.Split(row, "|")
		for _, named := range regexp.MustCompile("`([a-z/]+)`, `(Example[A-Za-z_]+)`").FindAllStringSubmatch(cells[len(cells)-min(2, len(cells))], -1) {
			found++
			code, err := os.ReadFile("../../" + named[1] + "/example_test.go")
			if err != nil || !strings.Contains(string(code), "func "+named[2]+"()") {
				t.Errorf("%s has no %s: %v", named[1], named[2], err)
			}
		}
	}
	if found < 10 {
		t.Errorf("the document names %d examples", found)
	}
}

// TestEveryVendorHasAPage looks for what has to be entered on each vendor's page.
func TestEveryVendorHasAPage(t *testing.T) {
	t.Parallel()
	for _, vendor := range adapter.Vendors() {
		a, err := adapter.Lookup(vendor)
		if err != nil {
			t.Fatal(err)
		}
		d := a.Describe()
		name := vendor
		if d.Internal {
			name = "channels"
		}
		text, err := os.ReadFile("../../docs/vendors/" + name + ".md")
		if err != nil {
			t.Errorf("%s: %v", vendor, err)
			continue
		}
		for _, field := range append(d.Settings, d.Secrets...) {
			if !strings.Contains(string(text), "`"+field.Name+"`") {
				t.Errorf("docs/vendors/%s.md does not tell of %s", name, field.Name)
			}
		}
	}
}
