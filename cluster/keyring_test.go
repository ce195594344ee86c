package cluster_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/wedsync/wedsync/cluster"
)

func TestParseKey(t *testing.T) {
	t.Parallel()
	raw := []byte("\xfb\xef\xff345678901234567890123456789\xff\xfe")
	want := cluster.Key{}
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), " " + base64.RawURLEncoding.EncodeToString(raw) + "\n",
	} {
		k, err := cluster.ParseKey(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want.ID() == "" {
			want = k
		}
		if k.ID() != want.ID() || k.Reveal() != base64.RawURLEncoding.EncodeToString(raw) {
			t.Errorf("%q is read as %s", text, k.Reveal())
		}
	}
	for text, says := range map[string]string{
		"":                       "is empty",
		" \n":                    "is empty",
		"correct horse battery!": "not base64",
		"c2hvcnQ=":               "has 5 bytes",
		base64.StdEncoding.EncodeToString(make([]byte, 33)): "has 33 bytes",
	} {
		_, err := cluster.ParseKey(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v; want an error that says %q", text, err, says)
		} else if plain := strings.TrimSpace(text); plain != "" && strings.Contains(err.Error(), plain) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

// A key may stand on a command line, where a text that begins with "-" is a flag.
func TestGeneratedKeyIsNoFlag(t *testing.T) {
	t.Parallel()
	for range 2000 {
		if text := cluster.GenerateKey().Reveal(); text[0] == '-' {
			t.Fatalf("%s begins as a flag", text)
		}
	}
}

func TestKeyShowsItsIDOnly(t *testing.T) {
	t.Parallel()
	k := cluster.GenerateKey()
	raw, err := base64.RawURLEncoding.DecodeString(k.Reveal())
	if err != nil || len(raw) != cluster.KeyBytes || len(k.ID()) != 10 {
		t.Fatalf("a new key is %q (%v), its id %q", k.Reveal(), err, k.ID())
	}
	asJSON, err := json.Marshal(map[string]any{"k": k})
	if err != nil {
		t.Fatal(err)
	}
	all := string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		one := fmt.Sprintf(verb, k)
		if !strings.Contains(one, k.ID()) {
			t.Errorf("%s shows %s", verb, one)
		}
		all += one + fmt.Sprintf(verb, struct{ k cluster.Key }{k}) + fmt.Sprintf(verb, []any{&k})
	}
	for _, shown := range []string{k.Reveal(), string(raw), hex.EncodeToString(raw), strings.Trim(fmt.Sprintf("%d", raw), "[]")} {
		if strings.Contains(all, shown) {
			t.Errorf("the key shows in %s", all)
		}
	}
	if none := (cluster.Key{}); none.ID() != "" || none.Reveal() != "" || fmt.Sprint(none) != "[key ]" {
		t.Errorf("no key shows as %q, %q, %v", none.ID(), none.Reveal(), none)
	}
}

func TestKeyringKeepsWhatChanges(t *testing.T) {
	t.Parallel()
	a, b, c := cluster.GenerateKey(), cluster.GenerateKey(), cluster.GenerateKey()
	var kept string
	var full error
	r, err := cluster.NewKeyring(func(text string) error {
		if full == nil {
			kept = text
		}
		return full
	}, a)
	if err != nil {
		t.Fatal(err)
	}
	disk := errors.New("disk full")
	for _, step := range []struct {
		what string
		do   func() error
		want []cluster.Key // the ring after it
		err  error
	}{
		{"use what is not there", func() error { return r.Use(b.ID()) }, []cluster.Key{a}, cluster.ErrNoKey},
		{"remove the only one", func() error { return r.Remove(a.ID()) }, []cluster.Key{a}, cluster.ErrKeyInUse},
		{"add where it cannot be kept", func() error { full = disk; return r.Add(b) }, []cluster.Key{a}, disk},
		{"add", func() error { full = nil; return r.Add(b) }, []cluster.Key{a, b}, nil},
		{"add again", func() error { return r.Add(b) }, []cluster.Key{a, b}, nil},
		{"add a third", func() error { return r.Add(c) }, []cluster.Key{a, b}, cluster.ErrKeyringFull},
		{"use where it cannot be kept", func() error { full = disk; return r.Use(b.ID()) }, []cluster.Key{a, b}, disk},
		{"use", func() error { full = nil; return r.Use(b.ID()) }, []cluster.Key{b, a}, nil},
		{"use again", func() error { return r.Use(b.ID()) }, []cluster.Key{b, a}, nil},
		{"remove the primary", func() error { return r.Remove(b.ID()) }, []cluster.Key{b, a}, cluster.ErrKeyInUse},
		{"remove where it cannot be kept", func() error { full = disk; return r.Remove(a.ID()) }, []cluster.Key{b, a}, disk},
		{"remove", func() error { full = nil; return r.Remove(a.ID()) }, []cluster.Key{b}, nil},
		{"remove again", func() error { return r.Remove(a.ID()) }, []cluster.Key{b}, nil},
		{"add the next", func() error { return r.Add(c) }, []cluster.Key{b, c}, nil},
	} {
		if err := step.do(); !errors.Is(err, step.err) {
			t.Fatalf("%s: %v, want %v", step.what, err, step.err)
		}
		list := r.List()
		same := len(list) == len(step.want)
		for i, k := range step.want {
			same = same && list[i] == cluster.KeyInfo{ID: k.ID(), Primary: i == 0}
		}
		if !same {
			t.Fatalf("%s: the ring has %+v, want %v", step.what, list, step.want)
		}
	}
	keys, err := cluster.ParseKeys("# two keys\n\n" + kept)
	if err != nil || len(keys) != 2 || keys[0].ID() != b.ID() || keys[1].ID() != c.ID() {
		t.Errorf("kept were %v, %v; want %v and %v", keys, err, b, c)
	}
	if err := r.Add(cluster.Key{}); err == nil {
		t.Error("no key was added")
	}
}

func TestNewKeyringRefuses(t *testing.T) {
	t.Parallel()
	a, b, c := cluster.GenerateKey(), cluster.GenerateKey(), cluster.GenerateKey()
	for name, keys := range map[string][]cluster.Key{
		"none": nil, "an empty one": {a, {}}, "three": {a, b, c}, "one twice": {a, a},
	} {
		if _, err := cluster.NewKeyring(nil, keys...); err == nil {
			t.Errorf("a ring was made of %s", name)
		}
	}
	if _, err := cluster.ParseKeys(a.Reveal() + "\nnonsense!"); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("nonsense in line 2: %v", err)
	}
}

func TestKeyringConcurrently(t *testing.T) {
	t.Parallel()
	a, b := cluster.GenerateKey(), cluster.GenerateKey()
	r := ring(t, a)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				_, _, _ = r.Add(b), r.Use(b.ID()), r.Remove(a.ID())
				_, _, _ = r.Add(a), r.Use(a.ID()), r.Remove(b.ID())
			}
		})
		wg.Go(func() {
			for range 20 {
				if list := r.List(); len(list) == 0 || !list[0].Primary {
					t.Errorf("the ring has %+v", list)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzParseKeys(f *testing.F) {
	f.Add("")
	f.Add("# comment\n" + cluster.GenerateKey().Reveal() + "\r\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)))
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := cluster.ParseKeys(text)
		if err != nil {
			return
		}
		for _, k := range keys {
			again, err := cluster.ParseKey(k.Reveal())
			if err != nil || again.ID() != k.ID() || len(k.ID()) != 10 {
				t.Errorf("key %s of %q is read back as %v, %v", k.Reveal(), text, again, err)
			}
		}
	})
}
