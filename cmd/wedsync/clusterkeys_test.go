package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/cluster"
)

func TestClusterKeys(t *testing.T) {
	t.Parallel()
	var made struct{ ID, Key string }
	if got := wedsync(t, "cluster-keys", "new", "--json"); json.Unmarshal([]byte(got.out), &made) != nil || got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	k, err := cluster.ParseKey(made.Key)
	if err != nil || k.ID() != made.ID {
		t.Fatalf("the new key %q has the id %q: %v", made.Key, made.ID, err)
	}
	plain := wedsync(t, "cluster-keys", "new")
	if other, err := cluster.ParseKey(plain.out); err != nil || other.ID() == made.ID {
		t.Errorf("%+v: %v", plain, err)
	}
	file := filepath.Join(t.TempDir(), "new.key")
	if err := os.WriteFile(file, []byte(made.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const text = `{"items":[{"node":"n1","keys":[{"id":"aa","primary":true},{"id":"bb","primary":false}]},{"node":"n2","keys":[]}]}`
	node := newStandIn(t, map[string]answer{
		"GET /api/cluster/keys": {200, text}, "POST /api/cluster/keys": {200, text}, "POST /api/cluster/keys/bb/use": {200, text},
		"DELETE /api/cluster/keys/aa": {200, text},
		"DELETE /api/cluster/keys/bb": {409, `{"code":"nodes_differ","detail":"these nodes use the key bb: n1"}`},
	})
	table := "node  uses       has too\nn1    aa         bb\nn2    no answer  -\n"
	for _, c := range []struct {
		args []string
		said string
	}{
		{[]string{"cluster-keys"}, ""},
		{[]string{"cluster-keys", "add", "@" + file}, "all nodes have the key " + made.ID + "; next: wedsync cluster-keys use " + made.ID + "\n"},
		{[]string{"cluster-keys", "use", "bb"}, "all nodes use the key bb; next: wedsync cluster-keys remove the other one\n"},
		{[]string{"cluster-keys", "remove", "aa"}, "no node has the key aa any more\n"},
	} {
		if got := wedsync(t, append(c.args, "--addr", node.URL)...); got.code != exitOK || got.out != c.said+table {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
	if sent := node.called()[1]; sent.body != `{"key":"`+made.Key+`"}` {
		t.Errorf("sent %+v", sent)
	}
	var listed []cluster.NodeKeys
	if got := wedsync(t, "cluster-keys", "--json", "--addr", node.URL); json.Unmarshal([]byte(got.out), &listed) != nil || len(listed) != 2 || !listed[0].Keys[0].Primary {
		t.Errorf("%+v", got)
	}
	if got := wedsync(t, "cluster-keys", "remove", "bb", "--addr", node.URL); got.code != exitFailed || !strings.Contains(got.errors, "use the key bb: n1 (409") {
		t.Errorf("%+v", got)
	}
	if got := wedsync(t, "cluster-keys", "add", "short!", "--addr", node.URL); got.code != exitUsage || !strings.Contains(got.errors, "32 random bytes") || strings.Contains(got.errors, "short") {
		t.Errorf("%+v", got)
	}
}
