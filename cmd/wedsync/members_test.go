package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	node := newStandIn(t, map[string]answer{"GET /api/cluster/members": {200, `{"items":[
		{"name":"n1","roles":["core","edge"],"state":"up","shards":[0,3],"log":"leader","lag":0,"version":"1.2","startedAt":"2026-01-02T03:04:05Z",
		 "addresses":{"gossip":"10.0.0.1:7946","http":"10.0.0.1:8080"}},
		{"name":"n2","roles":["core"],"state":"missing","shards":[],"log":"offline","lag":17}]}`}})
	got := wedsync(t, "members", "--addr", node.URL)
	rows := strings.Split(got.out, "\n")
	if got.code != exitOK || len(rows) != 4 || strings.Join(strings.Fields(rows[0]), " ") != "name roles state shards log lag version gossip http started" ||
		!strings.HasPrefix(strings.Join(strings.Fields(rows[1]), " "), "n1 core,edge up 2 leader 0 1.2 10.0.0.1:7946 10.0.0.1:8080 2026-") ||
		strings.Join(strings.Fields(rows[2]), " ") != "n2 core missing 0 offline 17 - - - -" {
		t.Errorf("%+v", got)
	}
	var items []member
	if got := wedsync(t, "members", "--json", "--addr", node.URL); json.Unmarshal([]byte(got.out), &items) != nil ||
		len(items) != 2 || items[0].Addresses.Gossip != "10.0.0.1:7946" || len(items[0].Shards) != 2 || items[1].Addresses != nil || items[1].Lag != 17 {
		t.Errorf("%+v", got)
	}
}

func TestRemoveMemberAndDrain(t *testing.T) {
	t.Parallel()
	node := newStandIn(t, map[string]answer{
		"DELETE /api/cluster/members/n3": {204, ""}, "POST /api/cluster/drain": {204, ""},
		"DELETE /api/cluster/members/n1": {409, `{"code":"member_alive","detail":"the node n1 is up, at a:1; stop it first"}`},
	})
	for _, c := range []struct {
		args []string
		want result
	}{
		{[]string{"members", "remove", "n3"}, result{exitOK, "node n3 is removed\n", ""}},
		{[]string{"members", "remove", "n3", "--json"}, result{exitOK, `{"name":"n3"}` + "\n", ""}},
		{[]string{"members", "remove", "n1"}, result{exitFailed, "", "wedsync: the node n1 is up, at a:1; stop it first (409 member_alive)\n"}},
		{[]string{"drain"}, result{exitOK, "the node at " + node.URL + " holds no shard any more\n", ""}},
		{[]string{"drain", "--json"}, result{exitOK, `{"addr":"` + node.URL + `"}` + "\n", ""}},
	} {
		if got := wedsync(t, append(c.args, "--addr", node.URL)...); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.args, got, c.want)
		}
	}
}
