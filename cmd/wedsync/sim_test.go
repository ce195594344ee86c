package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
)

// outside returns the vendors that are systems outside wedsync.
func outside(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(adapter.Vendors(), func(vendor string) bool {
		a, err := adapter.Lookup(vendor)
		if err != nil {
			t.Fatal(err)
		}
		return a.Describe().Internal
	})
}

func TestSimulatorsRunAlone(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sim.yaml")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- command(ctx, []string{"sim", "--port=0", "--json", "--season", file}, world{stdin: strings.NewReader(""), stdout: write, stderr: io.Discard})
		_ = write.Close()
	}()
	lines := bufio.NewScanner(out)
	var head struct{ Simulators map[string]string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || len(head.Simulators) != len(outside(t)) {
		t.Fatalf("announced %s", lines.Text())
	}
	if status, body := get(t, head.Simulators["slack"]+"/_sim/counts"); status != http.StatusOK {
		t.Errorf("counts: %d %s", status, body)
	}

	// What it wrote can be put, and connects.
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := readSeason(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Integrations) != len(outside(t)) || len(s.Mappings) == 0 {
		t.Fatalf("the season has %d integrations and %d mappings", len(s.Integrations), len(s.Mappings))
	}
	for _, in := range s.Integrations {
		a, err := adapter.Lookup(in.Vendor)
		if err != nil {
			t.Fatal(err)
		}
		secrets := event.Secrets{}
		for name, value := range in.Secrets {
			secrets[name] = []event.Secret{event.SecretOf(value)}
		}
		if _, err := a.Connect(in.Integration, secrets); err != nil {
			t.Errorf("%s: %v", in.ID, err)
		}
	}

	// A call is printed as it comes.
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Post(head.Simulators["slack"]+"/services/T/B/wrong", "application/json", strings.NewReader("{}"))
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	var receipt struct {
		Vendor string
		Status int
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &receipt) != nil || receipt.Vendor != "slack" || receipt.Status < 400 {
		t.Errorf("printed %s", lines.Text())
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("ended with %d", code)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSimulatorsAnnounceThemselves(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	got := wedsyncWith(ctx, nil, strings.NewReader(""), "sim", "--port=0")
	for _, vendor := range outside(t) {
		if !strings.Contains(got.out, "\n"+vendor+" ") {
			t.Errorf("%s is not announced: %+v", vendor, got)
		}
	}
	if got := wedsync(t, "sim", "--port=0", "--season=/does/not/exist/x"); got.code != exitFailed || !strings.Contains(got.errors, "/does/not/exist/x") {
		t.Errorf("an unwritable file: %+v", got)
	}
}
