package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/edge/api"
	"github.com/wedsync/wedsync/edge/problem"
)

func TestClusterKeys(t *testing.T) {
	t.Parallel()
	one, two := cluster.GenerateKey(), cluster.GenerateKey()
	view := nodes{{Name: "n1", State: cluster.Up}, {Name: "n2", State: cluster.Up}}
	rings := map[string]*cluster.Rotation{}
	deaf := false
	for _, m := range view {
		ring, err := cluster.NewKeyring(nil, one)
		must(t, err)
		rings[m.Name] = &cluster.Rotation{
			Node: m.Name, Ring: ring, Members: view, Reseal: func(context.Context) error { return nil },
			Ask: func(ctx context.Context, node, _ string, body []byte) ([]byte, error) {
				if deaf {
					return nil, errors.New("no answer")
				}
				return rings[node].Serve(ctx, m.Name, body)
			},
		}
	}
	n := start(t, func(c *api.Config) { c.Members, c.ClusterKeys = view, rings["n1"] })
	try := func(method, path, body, code, want, audited string) {
		t.Helper()
		a := n.do(t, method, "/api/cluster/keys"+path, body)
		if code != "" && (a.code(t) != code || !strings.Contains(a.body, want)) {
			t.Errorf("%s %s: %d %s, want %s %q", method, path, a.status, a.body, code, want)
		}
		if code == "" {
			got := ""
			for _, node := range into[list[cluster.NodeKeys]](t, a).Items {
				got += node.Node
				for _, k := range node.Keys {
					got += map[bool]string{true: " *", false: " "}[k.Primary] + k.ID
				}
				got += ";"
			}
			if got != want {
				t.Errorf("%s %s: %s, want %s", method, path, got, want)
			}
		}
		all := ""
		for _, r := range n.audited() {
			all += fmt.Sprint(r.Action, " ", r.Target, " ", r.Outcome)
		}
		if all != audited || strings.Contains(a.body+n.out.String(), two.Reveal()) {
			t.Errorf("%s %s: audited are %q, want %q; %s", method, path, all, audited, a.body)
		}
	}
	both := func(keys string) string { return "n1 " + keys + ";n2 " + keys + ";" }
	add := `{"key":"` + two.Reveal() + `"}`
	try("GET", "", "", "", both("*"+one.ID()), "")
	try("POST", "", `{"key":"short"}`, problem.FieldInvalid, "32 random bytes", "cluster_key.add  field_invalid")
	try("POST", "/"+two.ID()+"/use", "", problem.ClusterKeyUnknown, "no node has", "cluster_key.use "+two.ID()+" cluster_key_unknown")
	deaf = true
	try("POST", "", add, problem.NodesDiffer, "n2: no answer", "cluster_key.add "+two.ID()+" nodes_differ")
	try("GET", "", "", "", "n1 *"+one.ID()+" "+two.ID()+";n2;", "")
	deaf = false
	try("POST", "", add, "", both("*"+one.ID()+" "+two.ID()), "cluster_key.add "+two.ID()+" ok")
	try("DELETE", "/"+one.ID(), "", problem.NodesDiffer, "use the key "+one.ID()+": n1; n2", "cluster_key.remove "+one.ID()+" nodes_differ")
	try("POST", "/"+two.ID()+"/use", "", "", both("*"+two.ID()+" "+one.ID()), "cluster_key.use "+two.ID()+" ok")
	try("DELETE", "/"+one.ID(), "", "", both("*"+two.ID()), "cluster_key.remove "+one.ID()+" ok")

	n = start(t, nil)
	for _, op := range [][2]string{{"GET", ""}, {"POST", "/x/use"}, {"DELETE", "/x"}} {
		if a := n.do(t, op[0], "/api/cluster/keys"+op[1], ""); a.code(t) != problem.NodeAlone || a.status != 409 {
			t.Errorf("%v of a node alone: %d %s", op, a.status, a.body)
		}
	}
}
