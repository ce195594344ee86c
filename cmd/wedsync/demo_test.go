package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/loadtest/demo"
)

//nolint:paralleltest // it plays by the clock
func TestDemoPlaysTheThreeScenes(t *testing.T) {
	var out, problems bytes.Buffer
	code := command(t.Context(), []string{"demo", "--sdk", "../../loadtest/js"}, world{stdin: strings.NewReader(""), stdout: &out, stderr: &problems})
	if code != exitOK {
		t.Fatalf("exit code %d\n%s\n%s", code, out.String(), problems.String())
	}
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	var r demo.Result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("the last line is no result: %v\n%s", err, lines[len(lines)-1])
	}
	// One was dead before it was replayed, which mends the budget.
	want := demo.Result{Scenes: 3, Passed: 3, Events: 8, Deliveries: 24, Delivered: 24, SuccessRate: 1, ClickHouse: r.ClickHouse}
	if r != want || !strings.HasPrefix(r.ClickHouse, "26.") {
		t.Errorf("result %+v, want %+v", r, want)
	}
	for _, told := range []string{"JavaScript SDK", "SEQUENCE", "signature_invalid", "breaker is open", "dead letters", "guests-email"} {
		if !strings.Contains(out.String(), told) {
			t.Errorf("the story does not tell of %q", told)
		}
	}
	if strings.Contains(out.String(), "\x1b[") {
		t.Error("colours although nobody looks")
	}
}

//nolint:paralleltest // as above
func TestDemoFailsWithoutAnEngine(t *testing.T) {
	var out, problems bytes.Buffer
	code := command(t.Context(), []string{"demo", "--sdk", "", "--timeout", "1ms"}, world{stdin: strings.NewReader(""), stdout: &out, stderr: &problems})
	if code == exitOK || problems.Len() == 0 {
		t.Errorf("exit code %d, %q", code, problems.String())
	}
}
