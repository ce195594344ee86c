package registry_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/adapter"
	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

type values = map[string]event.Secret

// webhook signs a webhook as its sender would.
func webhook(t *testing.T, secret string) *adapter.Inbound {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	body, at := []byte(`{}`), strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "msg_1.%s.%s", at, body)
	return &adapter.Inbound{Body: body, Header: http.Header{
		"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {at},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}}
}

// verifies reports whether the integration takes a webhook signed with the secret.
func verifies(t *testing.T, r *registry.Registry, id, secret string) bool {
	t.Helper()
	c, err := lookup(t, r, id).Connection()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.(adapter.Receiver).Verify(webhook(t, secret), now)
	return err == nil
}

func setSecrets(t *testing.T, r *registry.Registry, id string, v values) {
	t.Helper()
	if err := r.SetSecrets(t.Context(), id, v); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsComeLater(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	bare := lookup(t, n.Registry, "s")
	_, err := bare.Connection()
	var refused *adapter.SettingsError
	if !errors.As(err, &refused) || refused.Problems[0].Field != "secrets.signing" {
		t.Fatalf("without secrets: %v", err)
	}
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	e := lookup(t, n.Registry, "s")
	if e == bare || e.SecretsRevision == 0 || e.Revision != bare.Revision {
		t.Errorf("no new entry: %v, secrets revision %d", e, e.SecretsRevision)
	}
	c, err := e.Connection()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := e.Connection(); again != c {
		t.Error("the connection is made twice")
	}
	// What changes of the settings does not touch the secrets.
	in := e.Copy()
	in.Settings = json.RawMessage(`{"url":"https://other.example.com/"}`)
	put(t, n.Registry, in)
	if _, err := lookup(t, n.Registry, "s").Connection(); err != nil {
		t.Error(err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	check := func(when string, want ...string) {
		t.Helper()
		for _, secret := range []string{secretA, secretB, secretC} {
			expected := strings.Contains(strings.Join(want, " "), secret)
			if got := verifies(t, n.Registry, "s", secret); got != expected {
				t.Errorf("%s: %.12s... verifies: %t, want %t", when, secret, got, expected)
			}
		}
	}
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA), "webhook": event.SecretOf(secretA)})
	check("set", secretA)
	setSecrets(t, n.Registry, "s", values{"webhook": event.SecretOf(secretB)})
	check("rotated", secretA, secretB)
	before := lookup(t, n.Registry, "s")
	setSecrets(t, n.Registry, "s", values{"webhook": event.SecretOf(secretB)})
	check("the same call again", secretA, secretB)
	if lookup(t, n.Registry, "s") != before {
		t.Error("the same call again wrote something")
	}
	setSecrets(t, n.Registry, "s", values{"webhook": event.SecretOf(secretC)})
	check("rotated twice", secretB, secretC)
	if err := n.RetireSecrets(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	check("retired", secretC)
	setSecrets(t, n.Registry, "s", values{"webhook": event.SecretOf("")})
	check("removed")
	if _, err := lookup(t, n.Registry, "s").Connection(); err != nil {
		t.Errorf("the other secret is gone too: %v", err)
	}
}

func TestSetSecretsRefuses(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	for name, c := range map[string]struct {
		values values
		want   string
	}{
		"unknown":    {values{"token": event.SecretOf(secretA)}, "secrets.token: studiocloud has no such secret; it has signing, webhook"},
		"malformed":  {values{"signing": event.SecretOf("too short")}, "secrets.signing: "},
		"required":   {values{"signing": event.SecretOf("")}, "secrets.signing: is required"},
		"too long":   {values{"signing": event.SecretOf(strings.Repeat("x", 9000))}, "secrets.signing: 9000 bytes, at most 8192"},
		"one of two": {values{"webhook": event.SecretOf(secretA), "signing": event.SecretOf("no")}, "secrets.signing: "},
	} {
		err := n.SetSecrets(t.Context(), "s", c.values)
		if !errors.As(err, new(*registry.InvalidError)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want an InvalidError with %q", name, err, c.want)
		}
		if e := lookup(t, n.Registry, "s"); e.SecretsRevision != 0 {
			t.Fatalf("%s: something was stored", name)
		}
	}
	if err := n.SetSecrets(t.Context(), "none", values{"signing": event.SecretOf(secretA)}); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("of none: %v, want ErrNotFound", err)
	}
	// One after the other is fine, though the first alone does not make it work.
	setSecrets(t, n.Registry, "s", values{"webhook": event.SecretOf(secretA)})
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	if !verifies(t, n.Registry, "s", secretA) {
		t.Error("set one after the other, they do not work")
	}
}

// TestSetSecretsRace sets different secrets at once from two nodes: none may overwrite the other.
func TestSetSecretsRace(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, event.Integration{ID: "s", Vendor: "slack"})
	other := n.open(t, zerolog.Nop())
	var done sync.WaitGroup
	for r, name := range map[*registry.Registry]string{n.Registry: "signing_secret", other: "webhook_url"} {
		done.Go(func() {
			for i := range 20 {
				if err := r.SetSecrets(t.Context(), "s", values{name: event.SecretOf(fmt.Sprintf("https://hooks.example.com/%d", i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	for _, r := range []*registry.Registry{n.Registry, other} {
		eventually(t, r, "both secrets are the last ones", func() bool {
			bucket, err := n.journal.KV(t.Context(), "secrets")
			if err != nil {
				t.Fatal(err)
			}
			v, err := bucket.Get(t.Context(), "integration.s")
			if err != nil {
				t.Fatal(err)
			}
			got, err := n.sealer.Open("s", v.Data)
			if err != nil {
				t.Fatal(err)
			}
			const last = "https://hooks.example.com/19"
			return got.Current("signing_secret").Reveal() == last && got.Current("webhook_url").Reveal() == last
		})
	}
}

func TestSealedWithAnotherKey(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	stranger := open(t, n.store, newSealer(t), zerolog.Nop())
	_, errConnect := lookup(t, stranger, "s").Connection()
	for _, err := range []error{errConnect, stranger.SetSecrets(t.Context(), "s", values{"signing": event.SecretOf(secretB)}), stranger.RetireSecrets(t.Context(), "s")} {
		if !errors.Is(err, registry.ErrSeal) || !strings.Contains(err.Error(), "integration s:") {
			t.Errorf("got %v, want ErrSeal with the integration's id", err)
		}
	}
	// Its settings can be changed all the same, and nothing is lost for who has the key.
	in := lookup(t, stranger, "s").Copy()
	in.Name = "renamed"
	put(t, stranger, in)
	eventually(t, n.Registry, "the change is there", func() bool { return lookup(t, n.Registry, "s").Integration.Name == "renamed" })
	if _, err := lookup(t, n.Registry, "s").Connection(); err != nil {
		t.Error(err)
	}
}

func TestConnectionConcurrently(t *testing.T) {
	t.Parallel()
	n := start(t)
	put(t, n.Registry, studio("s", "1"))
	setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf(secretA)})
	e := lookup(t, n.Registry, "s")
	first, err := e.Connection()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() {
			for ctx.Err() == nil {
				now, ok := n.Lookup("s")
				if !ok {
					t.Error("it is gone")
					return
				}
				if _, err := now.Connection(); err != nil {
					t.Error(err)
				}
				if again, _ := e.Connection(); again != first {
					t.Error("an entry changed its connection")
				}
			}
		})
	}
	for i := range 12 {
		setSecrets(t, n.Registry, "s", values{"signing": event.SecretOf([]string{secretA, secretB, secretC}[i%3])})
	}
	cancel()
	done.Wait()
}
