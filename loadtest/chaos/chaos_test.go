package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/loadtest/checker"
)

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-faults", "flood"}, `there is no fault "flood"`},
		{[]string{"-binary", "/nonexistent/wedsync"}, `build it with "make build"`},
		{[]string{"-rounds", "many"}, `invalid value "many" for flag -rounds`},
	} {
		if err := run(t.Context(), c.args, t.Output(), t.Output()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v; want %q", c.args, err, c.says)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	up := func(name, log string, shards ...int) member { return member{name, "up", log, shards} }
	for name, c := range map[string]struct {
		members []member
		want    roles
		says    string
	}{
		"all there":         {[]member{up("n1", "replica", 1), up("n2", "leader", 2, 3, 4), up("n3", "replica", 5, 6)}, roles{1, 2, 0}, ""},
		"nobody leads":      {[]member{up("n1", "replica", 1), up("n2", "unknown"), up("n3", "replica", 5, 6)}, roles{}, "no node leads the log"},
		"one is away":       {[]member{up("n1", "leader"), {"n2", "missing", "offline", nil}, up("n3", "replica", 1)}, roles{}, "2 of 3 nodes are up"},
		"one is draining":   {[]member{up("n1", "leader"), {"n2", "draining", "replica", nil}, up("n3", "replica", 1)}, roles{}, "2 of 3 nodes are up"},
		"one was there":     {[]member{up("n1", "replica", 1), up("n2", "replica"), up("n3", "leader"), {"n4", "missing", "offline", nil}}, roles{2, 0, 1}, ""},
		"another one leads": {[]member{up("n1", "replica"), up("n2", "replica"), up("n3", "replica"), up("n4", "leader")}, roles{}, "no node leads the log"},
	} {
		got, err := rolesOf(c.members)
		if c.says == "" && (err != nil || got != c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
}

func TestMarks(t *testing.T) {
	t.Parallel()
	for _, ch := range []int{0, 7, 11} {
		want := markOf("r12", ch, 345)
		for _, text := range []string{want, `{"notes":"` + want + `","coupleId":"r12c7"}`, "Notes: " + want + "\r\n"} {
			if mark, channel := marked([]byte(text)); mark != want || channel != channelName("r12", ch) {
				t.Errorf("%q is marked %q on %q", text, mark, channel)
			}
		}
	}
	for _, text := range []string{"", "r12c7", "bar12c7-1", "r12c99999999999999999999-1"} {
		if mark, channel := marked([]byte(text)); mark != "" || channel != "" {
			t.Errorf("%q is marked %q on %q", text, mark, channel)
		}
	}
}

func TestLeave(t *testing.T) {
	t.Parallel()
	clean := &result{Fault: "none", Report: &checker.Report{Accepted: 1}, history: &checker.History{}}
	lossy := &result{Fault: "kill all", Report: &checker.Report{Lost: 1, Findings: []string{"crm never got e1"}}, history: &checker.History{}}
	broken := &result{Fault: "join", history: &checker.History{}}
	stopped := errors.New("the cluster did not come back")
	for name, c := range map[string]struct {
		results []*result
		keep    bool
		err     error
		files   string
		says    string
	}{
		"clean":                   {results: []*result{clean}},
		"clean, and kept":         {results: []*result{clean}, keep: true, files: "results.json"},
		"not clean":               {results: []*result{clean, lossy}, files: "history-1.json results.json", says: "something was lost"},
		"not finished":            {results: []*result{clean, broken}, err: stopped, files: "history-1.json results.json", says: stopped.Error()},
		"not clean, not finished": {results: []*result{lossy, broken}, err: stopped, files: "history-0.json history-1.json results.json", says: "something was lost"},
		"never begun":             {err: stopped, files: "results.json", says: stopped.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := campaign{dir: filepath.Join(t.TempDir(), "run"), progress: t.Output()}
			if err := os.Mkdir(run.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			err := run.leave(c.results, c.keep, c.err)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), run.dir)) {
				t.Errorf("%v; want %q and the folder", err, c.says)
			}
			found, err := filepath.Glob(filepath.Join(run.dir, "*"))
			for i := range found {
				found[i] = filepath.Base(found[i])
			}
			if got := strings.Join(found, " "); err != nil || got != c.files {
				t.Errorf("it leaves %q, want %q; %v", got, c.files, err)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := writeTable(&out, []*result{
		{Fault: "kill all", Report: &checker.Report{Accepted: 7, Lost: 1, NotAllowed: 3, Findings: []string{"crm never got e1"}}}, {Fault: "join"},
	})
	if err != nil || !strings.Contains(out.String(), "kill all: crm never got e1\n") || strings.Contains(out.String(), "join") {
		t.Errorf("%v\n%s", err, &out)
	}
	var none strings.Builder
	if err := writeTable(&none, nil); err != nil || none.Len() > 0 {
		t.Errorf("%q, %v without a round", none.String(), err)
	}
}

// The Go that builds this is one whose clock can be made wrong.
func TestTheClockIsKnown(t *testing.T) {
	t.Parallel()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go"))
	if err != nil || strings.Count(string(source), rightNow) != 1 {
		t.Errorf("time.Now is not as the fault %q knows it, %v", jumpClock, err)
	}
}
