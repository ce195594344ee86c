package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestLogsAreForPeopleOrPrograms(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"auto":    `"level":"info"`, // a buffer is no terminal
		"json":    `"message":"hello"`,
		"console": "INF hello",
	} {
		var out bytes.Buffer
		log := newLogger(world{stderr: &out}, LoggingConfig{Level: "info", Format: format})
		log.Debug().Msg("hidden")
		log.Info().Msg("hello")
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "hidden") || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: %q", format, out.String())
		}
	}
	if w := (world{environ: []string{"NO_COLOR=1"}}); w.colours(os.Stdout) {
		t.Error("NO_COLOR does not count")
	}
}

func TestTablesStandUpToWhatTheyShow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := printer{out: &out}
	if err := p.table([]string{"id", ""}, [][]string{{"a\nb\x1b[31m", ""}, {"longer than the others", "x"}}); err != nil {
		t.Fatal(err)
	}
	want := "id                      \na b [31m                -\nlonger than the others  x\n"
	if out.String() != want {
		t.Errorf("printed\n%q\nwant\n%q", out.String(), want)
	}
	if got := short("äöüß", 3); got != "äö…" {
		t.Errorf("cut to %q", got)
	}
}
