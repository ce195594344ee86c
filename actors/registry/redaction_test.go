package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// TestSecretsShowNowhere plants secrets, good and refused ones, and looks for them in everything that
// comes out: errors, logs, what is printed, JSON, and the files of the log.
func TestSecretsShowNowhere(t *testing.T) {
	t.Parallel()
	const (
		good    = "hunter2-good-webhook-path"
		rotated = "hunter2-rotated-webhook-path"
		refused = "hunter2 refused"
	)
	dir := t.TempDir()
	var out bytes.Buffer
	j := openJournal(t, dir)
	store, sealer := storeOf(t, j), newSealer(t)
	r := open(t, store, sealer, zerolog.New(&out).Level(zerolog.TraceLevel))
	put(t, r, event.Integration{ID: "s", Vendor: "slack"})
	for _, path := range []string{good, rotated} {
		setSecrets(t, r, "s", values{"webhook_url": event.SecretOf("https://hooks.example.com/" + path)})
	}
	e := lookup(t, r, "s")
	if _, err := e.Connection(); err != nil {
		t.Fatal(err)
	}
	stranger := open(t, store, newSealer(t), zerolog.New(&out))
	_, errStranger := lookup(t, stranger, "s").Connection()
	_, errPut := r.Put(t.Context(), event.Integration{ID: "s", Vendor: "slack", Settings: json.RawMessage(`{"x":1}`), Revision: 1})
	for _, err := range []error{
		errStranger, errPut,
		r.SetSecrets(t.Context(), "s", values{"bot_token": event.SecretOf(refused)}),
		r.SetSecrets(t.Context(), "s", values{"webhook_url": event.SecretOf(refused)}),
		r.SetSecrets(t.Context(), "s", values{"nothing": event.SecretOf(refused)}),
		r.SetSecrets(t.Context(), "none", values{"webhook_url": event.SecretOf(good)}),
		stranger.SetSecrets(t.Context(), "s", values{"webhook_url": event.SecretOf(good)}),
	} {
		if err == nil {
			t.Error("an error was expected")
		}
		fmt.Fprintf(&out, "%v %+v %#v\n", err, err, err)
	}
	match := registry.Match{Entry: e}
	r.Close() // what is printed below holds locks
	stranger.Close()
	for _, v := range []any{e, *e, match, &match, []*registry.Entry{e}, r, sealer, r.Integrations(), r.Problems()} {
		fmt.Fprintf(&out, "%v\n%+v\n%#v\n%s\n", v, v, v, v)
		log := zerolog.New(&out)
		log.Info().Interface("v", v).Send()
	}
	for _, v := range []any{e, match, r.Integrations(), r.Mappings(), r.Problems(), sealer} {
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Error(err)
		}
	}
	if bytes.Contains(out.Bytes(), []byte("hunter2")) {
		t.Errorf("a secret is shown: %s", out.String())
	}

	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, found := 0, false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(`"vendor":"slack"`))
		if bytes.Contains(data, []byte("hunter2")) {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil || !found {
		t.Errorf("of %d files none holds the integration, so the search shows nothing: %v", files, err)
	}
}
