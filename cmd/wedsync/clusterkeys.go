package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/wedsync/wedsync/cluster"
)

type clusterKeysCmd struct {
	New    clusterKeysNewCmd    `cmd:"" help:"Print a new key. No node is asked."`
	List   clusterKeysListCmd   `cmd:"" default:"withargs" help:"List the keys that each node has, by their ids."`
	Add    clusterKeysAddCmd    `cmd:"" help:"First: give all nodes a new key. They do not use it yet."`
	Use    clusterKeysUseCmd    `cmd:"" help:"Second: have all nodes use it."`
	Remove clusterKeysRemoveCmd `cmd:"" help:"Third: take the old key away from all nodes."`
}

func (clusterKeysCmd) Help() string {
	return `The nodes of a cluster share a key. It is replaced while they run, in three steps; each is done on all nodes, and any
node can be told:

    wedsync cluster-keys new > new.key
    wedsync cluster-keys add @new.key
    wedsync cluster-keys use 5d0c9a1b22
    wedsync cluster-keys remove 81f3aa97c0

A step that a node has not made can be repeated, and the next one is refused until all have made it. Each node keeps its keys
in cluster.keys in its data folder, and takes them from there when it starts. A node that is down meanwhile must get that file
before it starts; a new one is given the new key.`
}

type clusterKeysNewCmd struct{}

func (clusterKeysNewCmd) Run(p printer) error {
	k := cluster.GenerateKey()
	return p.told(map[string]string{"id": k.ID(), "key": k.Reveal()}, "%s", k.Reveal())
}

// nodeKeysPage is the answer to all that is done to cluster keys.
type nodeKeysPage = page[cluster.NodeKeys]

// showKeys tells what was done, and how the nodes stand.
func showKeys(p printer, nodes []cluster.NodeKeys, said string) error {
	if p.json {
		return p.object(nodes)
	}
	if said != "" {
		p.say("%s", said)
	}
	rows := make([][]string, 0, len(nodes))
	for _, n := range nodes {
		used, others := "no answer", []string{}
		for _, k := range n.Keys {
			if k.Primary {
				used = k.ID
			} else {
				others = append(others, k.ID)
			}
		}
		rows = append(rows, []string{n.Node, used, strings.Join(others, " ")})
	}
	return p.table([]string{"node", "uses", "has too"}, rows)
}

type clusterKeysListCmd struct{ nodeFlags }

func (c clusterKeysListCmd) Run(ctx context.Context, p printer) error {
	return c.onKeys(ctx, p, http.MethodGet, "", nil, "")
}

// onKeys does something to the keys of all nodes.
func (f nodeFlags) onKeys(ctx context.Context, p printer, method, path string, in any, said string) error {
	node, err := f.client()
	if err != nil {
		return err
	}
	nodes, _, err := ask[nodeKeysPage](ctx, node, method, "/api/cluster/keys"+path, nil, in)
	if err != nil {
		return err
	}
	return showKeys(p, nodes.Items, said)
}

type clusterKeysAddCmd struct {
	nodeFlags
	New string `arg:"" name:"key" help:"32 random bytes in base64; better @FILE, or - for standard input, than the text itself."`
}

func (c clusterKeysAddCmd) Run(ctx context.Context, p printer, w world) error {
	text, err := readArgument(c.New, w.stdin)
	if err != nil {
		return err
	}
	k, err := cluster.ParseKey(string(text))
	if err != nil {
		return usageError{err}
	}
	return c.onKeys(ctx, p, http.MethodPost, "", map[string]string{"key": k.Reveal()},
		fmt.Sprintf("all nodes have the key %[1]s; next: wedsync cluster-keys use %[1]s", k.ID()))
}

type clusterKeysUseCmd struct {
	nodeFlags
	ID string `arg:"" help:"The key's id, as listed."`
}

func (c clusterKeysUseCmd) Run(ctx context.Context, p printer) error {
	return c.onKeys(ctx, p, http.MethodPost, "/"+url.PathEscape(c.ID)+"/use", nil,
		fmt.Sprintf("all nodes use the key %s; next: wedsync cluster-keys remove the other one", c.ID))
}

type clusterKeysRemoveCmd struct {
	nodeFlags
	ID string `arg:"" help:"The key's id, as listed."`
}

func (c clusterKeysRemoveCmd) Run(ctx context.Context, p printer) error {
	return c.onKeys(ctx, p, http.MethodDelete, "/"+url.PathEscape(c.ID), nil, "no node has the key "+c.ID+" any more")
}
