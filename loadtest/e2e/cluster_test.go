package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// traffic is what goes on in a cluster while its nodes come and go: publishers and a watcher on each node, and a vendor.
type traffic struct {
	t        *testing.T
	load     *load
	sink     *sink
	watchers []*watcher
}

const clusterLanes = 6 // channels, each published on another node than the one before

func newTraffic(ctx context.Context, t *testing.T, nodes ...*station) *traffic {
	t.Helper()
	f := &traffic{t: t, sink: newSink(t, "crm"), load: newLoad(t, nil, clusterLanes)}
	connect(ctx, t, nodes[0].api, f.sink)
	for _, s := range nodes {
		f.load.nodes = append(f.load.nodes, s.api)
		f.watchers = append(f.watchers, watch(ctx, t, s.node.WebSocketURL(), "watcher at "+s.cfg.Addr, clusterLanes))
	}
	f.load.begin(ctx, 0, 50*time.Millisecond)
	t.Cleanup(f.load.end)
	return f
}

// more waits until a good deal more was published.
func (f *traffic) more(ctx context.Context) {
	f.t.Helper()
	if err := f.load.more(ctx, f.load.total()+10*clusterLanes); err != nil {
		f.t.Fatal(err)
	}
}

// end ends publishing, and fails unless all that was accepted has come to the vendor and to each watcher.
func (f *traffic) end(ctx context.Context) {
	f.t.Helper()
	f.load.end()
	accepted, total := f.load.byChannel(), f.load.total()
	if err := f.sink.Wait(ctx, total); err != nil {
		f.t.Errorf("%s: %v", f.sink.id, err)
	}
	repeats := f.sink.verify(f.t, accepted)
	for _, w := range f.watchers {
		if err := w.wait(ctx, total); err != nil {
			f.t.Error(err)
		}
		w.verify(f.t, accepted)
	}
	f.t.Logf("%d events, of which %d requests were repeated; %d deliveries came again", total, f.load.again.Load(), repeats)
}

// agreed waits until each of these nodes lists the same members, all up and with a whole copy of the log or none.
func agreed(ctx context.Context, t *testing.T, names string, nodes ...*station) {
	t.Helper()
	for _, s := range nodes {
		until(ctx, t, "members as "+s.cfg.Addr+" sees them", func(ctx context.Context) (bool, string) {
			var members struct {
				Items []struct{ Name, State, Log string }
			}
			err := s.api.Call(ctx, http.MethodGet, "/api/cluster/members", nil, &members)
			var seen []string
			for _, m := range members.Items {
				if m.State == "up" && slices.Contains([]string{"leader", "replica", "none"}, m.Log) {
					seen = append(seen, m.Name)
				}
			}
			return strings.Join(seen, " ") == names, fmt.Sprintf("%+v, %v", members, err)
		})
	}
}

// TestCluster does what docs/cluster.md says, under load: three nodes, an edge that comes and goes, one that is
// killed and one that is stopped in order.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx := within(t, 4*time.Minute)
	all := newTrio(ctx, t)
	edge := newStation(t, append(slices.Clone(all[0].cfg.Flags), "--name", "e1", "--bind", seed(t), "--roles", "edge",
		"--clickhouse", "clickhouse://nobody@127.0.0.1:1/none")...) // nobody answers there: it tells of the records that wait
	edge.start(ctx)
	edge.api.HTTP.Timeout = time.Minute
	nodes := append(slices.Clone(all), edge)
	agreed(ctx, t, "e1 n1 n2 n3", nodes...)

	f := newTraffic(ctx, t, nodes...)
	f.more(ctx)
	edge.stop(ctx)
	agreed(ctx, t, "n1 n2 n3", all...)
	f.more(ctx)
	edge.start(ctx)
	all[0].node.Kill()
	f.more(ctx)
	all[0].start(ctx)
	agreed(ctx, t, "e1 n1 n2 n3", nodes...)
	all[1].stop(ctx)
	f.more(ctx)
	all[1].start(ctx)
	agreed(ctx, t, "e1 n1 n2 n3", nodes...)
	checkPresence(ctx, t, nodes...)
	f.more(ctx)
	f.end(ctx)
	checkNoneDead(ctx, t, all[2])
	checkLive(ctx, t, nodes...)
	checkMetrics(ctx, t, nodes...)
}

// checkLive fails unless all nodes come to tell the same of the last hour: what those that deliver have counted together.
func checkLive(ctx context.Context, t *testing.T, nodes ...*station) {
	t.Helper()
	until(ctx, t, "the same live numbers on all nodes", func(ctx context.Context) (bool, string) {
		told := map[string]bool{}
		for _, s := range nodes {
			var live struct {
				Source string
				Silent []string
				Rows   []struct{ Total, Delivered, Dead uint64 }
			}
			err := s.api.Call(ctx, http.MethodGet, "/api/live", nil, &live)
			if err != nil || live.Source != "live" || len(live.Silent) > 0 || len(live.Rows) != 1 || live.Rows[0].Total == 0 {
				return false, fmt.Sprintf("%s tells %+v, %v", s.cfg.Addr, live, err)
			}
			told[fmt.Sprint(live.Rows)] = true
		}
		return len(told) == 1, fmt.Sprint(told)
	})
}

var metricName = regexp.MustCompile(`wedsync_[a-z_]+`)

// checkMetrics fails where what docs and dashboards tell of is no metric of these nodes.
func checkMetrics(ctx context.Context, t *testing.T, nodes ...*station) {
	t.Helper()
	var told strings.Builder
	for _, s := range nodes {
		text, err := s.api.Send(ctx, http.MethodGet, "/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		told.Write(text)
	}
	for _, file := range []string{"deploy/compose/alerts.yml", "deploy/compose/grafana/dashboards/cluster.json", "docs/cluster.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", file))
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		if len(names) == 0 {
			t.Errorf("%s names no metric", file)
		}
		for _, name := range names {
			if !strings.Contains(told.String(), "\n"+name+" ") && !strings.Contains(told.String(), "\n"+name+"{") {
				t.Errorf("%s names %s, which no node tells", file, name)
			}
		}
	}
}
