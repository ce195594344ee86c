package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/loadtest/vendors"
)

// TestAdminPage looks at the admin page in a browser, as loadtest/js/admin.mjs does: each page in both widths and
// themes, and what must work on it. What was seen is kept in coverage/admin.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	ctx := within(t, 8*time.Minute)
	st := newStation(
		t, "--set", "delivery.retryWaits=20ms", "--set", "delivery.breakerFailures=3", "--set", "delivery.breakerWait=1s", "--set", "delivery.breakerMaxWait=1s",
	)
	st.start(ctx)
	sims, err := vendors.StartAll(ctx, vendors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sims.Close(); err != nil {
			t.Error(err)
		}
	})
	addresses := connectAll(ctx, t, st, sims)
	for _, body := range []string{
		`{"type":"timeline.updated","payload":{"coupleId":"c1","ceremonyTime":"2027-06-12T16:00:00+02:00"}}`,
		`{"type":"timeline.updated","payload":{"coupleId":"c2","ceremonyTime":"2027-06-19T15:00:00+02:00"}}`,
	} {
		if err := st.api.Publish(ctx, "supplier:dashboard:42", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	until(ctx, t, "what was delivered to be in ClickHouse", func(ctx context.Context) (bool, string) {
		var found struct{ Items []json.RawMessage }
		err := st.api.Call(ctx, http.MethodGet, "/api/deliveries?integration=sim-webhook", nil, &found)
		return err == nil && len(found.Items) == 2, ""
	})
	for _, seen := range drive(ctx, t, map[string]any{
		"url": st.node.URL(), "key": strings.TrimSpace(readKey(t, st)), "vendors": addresses, "shots": filepath.Join("..", "..", "coverage", "admin"),
	}) {
		t.Run(seen.Name, func(t *testing.T) {
			t.Parallel()
			if seen.Error != "" {
				t.Error(seen.Error)
			}
			t.Logf("took %d ms", seen.Took)
		})
	}
	st.stop(ctx)
}

// connectAll connects every simulator, with a mapping of timelines to all, and returns where they are by name.
func connectAll(ctx context.Context, t *testing.T, st *station, sims *vendors.Set) map[string]string {
	t.Helper()
	addresses := map[string]string{}
	m := event.Mapping{V: event.Version, ID: "timelines", Pattern: "supplier:dashboard:*", Types: []string{"timeline.updated"}}
	for _, v := range sims.All() {
		in, secrets := v.Integration("sim-" + v.Name())
		if err := st.api.Connect(ctx, in, secrets); err != nil {
			t.Fatal(err)
		}
		m.Targets = append(m.Targets, event.Target{Integration: in.ID})
		addresses[v.Name()] = v.URL()
	}
	if err := st.api.Map(ctx, m); err != nil {
		t.Fatal(err)
	}
	return addresses
}

func readKey(t *testing.T, st *station) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(st.cfg.Dir, "api.key"))
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// seen is what the browser's driver says of one page or flow.
type seen struct {
	Name, Error string
	Took        int
}

// drive runs the driver, and returns what it says.
func drive(ctx context.Context, t *testing.T, config map[string]any) []seen {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("Chromium is missing (%v); run: make deps", err)
	}
	config["chromium"] = chromium
	dir := filepath.Join("..", "js")
	for _, module := range []string{"playwright-core", "axe-core"} {
		if _, err := os.Stat(filepath.Join(dir, "node_modules", module)); err != nil {
			t.Fatalf("the npm package %s is not installed (%v); run: make deps", module, err)
		}
	}
	input, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "node", "admin.mjs")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the browser is a child of it
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		t.Errorf("the driver ended with %v: %s", err, stderr.String())
	}
	var all []seen
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		var one seen
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("the driver wrote %s", lines.Text())
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		t.Error("the driver looked at nothing")
	}
	return all
}
