package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

func TestCoresMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cores   int
		members string // h: holds the log, e: is empty, x: an edge
		self    int
		want    string
	}{
		{3, "eee", 0, ""},
		{3, "ee", 0, "2 of 3"},
		{3, "eex", 0, "2 of 3"},
		{3, "hhe", 2, ""},
		{3, "he", 1, "1 hold it"},
		{3, "hee", 1, "1 hold it and are there, and 2 have none"},
		{3, "hee", 0, ""}, // it holds it
		{3, "hhhe", 3, ""},
		{1, "e", 0, ""},
		{1, "he", 1, ""},
		{5, "hheee", 4, "2 hold it"},
		{5, "hhhee", 4, ""},
	} {
		var members []cluster.Member
		for i, kind := range c.members {
			roles := cluster.Core
			if kind == 'x' {
				roles = cluster.Edge
			}
			members = append(members, cluster.Member{Name: fmt.Sprint("n", i), Roles: roles, Empty: kind == 'e'})
		}
		if got := coresMissing(fmt.Sprint("n", c.self), members, c.cores); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%d of %s in %d waits for %q, want %q", c.self, c.members, c.cores, got, c.want)
		}
	}
}

// threePorts is a loopback address that nobody listens on, nor on the two ports after it.
func threePorts(t *testing.T) string {
	t.Helper()
	addr, err := nodeproc.FreeBind()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// cores are the configurations of three nodes that are one cluster.
func cores(t *testing.T, change ...func(*Config)) [3]Config {
	t.Helper()
	var all [3]Config
	key := event.SecretOf(cluster.GenerateKey().Reveal())
	join := []string{threePorts(t), threePorts(t), threePorts(t)}
	for i := range all {
		all[i] = testConfig(t)
		all[i].Node.Name = fmt.Sprint("n", i+1)
		all[i].Cluster.Bind, all[i].Cluster.Join, all[i].Cluster.Key = join[i], join, key
		for _, c := range change {
			c(&all[i])
		}
	}
	return all
}
