package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

// parts reads a multipart answer, with the name of its last part.
func parts(t *testing.T, a answer) (files map[string][]byte, last string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.header)
	}
	files = map[string][]byte{}
	r := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for {
		p, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return files, last
		}
		must(t, err)
		last = p.FileName()
		files[last], err = io.ReadAll(p)
		must(t, err)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	n := start(t, nil)
	n.do(t, "POST", "/api/channels/a:b/publish", `{"type":"a.b","payload":{"n":1}}`)
	files, last := parts(t, n.do(t, "GET", "/api/log/backup", ""))
	m, err := journal.ParseManifest(files[journal.ManifestFile])
	if err != nil || last != journal.ManifestFile || !m.Online || m.Shards != 1 || m.Epoch != n.journal.Epoch() {
		t.Fatalf("%s at last: %+v, %v", last, m, err)
	}
	cfg := journal.Config{Dir: t.TempDir(), Shards: 1}
	_, err = journal.RestoreLog(t.Context(), cfg, journal.Restore{Open: func(file string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files[file])), nil
	}})
	must(t, err)
	j, err := journal.Open(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { must(t, j.Close(context.Background())) })
	if h, err := j.History(t.Context(), "a:b", 0, 10); err != nil || len(h) != 1 || !strings.Contains(string(h[0].Data), `{"n":1}`) {
		t.Errorf("the restored log has %+v, %v", h, err)
	}
	if got := n.audited(); len(got) == 0 || got[len(got)-1].Action != "log.backup" || got[len(got)-1].Outcome != "ok" {
		t.Errorf("recorded %+v", got)
	}
}

// failing is a log whose backup ends with an error in its second file.
type failing struct{ *journal.Journal }

func (failing) Backup(_ context.Context, _ bool, create func(string) (io.Writer, error), _ func(journal.Progress)) error {
	w, err := create("EV.snapshot")
	if err == nil {
		_, err = w.Write([]byte("x"))
	}
	return errors.Join(err, journal.ErrUnavailable)
}

func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	n := start(t, func(c *api.Config) { c.History = failing{c.History.(*journal.Journal)} })
	files, last := parts(t, n.do(t, "GET", "/api/log/backup", ""))
	var p problem.Problem
	if json.Unmarshal(files["problem.json"], &p) != nil || last != "problem.json" || p.Code != problem.LogUnavailable || string(files["EV.snapshot"]) != "x" {
		t.Errorf("%s at last: %q", last, files)
	}
	if got := n.audited(); len(got) == 0 || got[len(got)-1].Action != "log.backup" || got[len(got)-1].Outcome != problem.LogUnavailable {
		t.Errorf("recorded %+v", got)
	}
}
