package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/loadtest/load"
)

// documents reads a file of YAML documents, each into a T of its own.
func documents[T any](t *testing.T, path string) []T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var one T
		if err := d.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, one)
	}
}

var (
	imageSetting = regexp.MustCompile(`(?m)^ENV (.*)$`)
	imageUser    = regexp.MustCompile(`--uid (\d+) `)
	substituted  = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)
)

// image is what the image of a node has by itself.
func image(t *testing.T) (environ map[string]string, user string) {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	environ = map[string]string{}
	for _, line := range imageSetting.FindAllSubmatch(text, -1) {
		for _, setting := range strings.Fields(string(line[1])) {
			name, value, _ := strings.Cut(setting, "=")
			environ[name] = value
		}
	}
	found := imageUser.FindSubmatch(text)
	if found == nil || environ["WEDSYNC_DATA"] == "" {
		t.Fatal("the Dockerfile names no user or no folder of data")
	}
	return environ, string(found[1])
}

// configured returns the configuration of a node that is started in the image with these arguments and settings.
func configured(t *testing.T, name, file string, args []string, environ map[string]string) Config {
	t.Helper()
	keys := map[string]bool{"WEDSYNC_CONFIG": true}
	for key := range configKeys() {
		keys[envName(key)] = true
	}
	all, _ := image(t)
	for variable, value := range environ {
		if strings.HasPrefix(variable, "WEDSYNC_") && !keys[variable] {
			t.Errorf("%s: %s sets no key", name, variable)
		}
		all[variable] = value
	}
	var list []string
	for variable, value := range all {
		list = append(list, variable+"="+value)
	}
	var c cli
	parser, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatalf("%s: %v: %v", name, args, err)
	}
	flags, err := c.Serve.values()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	cfg, err := loadConfig(file, list, flags)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return cfg
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// stops fails unless a node has the time to stop in order.
func stops(t *testing.T, name string, cfg Config, has time.Duration) {
	t.Helper()
	if least := cfg.Shutdown + 2*closeTimeout; has < least {
		t.Errorf("%s is killed after %v; it may take %v to stop", name, has, least)
	}
}

