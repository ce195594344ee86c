package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// apart is a node of a cluster in a process of its own: protoactor's remote sets a variable of gRPC each time
// it starts, which the race detector sees where one process has several nodes.
type apart struct {
	t   *testing.T
	cfg Config
	*nodeproc.Node
}

func serveTogether(t *testing.T, c Config) *apart {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	n, err := nodeproc.Start(nodeproc.Config{
		Binary: self, Dir: c.Data, Env: []string{asCommand + "=1", "GOCOVERDIR=" + t.TempDir()},
		Flags: []string{
			"--name", c.Node.Name, "--bind", c.Cluster.Bind, "--join", strings.Join(c.Cluster.Join, ","),
			"--cluster-key", c.Cluster.Key.Reveal(), "--clickhouse", clickhouseOff, "--log-level", "error",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Kill)
	return &apart{t, c, n}
}

func (a *apart) ready() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), within)
	defer cancel()
	if err := a.Ready(ctx); err != nil {
		a.t.Fatalf("%s: %v", a.cfg.Node.Name, err)
	}
}

func (a *apart) run(args ...string) result {
	a.t.Helper()
	return wedsync(a.t, append(args, "--addr", a.URL(), "--data", a.cfg.Data)...)
}

func (a *apart) do(args ...string) string {
	a.t.Helper()
	got := a.run(args...)
	if got.code != exitOK {
		a.t.Fatalf("wedsync %s: %+v", strings.Join(args, " "), got)
	}
	return got.out
}

// A keyring that was changed counts from then on, and the configured key no more.
func TestKeyringIsKept(t *testing.T) {
	t.Parallel()
	one, two := cluster.GenerateKey(), cluster.GenerateKey()
	cfg := Config{Data: filepath.Join(t.TempDir(), "data"), Cluster: ClusterConfig{Key: event.SecretOf(one.Reveal())}}
	path := filepath.Join(cfg.Data, clusterKeysFile)
	ring, err := openKeyring(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is kept before it is changed: %v", err)
	}
	if err := errors.Join(ring.Add(two), ring.Use(two.ID())); err != nil {
		t.Fatal(err)
	}
	again, err := openKeyring(cfg)
	if err != nil || !slices.Equal(again.List(), ring.List()) || again.List()[0].ID != two.ID() {
		t.Fatalf("%+v, %v; want %+v", again.List(), err, ring.List())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
	for says, text := range map[string]string{
		"line 2: the cluster key, of 6 characters": one.Reveal() + "\nbroken\n",
		"needs a cluster key":                      "# none\n",
		"twice":                                    one.Reveal() + "\n" + one.Reveal() + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openKeyring(cfg); err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want an error that names the file and says %q", err, says)
		}
	}
}

// A node takes the keys that it lacks, keeps those that it has, and says which are others than the cluster's.
func TestSharedKeysAreTaken(t *testing.T) {
	t.Parallel()
	first, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(first, apiKeyFile), []byte("of the first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := generateShared(first)
	if err != nil || keys[apiKeyFile] != "of the first" || len(keys) != len(keyMakers) || keys[masterKeyFile] == "" {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	keys["later.key"] = "of a newer release"
	if err := os.WriteFile(filepath.Join(dir, tokenKeyFile), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var others []string
		if err := keys.keep(dir, func(name string) { others = append(others, name) }); err != nil || !slices.Equal(others, []string{tokenKeyFile}) {
			t.Errorf("others than the cluster's are %v, %v; want %s", others, err, tokenKeyFile)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != len(keyMakers) {
		t.Errorf("there are %v, %v", files, err)
	}
	for _, name := range []string{apiKeyFile, masterKeyFile} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.TrimSpace(string(text)) != keys[name] {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, tokenKeyFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keys.keep(dir, func(string) {}); err == nil || !strings.Contains(err.Error(), "is empty; remove it") {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := generateShared(filepath.Join(dir, apiKeyFile)); err == nil {
		t.Error("keys are read from a folder that is none")
	}
}

func TestClusterKeyIsReplacedWhileNodesRun(t *testing.T) {
	t.Parallel()
	configs, two := cores(t), cluster.GenerateKey()
	one, err := cluster.ParseKey(configs[0].Cluster.Key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	var nodes []*apart
	for _, c := range configs {
		nodes = append(nodes, serveTogether(t, c))
	}
	for _, n := range nodes {
		n.ready()
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	eventually := (&desk{t: t}).eventually
	up := func() bool {
		said := a.do("members", "--json")
		var all []member
		if err := json.Unmarshal([]byte(said), &all); err != nil {
			t.Fatal(err)
		}
		return len(all) == 3 && said == b.do("members", "--json") && said == c.do("members", "--json") && !slices.ContainsFunc(all, func(m member) bool {
			return m.State != "up" || m.Log != "leader" && m.Log != "replica" || m.Addresses.Peers == ""
		})
	}
	eventually("all nodes to agree that all are up", up)
	if got := a.run("members", "remove", "n2"); got.code != exitFailed || !strings.Contains(got.errors, "n2 is up") {
		t.Errorf("removing a node that is alive: %+v", got)
	}

	want := func(keys ...cluster.Key) {
		t.Helper()
		rings := "node  uses        has too\n"
		for _, name := range []string{"n1", "n2", "n3"} {
			rings += name + "    " + keys[0].ID() + "  "
			if len(keys) > 1 {
				rings += keys[1].ID() + "\n"
			} else {
				rings += "-\n"
			}
		}
		for _, n := range nodes {
			if got := n.do("cluster-keys"); got != rings {
				t.Errorf("%s lists\n%swant\n%s", n.cfg.Node.Name, got, rings)
			}
		}
	}
	want(one)
	file := filepath.Join(t.TempDir(), "new.key")
	if err := os.WriteFile(file, []byte(two.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	a.do("cluster-keys", "add", "@"+file)
	want(one, two)
	b.do("cluster-keys", "use", two.ID())
	want(two, one)
	c.do("cluster-keys", "remove", one.ID())
	want(two)

	// A node comes back, though its configuration has the old key still; a new one with it is refused.
	c.Kill()
	c = serveTogether(t, configs[2])
	c.ready()
	nodes[2] = c
	eventually("all nodes to agree that all are up again", up)
	want(two)
	late := configs[2]
	late.Node.Name, late.Data, late.Cluster.Bind = "n4", t.TempDir(), threePorts(t)
	if err := newNode(late, zerolog.Nop()).Start(t.Context()); err == nil || !strings.Contains(err.Error(), one.ID()) {
		t.Errorf("a node with the old key starts: %v", err)
	}

	a.do("drain")
	if said := b.do("members"); !strings.Contains(said, " draining  0 ") {
		t.Errorf("after a drain of n1 the members are\n%s", said)
	}
	b.ready()
	c.ready()
}
