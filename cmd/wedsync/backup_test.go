package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
)

// copyKeys puts a node's keys into another data folder, as an operator does.
func copyKeys(t *testing.T, from, to string) {
	t.Helper()
	for name := range keyMakers {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A node's log is copied while it runs, and restored for another one.
func TestBackupOfARunningNode(t *testing.T) {
	t.Parallel()
	n := startNode(t, testConfig(t))
	seq := publishOn(t, n, "a:b", `{"n":1}`)
	backup := filepath.Join(t.TempDir(), "backup")
	var told struct {
		Folder, Epoch string
		Online        bool
		Bytes         int64
	}
	got := wedsync(t, "log", "backup", "--to", backup, "--addr", n.URL(), "--data", n.cfg.Data, "--json")
	if got.code != exitOK || got.errors != "" || json.Unmarshal([]byte(got.out), &told) != nil || !told.Online || told.Bytes == 0 || told.Epoch != n.journal.Epoch() {
		t.Fatalf("%+v", got)
	}
	if got := wedsync(t, "log", "backup", "--to", backup, "--addr", n.URL(), "--data", n.cfg.Data); got.code != exitFailed || !strings.Contains(got.errors, "name an empty folder") {
		t.Errorf("into the same folder: %+v", got)
	}
	if got := wedsync(t, "log", "backup", "--offline", "--to", filepath.Join(t.TempDir(), "b"), "--data", n.cfg.Data); got.code != exitFailed ||
		!strings.Contains(got.errors, journal.ErrLocked.Error()) || !strings.Contains(got.errors, "is no backup") {
		t.Errorf("offline, beside the node: %+v", got)
	}
	other := testConfig(t)
	copyKeys(t, n.cfg.Data, other.Data)
	restore := []string{"log", "restore", "--from", backup, "--data", other.Data, "--log-level=error"}
	if got := wedsync(t, append(restore, "--set", "log.shards=4")...); got.code != exitFailed || !strings.Contains(got.errors, "set the shard count to 8") {
		t.Errorf("with other shards: %+v", got)
	}
	if got := wedsync(t, restore...); got.code != exitOK || !strings.Contains(got.errors, "EV.snapshot is restored, ") {
		t.Fatalf("%+v", got)
	}
	m := startNode(t, other)
	ev, err := m.journal.EventAt(t.Context(), seq)
	if err != nil || string(ev.Payload) != `{"n":1}` || m.journal.Epoch() == n.journal.Epoch() {
		t.Errorf("the event is %+v, %v, in the epoch %s", ev, err, m.journal.Epoch())
	}
	if got := wedsync(t, "integrations", "--addr", m.URL(), "--data", n.cfg.Data); got.code != exitOK {
		t.Errorf("with the old node's key: %+v", got)
	}
}

func TestBackupThatDoesNotArrive(t *testing.T) {
	t.Parallel()
	part := func(name, body string) string {
		return "--x\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n\r\n" + body + "\r\n"
	}
	good := filepath.Join(t.TempDir(), "good")
	n := startNode(t, testConfig(t))
	if got := wedsync(t, "log", "backup", "--to", good, "--addr", n.URL(), "--data", n.cfg.Data); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	manifest, err := os.ReadFile(filepath.Join(good, journal.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct{ kind, body string }{
		"sends no backup":              {"application/json", "{}"},
		"the log is away":              {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + part("problem.json", `{"detail":"the log is away"}`) + "--x--\r\n"},
		"sends no more":                {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + "--x\r\nno header\r\n\r\n"},
		"whole: unexpected EOF":        {"multipart/mixed; boundary=x", strings.TrimSuffix(part("EV.snapshot", "a"), "\r\n")},
		"none of a backup":             {"multipart/mixed; boundary=x", part("api.key", "a") + "--x--\r\n"},
		"without a manifest":           {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + "--x--\r\n"},
		"a manifest, so it is not all": {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + "--x\r\n"},
		"did not arrive":               {"multipart/mixed; boundary=x", part("EV.snapshot", "a") + part(journal.ManifestFile, string(manifest)) + "--x--\r\n"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = w.Write([]byte(c.body))
			}))
			t.Cleanup(node.Close)
			to := t.TempDir()
			got := wedsync(t, "log", "backup", "--to", to, "--addr", node.URL, "--data", t.TempDir())
			if got.code != exitFailed || !strings.Contains(got.errors, want) || !strings.Contains(got.errors, "is no backup") {
				t.Errorf("%+v, want %q", got, want)
			}
			if _, err := os.Stat(filepath.Join(to, journal.ManifestFile)); !os.IsNotExist(err) {
				t.Errorf("there is a manifest: %v", err)
			}
			if got := wedsync(t, "log", "restore", "--from", to, "--data", n.cfg.Data, "--log-level=error"); got.code != exitFailed || !strings.Contains(got.errors, "no whole backup") {
				t.Errorf("restored: %+v", got)
			}
		})
	}
}