type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Environment map[string]string `yaml:"environment"`
		Command     []string          `yaml:"command"`
		Ports       []string          `yaml:"ports"`
		Volumes     []string          `yaml:"volumes"`
		Grace       string            `yaml:"stop_grace_period"`
		Health      struct {
			Test []string `yaml:"test"`
		} `yaml:"healthcheck"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

// The nodes of docker-compose.yml have a configuration that is valid, find each other, and are reached from
// this machine alone.
func TestComposedNodes(t *testing.T) {
	t.Parallel()
	compose := documents[composeFile](t, "docker-compose.yml")[0]
	script := compose.Services["keys"].Command[0]
	dir := t.TempDir()
	sh := newShell(t)
	for range 2 { // the second time it keeps what it has
		cmd := exec.Command("sh", "-euc", strings.NewReplacer("$$", "$", "/keys", dir, "chown 10001", "true").Replace(script)) // #nosec G204 -- ours
		cmd.Env = sh.environ
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	var cores, join, members []string
	for name, s := range compose.Services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s to other machines", name, port)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			_, declared := compose.Volumes[source]
			if _, err := os.Stat(filepath.Join("..", "..", source)); !declared && err != nil {
				t.Errorf("%s mounts %s, which is not there", name, v)
			}
		}
		if s.Image != "wedsync" || name == "keys" || name == "load" {
			continue
		}
		environ := map[string]string{}
		for variable, value := range s.Environment {
			environ[variable] = substituted.ReplaceAllString(value, "$1")
		}
		file := ""
		if environ["WEDSYNC_CONFIG"] != "" {
			file = strings.Replace(environ["WEDSYNC_CONFIG"], "/keys", dir, 1)
			members = append(members, name)
		}
		cfg := configured(t, name, file, []string{"serve"}, environ)
		if cfg.Node.Name != name {
			t.Errorf("%s calls itself %s", name, cfg.Node.Name)
		}
		if !slices.ContainsFunc(s.Ports, func(p string) bool { return strings.HasSuffix(p, ":"+portOf(t, cfg.HTTP.Addr)) }) {
			t.Errorf("%s listens on %s and publishes %v", name, cfg.HTTP.Addr, s.Ports)
		}
		if !cfg.Cluster.Enabled() {
			continue
		}
		if cfg.Cluster.roles().Has(cluster.Core) {
			cores = append(cores, cfg.Cluster.Bind)
		}
		join = cfg.Cluster.Join
		grace, err := time.ParseDuration(s.Grace)
		if err != nil {
			t.Fatal(err)
		}
		stops(t, name, cfg, grace)
		if want := "http://127.0.0.1:" + portOf(t, cfg.HTTP.Addr) + "/readyz"; !slices.Contains(s.Health.Test, want) {
			t.Errorf("%s is asked for its health by %v, want %s", name, s.Health.Test, want)
		}
	}
	slices.Sort(cores)
	slices.Sort(members)
	if !slices.Equal(cores, join) || len(cores) != 3 || len(members) != 5 {
		t.Errorf("the members are %v, the cores %v, and they join %v", members, cores, join)
	}
	prometheus := documents[struct {
		Scrape []struct {
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}](t, "deploy/compose/prometheus.yml")[0]
	targets := slices.Clone(prometheus.Scrape[0].Static[0].Targets)
	slices.Sort(targets)
	for i, name := range members {
		if i >= len(targets) || targets[i] != name+":8080" {
			t.Errorf("Prometheus asks %v, the members are %v", targets, members)
			break
		}
	}
}

// The load of docker-compose.yml is a command that there is, and about nodes that there are.
func TestComposedLoad(t *testing.T) {
	t.Parallel()
	compose := documents[composeFile](t, "docker-compose.yml")[0]
	var args []string
	for _, arg := range compose.Services["load"].Command {
		args = append(args, substituted.ReplaceAllString(arg, "$1"))
	}
	var c cli
	parser, err := kong.New(&c, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	got := c.Load.Run
	if _, err := load.ReadProfile(got.Profile); err != nil || got.SimHost != "load" || !strings.HasPrefix(got.Out, "/data/") {
		t.Errorf("%+v, %v", got, err)
	}
	for _, addr := range got.Addr {
		name := strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), ":8080")
		if _, ok := compose.Services[name]; !ok {
			t.Errorf("%s is no node", addr)
		}
	}
	if len(got.Addr) != 5 || !slices.Contains(compose.Services["load"].Volumes, "node-1:"+got.Data+":ro") || got.DSN != substituted.ReplaceAllString(compose.Services["node-1"].Environment["WEDSYNC_CLICKHOUSE_DSN"], "$1") {
		t.Errorf("%+v", got)
	}
}

var exportedSetting = regexp.MustCompile(`(?m)^export ([A-Z_]+)=([^$\s]+)`)

// The commands by which docs/cluster.md starts nodes are such as start them.
func TestDocumentedClusters(t *testing.T) {
	t.Parallel()
	const doc, want = "docs/cluster.md", 5
	text, err := os.ReadFile(filepath.Join("..", "..", doc))
	if err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{"WEDSYNC_HTTP_ALLOW_PUBLIC": "", "WEDSYNC_HTTP_ADDR": "", "WEDSYNC_CLUSTER_KEY": cluster.GenerateKey().Reveal()}
	for _, m := range exportedSetting.FindAllStringSubmatch(string(text), -1) {
		environ[m[1]] = m[2]
	}
	empty := filepath.Join(t.TempDir(), "wedsync.yaml")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	started := 0
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", "")) {
		_, args, found := strings.Cut(line, "wedsync serve --name ")
		if !found {
			continue
		}
		cfg := configured(t, doc, empty, append([]string{"serve", "--name"}, strings.Fields(args)...), environ)
		if core := cfg.Cluster.roles().Has(cluster.Core); core != slices.Contains(cfg.Cluster.Join, cfg.Cluster.Bind) {
			t.Errorf("%s: %s is bound to %s and joins %v", doc, cfg.Node.Name, cfg.Cluster.Bind, cfg.Cluster.Join)
		}
		started++
	}
	if started != want {
		t.Errorf("%s starts %d nodes", doc, started)
	}
}
