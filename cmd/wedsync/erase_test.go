package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wedsync/wedsync/cluster/journal"
)

// Without ClickHouse nothing of the wedding is left in the log, the records that wait for one included.
func TestEraseWithoutClickHouse(t *testing.T) {
	t.Parallel()
	d := newBench(t)
	season := d.season(`
integrations:
  - {id: studio, vendor: studiocloud, settings: {url: "https://crm.example.com/hooks"}, secrets: {signing: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}
mappings:
  - {id: all, pattern: "couple:updates:*", targets: [{integration: studio}]}
`)
	d.do("apply", "--yes", "-f", season)
	d.do("publish", "couple:updates:c1", "no.such.type", `{"coupleId":"c1"}`) // is skipped, and recorded so
	d.eventually("its record", func() bool {
		entries, err := d.node.journal.Records(t.Context(), 0, 100, time.Millisecond)
		return err == nil && slices.ContainsFunc(entries, func(e journal.RecordEntry) bool { return e.Record.Delivery != nil })
	})
	var erased erasedWedding
	if err := json.Unmarshal([]byte(d.do("erase", "c1", "--yes", "--json")), &erased); err != nil {
		t.Fatal(err)
	}
	if want := (ofWedding{Events: 1, Records: 1}); erased.Analytics || erased.Removed != want || !erased.Left.none() {
		t.Errorf("erased %+v, want %+v", erased, want)
	}
	entries, err := d.node.journal.Records(t.Context(), 0, 100, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Record.Delivery != nil || strings.Contains(string(e.Data), `"c1"`) {
			t.Errorf("the log still has %s", e.Data)
		}
	}
	if out := d.do("erase", "c1", "--yes", "--json"); !strings.Contains(out, "records") {
		t.Errorf("once more: %s", out)
	}
}

// firstText is closed by the first that is written.
type firstText struct {
	once sync.Once
	ch   chan struct{}
	text string // of the first
}

func (w *firstText) Write(p []byte) (int, error) {
	w.once.Do(func() { w.text = string(p); close(w.ch) })
	return len(p), nil
}

// Who waits for a long erasure sees that it goes on.
func TestEraseTellsThatItGoesOn(t *testing.T) {
	t.Parallel()
	waits := &firstText{ch: make(chan struct{})}
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-waits.ch:
		case <-time.After(30 * time.Second):
			t.Error("nothing is told to who waits")
		}
		fmt.Fprint(w, `{"analytics":true,"removed":{"events":2},"left":{"rows":1}}`)
	}))
	t.Cleanup(node.Close)
	var out strings.Builder
	code := command(t.Context(), []string{"erase", "c1", "--yes", "--addr", node.URL, "--key", "key"},
		world{stdin: strings.NewReader(""), stdout: &out, stderr: waits})
	if code != exitFailed || !strings.HasPrefix(waits.text, "the node goes through its log, for 2s now") || !strings.Contains(out.String(), "removed") {
		t.Errorf("%d, told %q and %q; want a failure, since something is left", code, waits.text, out.String())
	}
}
