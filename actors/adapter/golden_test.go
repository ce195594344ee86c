package adapter_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./actors/adapter -update", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s\nwant\n%s", path, got, want)
	}
}

// callText writes a call for a golden file, without what is of this run only.
func (c *conformance) callText(call *event.Call) string {
	var b strings.Builder
	if m := call.Mail; m != nil {
		fmt.Fprintf(&b, "TLS: %s\nUsername: %s\nFrom: %s\nTo: %s\nMessage-ID: %s\nReferences: %s\nDate: %s\nSubject: %s\n\n%s\n%s\n%s: %s",
			m.TLS, m.Username, m.From, strings.Join(m.To, ", "), m.MessageID, m.References, m.Date.Format(time.RFC3339),
			m.Subject, m.Text, m.HTML, m.CalMethod, strings.ReplaceAll(m.Calendar, "\r\n", "\n"))
		return b.String()
	}
	h := call.HTTP
	url := strings.Replace(h.URL, c.sim.URL(), "{simulator}", 1)
	if i := strings.Index(url, "/services/"); i >= 0 {
		url = url[:i] + "/services/{secret}"
	}
	fmt.Fprintf(&b, "%s %s\n", h.Method, url)
	for _, name := range slices.Sorted(maps.Keys(h.Header)) {
		value := strings.Join(h.Header[name], ", ")
		switch name {
		case "Authorization":
			value = "Bearer {secret}"
		case "X-Api-Key":
			value = "{secret}"
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	fmt.Fprintf(&b, "Recipient: %s\n\n%s\n", call.Recipient, h.Body)
	return b.String()
}
