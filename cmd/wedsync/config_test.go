package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
	"github.com/wedsync/wedsync/cluster"
)

func TestExampleDocumentsEveryKeyAtItsDefault(t *testing.T) {
	t.Parallel()
	example, err := loadConfig("wedsync.example.yaml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := loadConfig("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// An empty list in the file and no list are the same.
	defaults.WS.Origins, defaults.WS.TokenKeys, defaults.Delivery.AllowPrivate = []string{}, []event.Secret{}, []string{}
	defaults.Cluster.Join, defaults.WS.PublicKeys, defaults.WS.TrustedProxies = []string{}, []string{}, []string{}
	if !reflect.DeepEqual(example, defaults) {
		t.Errorf("the example is\n%+v\nthe defaults are\n%+v", example, defaults)
	}
	text, err := os.ReadFile("wedsync.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for key := range configKeys() {
		value := any(doc)
		for part := range strings.SplitSeq(key, ".") {
			section, _ := value.(map[string]any)
			value = section[part]
		}
		if value == nil {
			t.Errorf("the example lacks %s", key)
		}
	}
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wedsync.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLaterLayersWin(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, `
data: /from/file
http: { addr: "127.0.0.1:1" }
log: { eventBytes: 1GiB, eventAge: 1h }
delivery:
  retryWaits: [5s]
  allowPrivate: [127.0.0.0/8, 10.0.0.0/8]
ws:
`)
	c, err := loadConfig(path, []string{
		"WEDSYNC_HTTP_ADDR=127.0.0.1:2", "WEDSYNC_DATA=/from/environment", "WEDSYNC_LOG_SYNC_ALWAYS=true",
		"WEDSYNC_DELIVERY_RETRY_WAITS=1s, 9s", "WEDSYNC_API_KEY=", "WEDSYNC_PORT=tcp://10.0.0.1:80", "HOME=/",
	}, []flagValue{{"http.addr", "127.0.0.1:3", "--addr"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Config{}.WithDefaults()
	want.Data = "/from/environment"
	want.HTTP.Addr = "127.0.0.1:3"
	want.Log.EventBytes, want.Log.EventAge, want.Log.SyncAlways = 1<<30, time.Hour, true
	want.Delivery.RetryWaits = []time.Duration{time.Second, 9 * time.Second}
	want.Delivery.AllowPrivate = []string{"127.0.0.0/8", "10.0.0.0/8"}
	want.WS.TokenKeys = []event.Secret{}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%+v\nwant\n%+v", c, want)
	}
}

func newMasterKey(t *testing.T) string {
	t.Helper()
	key, err := registry.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

func TestNodeOfAClusterBindsToLoopback(t *testing.T) {
	t.Parallel()
	key := flagValue{"cluster.key", cluster.GenerateKey().Reveal(), "--cluster-key"}
	got, err := loadConfig("", nil, []flagValue{key, {"cluster.join", "a:1,b:2,c:3", "--join"}})
	if err != nil || got.Cluster.Bind != "127.0.0.1:7946" || !slices.Equal(got.Cluster.Join, []string{"a:1", "b:2", "c:3"}) {
		t.Errorf("--join makes %+v, %v", got.Cluster, err)
	}
}

func TestConfigurationErrorsNameKeyValueAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	key := cluster.GenerateKey().Reveal()
	for name, c := range map[string]struct {
		file    string
		environ []string
		flags   []flagValue
		want    string // FILE stands for the file's path
	}{
		"unknown key, near another": {
			file: "http:\n  addr: 127.0.0.1:1\n  alowPublic: true\n",
			want: "FILE:3: there is no key http.alowPublic; did you mean http.allowPublic?",
		},
		"unknown key in a section": {
			file: "http:\n  compression: true\n",
			want: "FILE:2: there is no key http.compression; there are http.addr, http.allowPublic, http.publishRate",
		},
		"unknown section": {
			file: "kubernetes:\n  replicas: 3\n",
			want: "FILE:1: there is no key kubernetes; there are alerts, api, clickhouse, cluster, data, delivery, http, log, logging, node, secrets, shutdown, tracing, ws",
		},
		"unknown key without a value": {
			file: "dada:\n",
			want: "FILE:1: there is no key dada; did you mean data?",
		},
		"no boolean": {
			file: "http:\n  allowPublic: maybe\n",
			want: `FILE:2: http.allowPublic: "maybe" is neither true nor false`,
		},
		"no number": {
			environ: []string{"WEDSYNC_LOG_SHARDS=eight"},
			want:    `WEDSYNC_LOG_SHARDS: log.shards: "eight" is no whole number`,
		},
		"a duration without unit": {
			file: "shutdown: 20\n",
			want: `FILE:1: shutdown: "20" is no duration; write it like 500ms, 30s or 24h`,
		},
		"no size": {
			flags: []flagValue{{"log.eventBytes", "10 apples", "--set"}},
			want:  `--set: log.eventBytes: "10 apples" is no size; write it like 512KiB, 10MiB or 2GiB, or auto`,
		},
		"a bad item": {
			file: "delivery: { retryWaits: [1s, soon] }\n",
			want: `FILE:1: delivery.retryWaits: what stands there has an item, "soon", that is no duration; write it like 500ms, 30s or 24h`,
		},
		"a list for a value": {
			file: "data: [a, b]\n",
			want: "FILE:1: data: what stands there is one value, not a list or a section",
		},
		"a section for a list": {
			file: "ws: { origins: { a: b } }\n",
			want: "FILE:1: ws.origins: what stands there is a section, not a list",
		},
		"a value for a section": {
			file: "http: 8080\n",
			want: "FILE:1: http is a section: write its keys below it, indented",
		},
		"no mapping at all": {
			file: "- a\n",
			want: "FILE:1: the file is a section: write its keys below it, indented",
		},
		"a key twice": {
			file: "data: a\ndata: b\n",
			want: "FILE:2: data stands there twice",
		},
		"an unknown key by flag": {
			flags: []flagValue{{"http.adr", "x", "--set"}},
			want:  "--set: there is no key http.adr; did you mean http.addr?",
		},
		"public without saying so": {
			file: "http:\n  addr: 0.0.0.0:8080\n",
			want: `FILE:2: http.addr: "0.0.0.0:8080" can be reached from other machines; set http.allowPublic to true (--allow-public) if that is meant, and put TLS in front of it`,
		},
		"no address": {
			flags: []flagValue{{"http.addr", "8080", "--addr"}},
			want:  `--addr: http.addr: "8080" is not host:port; write it like 127.0.0.1:8080 or [::1]:8080`,
		},
		"out of range": {
			file: "log:\n  shards: 1000\n",
			want: "FILE:2: log.shards: 1000 is outside 1 to 256",
		},
		"a size out of range": {
			file: "ws:\n  clientBuffer: 1KiB\n",
			want: "FILE:2: ws.clientBuffer: 1KiB is outside 64KiB to 256MiB",
		},
		"a duration out of range": {
			file: "delivery:\n  retryWaits: [2h]\n",
			want: "FILE:2: delivery.retryWaits: 2h0m0s is outside 1ms to 1h0m0s",
		},
		"none of a few": {
			environ: []string{"WEDSYNC_LOGGING_LEVEL=loud"},
			want:    `WEDSYNC_LOGGING_LEVEL: logging.level: "loud" is not allowed; use one of trace, debug, info, warn, error`,
		},
		"an address with its password": {
			flags: []flagValue{{"clickhouse.dsn", "http://me:hush@host:8123", "--clickhouse"}},
			want:  `--clickhouse: clickhouse.dsn: "http://me:xxxxx@host:8123" is no address; use auto, embedded, off or clickhouse://user:password@host:9000/database`,
		},
		"a collector with a password": {
			flags: []flagValue{{"tracing.endpoint", "http://me:hush@collector:4318", "--set"}},
			want:  `--set: tracing.endpoint: "..." is no address; use auto, off, or one like http://127.0.0.1:4318; headers, such as a key, go into OTEL_EXPORTER_OTLP_HEADERS`,
		},
		"a collector without a scheme": {
			environ: []string{"WEDSYNC_TRACING_ENDPOINT=collector:4317"},
			want:    `WEDSYNC_TRACING_ENDPOINT: tracing.endpoint: "..." is no address; use auto, off, or one like http://127.0.0.1:4318; headers, such as a key, go into OTEL_EXPORTER_OTLP_HEADERS`,
		},
		"a short secret": {
			environ: []string{"WEDSYNC_WS_TOKEN_KEYS=0123456789abcdef0123456789abcdef,hush"},
			want:    "WEDSYNC_WS_TOKEN_KEYS: ws.tokenKeys: [secret] has 4 bytes; HS256 needs at least 32",
		},
		"a short API key": {
			environ: []string{"WEDSYNC_API_KEY=hush"},
			want:    "WEDSYNC_API_KEY: api.key: [secret] has 4 bytes; at least 20 are needed, and random ones",
		},
		"no master key": {
			environ: []string{"WEDSYNC_SECRETS_MASTER_KEY={\"hush\":1}"},
			want:    "WEDSYNC_SECRETS_MASTER_KEY: secrets.masterKey: [secret] cannot be used: master key: not a tink keyset in JSON; generate one, or check the file or variable it comes from",
		},
		"a secret that is a list": {
			file: "api:\n  key: [hush]\n",
			want: "FILE:2: api.key: [secret] is one value, not a list or a section",
		},
		"two master keys": {
			file: "secrets:\n  masterKey: '" + newMasterKey(t) + "'\n  masterKeyFile: /key\n",
			want: `FILE:3: secrets.masterKeyFile: "/key" is given beside secrets.masterKey; give one of the two`,
		},
		"insecure with keys": {
			file:    "ws:\n  insecure: true\n",
			environ: []string{"WEDSYNC_WS_TOKEN_KEYS=0123456789abcdef0123456789abcdef"},
			want:    "FILE:2: ws.insecure: true is given beside ws.tokenKeys; give one of the two",
		},
		"a secret in a list that is a list": {
			file: "ws:\n  tokenKeys: [[hush]]\n",
			want: "FILE:2: ws.tokenKeys: [secret] has an item, [secret], that is one value, not a list or a section",
		},
		"pings by the half second": {
			file: "ws:\n  pingInterval: 10500ms\n",
			want: "FILE:2: ws.pingInterval: 10.5s is not a number of whole seconds",
		},
		"no retry": {
			file: "delivery:\n  retryWaits: []\n",
			want: "FILE:2: delivery.retryWaits: [] must have 1 to 20 items",
		},
		"a store in which nothing fits": {
			file: "log:\n  workBytes: 1MiB\n",
			want: "FILE:2: log.workBytes: 1MiB is outside 16MiB to 1024TiB",
		},
		"a look at what burns each hour": {
			file: "alerts:\n  every: 1h\n",
			want: "FILE:2: alerts.every: 1h0m0s is outside 100ms to 5m0s",
		},
		"no alert is ever over": {
			file: "alerts:\n  resolveAfter: 48h\n",
			want: "FILE:2: alerts.resolveAfter: 48h0m0s is outside 100ms to 24h0m0s",
		},
		"alerts of fewer than no failures": {
			file: "alerts:\n  minFailures: -1\n",
			want: "FILE:2: alerts.minFailures: -1 is outside 1 to 1000000",
		},
		"no network": {
			file: "delivery: { allowPrivate: [127.0.0.1] }\n",
			want: `FILE:1: delivery.allowPrivate: "127.0.0.1" is no network; write it like 127.0.0.0/8 or 10.1.2.0/24`,
		},
		"no proxy": {
			file: "ws: { trustedProxies: [10.1.2.3] }\n",
			want: `FILE:1: ws.trustedProxies: "10.1.2.3" is no network; write it like 10.1.2.0/24`,
		},
		"no application": {
			file: "ws: { rpc: app }\n",
			want: `FILE:1: ws.rpc: "app" is no address; write it like http://127.0.0.1:3000/rpc`,
		},
		"no public key": {
			file: "ws: { publicKeys: [x] }\n",
			want: `FILE:1: ws.publicKeys: "x" is no single PEM block; write it with "-----BEGIN PUBLIC KEY-----" and all lines after it`,
		},
		"fetched keys that anybody could give": {
			file: "ws: { jwks: http://login.example.com/keys }\n",
			want: `FILE:1: ws.jwks: "http://login.example.com/keys" is no address to fetch keys from; write it like https://login.example.com/.well-known/jwks.json`,
		},
		"insecure, and keys": {
			file: "ws: { insecure: true, jwks: 'https://login.example.com/keys' }\n",
			want: `FILE:1: ws.insecure: true is given beside ws.publicKeys or ws.jwks; give one of the two`,
		},
		"no origin": {
			file: "ws: { origins: [app.example.com] }\n",
			want: `FILE:1: ws.origins: "app.example.com" is no origin; write it like https://app.example.com, or "*" for any`,
		},
		"no NATS address": {
			file: "log: { url: localhost }\n",
			want: `FILE:1: log.url: "localhost" is no NATS address; write it like nats://host:4222`,
		},
		"a cluster of one core node": {
			file: "cluster: { bind: 'a:7946', join: ['a:7946'], key: " + key + " }\n",
			want: `FILE:1: cluster.join: [a:7946] names one core node, and one cannot agree on a log: name all of them, 3 or 5; for a node that is alone, leave out cluster.bind and cluster.join`,
		},
		"a cluster of two core nodes": {
			file: "cluster: { bind: 'a:7946', join: ['a:7946', 'b:7946'], key: " + key + " }\n",
			want: `FILE:1: cluster.join: [a:7946 b:7946] names 2 core nodes; 3 or 5 can agree on a log`,
		},
		"a bad name": {
			flags: []flagValue{{"node.name", "n 1", "--name"}},
			want:  `--name: node.name: "n 1" is no name; use 1 to 64 of A-Z a-z 0-9 _ and -`,
		},
		"an empty folder": {
			flags: []flagValue{{"data", "", "--data"}},
			want:  `--data: data: "" is empty; name a folder`,
		},
		"no address with two ports after it": {
			file: "cluster: { bind: 10.0.0.1:65534, join: [a:1, b:1, c:1], key: CLUSTERKEY }\n",
			want: `FILE:1: cluster.bind: "10.0.0.1:65534" is not host:port with two more ports after it; write it like 10.0.0.1:7946`,
		},
		"no core nodes": {
			file: "cluster: { bind: 'a:1', key: CLUSTERKEY }\n",
			want: "cluster.join: [] names 0 core nodes; 3 or 5 can agree on a log",
		},
		"no key of a cluster": {
			file: "cluster: { join: [a:1, b:1, c:1], key: short }\n",
			want: `FILE:1: cluster.key: [secret] is no key of a cluster: the cluster key, of 5 characters, is not base64; it is 32 random bytes in base64; make one with "wedsync cluster-keys new"`,
		},
		"an unknown role": {
			file: "cluster: { roles: [core, master] }\n",
			want: `FILE:1: cluster.roles: "master" is not allowed; use one of core, edge`,
		},
		"probes all the time": {
			file: "cluster: { probeInterval: 1ms }\n",
			want: "FILE:1: cluster.probeInterval: 1ms is outside 50ms to 10s",
		},
		"a cluster on somebody else's log": {
			file: "cluster: { join: [a:1, b:1, c:1], key: CLUSTERKEY }\nlog: { url: nats://a:4222 }\n",
			want: `FILE:2: log.url: "nats://a:4222" is given beside cluster.join: the nodes of a cluster hold the log themselves`,
		},
		"a lone node that waits for others": {
			file: "log: { awaitRestore: true }\n",
			want: "FILE:1: log.awaitRestore: true is for the nodes of a cluster; a lone node's log is restored while it is stopped",
		},
		"a cluster with a ClickHouse that one node has": {
			file: "cluster: { join: [a:1, b:1, c:1], key: CLUSTERKEY }\nclickhouse: { dsn: embedded }\n",
			want: `FILE:2: clickhouse.dsn: "embedded" is for a node that is alone; the nodes of a cluster need one that they all reach`,
		},
		"all at once": {
			file: "dta: x\nshutdown: never\n",
			want: "FILE:1: there is no key dta; did you mean data?\nFILE:2: shutdown: \"never\" is no duration; write it like 500ms, 30s or 24h",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeConfig(t, strings.ReplaceAll(c.file, "CLUSTERKEY", key))
			_, err := loadConfig(path, c.environ, c.flags)
			if want := strings.ReplaceAll(c.want, "FILE", path); err == nil || err.Error() != want {
				t.Errorf("got\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestConfigurationFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	if _, err := loadConfig(filepath.Join(t.TempDir(), "none.yaml"), nil, nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v, want the missing file's name", err)
	}
	path := writeConfig(t, "http: {\n")
	if _, err := loadConfig(path, nil, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want the broken file's name", err)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{"0B": 0, "1000B": 1000, "512KiB": 512 << 10, "3 MiB": 3 << 20, "10GiB": 10 << 30, "2TiB": 2 << 40} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
		if again, err := parseSize(got.String()); err != nil || again != got {
			t.Errorf("%s prints as %s, which reads as %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "10", "KiB", "-1KiB", "9999999999TiB", "1.5GiB", "1GB "} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
