package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// event is one line of "go test -json" (see go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// test runs "go test -json args" in dir ("": here) and shows its output as go test without -v would.
func test(ctx context.Context, dir string, args []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var r report
	readErr := r.read(pipe, out)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%d tests passed, %d failed: go test: %w", r.passed, r.failed, err)
	}
	if readErr != nil {
		return readErr
	}
	return r.verdict(slices.Contains(args, "-short") || slices.Contains(args, "-test.short"))
}

// report is what became of the tests.
type report struct {
	passed, failed int
	skipped        []string
}

// verdict returns an error unless the run proved something.
func (r *report) verdict(short bool) error {
	switch {
	case len(r.skipped) > 0 && !short:
		return fmt.Errorf("skipped, though everything needed must be there: %s", strings.Join(r.skipped, ", "))
	case r.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

// read takes the events in: it prints what packages say at once, and what a test says when it fails or is skipped.
func (r *report) read(in io.Reader, out io.Writer) error {
	said := map[string]*strings.Builder{}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				_, _ = out.Write(line) // not test2json's: the go command itself speaks
			} else {
				r.take(e, said, out)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) take(e event, said map[string]*strings.Builder, out io.Writer) {
	name := e.Package + "." + e.Test
	switch {
	case e.Action == "build-output" || e.Action == "output" && e.Test == "":
		if e.Output != "PASS\n" {
			_, _ = io.WriteString(out, e.Output)
		}
	case e.Test == "":
	case e.Action == "output":
		if said[name] == nil {
			said[name] = &strings.Builder{}
		}
		said[name].WriteString(e.Output)
	case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
		if text := said[name]; text != nil && e.Action != "pass" {
			_, _ = io.WriteString(out, text.String())
		}
		delete(said, name)
		switch e.Action {
		case "pass":
			r.passed++
		case "fail":
			r.failed++
		case "skip":
			r.skipped = append(r.skipped, name)
		}
	}
}
