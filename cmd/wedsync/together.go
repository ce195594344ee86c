package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wedsync/wedsync/actors"
	"github.com/wedsync/wedsync/cluster"
	"github.com/wedsync/wedsync/cluster/journal"
	"github.com/wedsync/wedsync/cluster/peers"
)

// clusterKeysFile in the data folder keeps the keyring once it was changed by a command; it counts, then,
// and cluster.key no more.
const clusterKeysFile = "cluster.keys"

// membership says which nodes there are, and which of them should own a shard.
type membership interface {
	cluster.Membership
	Owner(shard int) string
}

// roles are what the node does in the cluster.
func (c ClusterConfig) roles() (all cluster.Roles) {
	for _, role := range c.Roles {
		all |= map[string]cluster.Roles{"core": cluster.Core, "edge": cluster.Edge}[role]
	}
	return all
}

// openCluster finds the other nodes, if this one is to be one of several.
func (n *node) openCluster(ctx context.Context) error {
	c := n.cfg.Cluster
	if !c.Enabled() {
		n.members = cluster.NewSolo(n.cfg.Node.Name)
		return nil
	}
	var err error
	if n.ring, err = openKeyring(n.cfg); err != nil {
		return err
	}
	n.gossip, err = cluster.StartGossip(ctx, cluster.GossipConfig{
		Name: n.cfg.Node.Name, Bind: c.Bind, Advertise: c.Advertise, Join: c.Join, Roles: c.roles(),
		ProbeInterval: c.ProbeInterval, Version: readVersion().Version, Keyring: n.ring, Logger: n.part("gossip"),
		Empty: c.roles().Has(cluster.Core) && journal.EmptyDir(filepath.Join(n.cfg.Data, logFolder)),
	})
	if err != nil {
		return err
	}
	n.members = n.gossip
	n.onClose(n.gossip.Leave)
	return n.openPeers()
}

// openPeers has nodes ask each other.
func (n *node) openPeers() error {
	host, _, err := net.SplitHostPort(n.cfg.Cluster.Bind)
	if err != nil {
		return err
	}
	known, _, err := net.SplitHostPort(n.gossip.Addr())
	if err != nil {
		return err
	}
	n.peers, err = peers.New(peers.Config{
		Node: n.cfg.Node.Name, Host: cmp.Or(host, "0.0.0.0"), Advertise: known, TLS: n.ring.TLS(n.cfg.Node.Name), Errors: actors.PeerErrors,
		Resolve: func(name string) (string, bool) {
			m, ok := n.members.View().Member(name)
			return m.Endpoints.Peers, ok
		},
		Metrics: n.metrics, Logger: n.part("peers"),
	})
	if err != nil {
		return err
	}
	n.onClose(func(ctx context.Context) { n.warn("peers", n.peers.Close(ctx)) })
	n.rotation = &cluster.Rotation{Node: n.cfg.Node.Name, Ring: n.ring, Members: n.gossip, Ask: n.peers.Ask, Reseal: n.reseal}
	n.peers.Handle(cluster.KeysKind, n.rotation.Serve)
	return nil
}

// reseal seals the keys that nodes share with the primary cluster key, if they are not.
func (n *node) reseal(ctx context.Context) error {
	bucket, err := n.journal.KV(ctx, sharedBucket)
	if err == nil {
		_, err = n.readShared(ctx, bucket)
	}
	return err
}

// edges are the other nodes, to this one's clients.
type edges struct {
	*peers.Peers
	journal *journal.Journal
	members membership
	self    string
}

// Others implements ws.Nodes: every node takes clients as soon as it can be asked.
func (e edges) Others() []string {
	var names []string
	for _, m := range e.members.View().Members() {
		if m.Name != e.self && m.Endpoints.Peers != "" {
			names = append(names, m.Name)
		}
	}
	return names
}

// Join implements ws.Nodes.
func (e edges) Join(ctx context.Context, topic string, heard func([]byte), present func() [][]byte) (*journal.Topic, error) {
	return e.journal.Join(ctx, topic, heard, present)
}

// openKeyring reads the keys that were kept, or else takes the configured one.
func openKeyring(cfg Config) (*cluster.Keyring, error) {
	path := filepath.Join(cfg.Data, clusterKeysFile)
	text, err := os.ReadFile(path) // #nosec G304 -- the operator chooses the folder
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte(cfg.Cluster.Key.Reveal()), nil
	}
	if err != nil {
		return nil, err
	}
	keep := func(text string) error {
		if err := os.MkdirAll(cfg.Data, 0o750); err != nil {
			return err
		}
		return writeWhole(path, []byte(text), os.Rename)
	}
	keys, err := cluster.ParseKeys(string(text))
	if err == nil {
		var ring *cluster.Keyring
		if ring, err = cluster.NewKeyring(keep, keys...); err == nil {
			return ring, nil
		}
	}
	return nil, fmt.Errorf("%s: %w; copy it from another node, or remove it to go by cluster.key", path, err)
}

// logCluster is this node's part of the log that the cluster holds.
func (n *node) logCluster() *journal.Cluster {
	c := n.cfg.Cluster
	at := func(addr string, ports int) string {
		next, _ := portAfter(addr, ports) // was validated
		return next
	}
	log := &journal.Cluster{TLS: n.ring.TLS(n.cfg.Node.Name), Await: n.cfg.Log.AwaitRestore}
	if !c.roles().Has(cluster.Core) {
		for _, seed := range c.Join {
			log.Servers = append(log.Servers, at(seed, 2))
		}
		return log
	}
	for _, seed := range c.Join {
		log.Peers = append(log.Peers, at(seed, 1))
	}
	log.Routes, log.Clients = at(c.Bind, 1), at(c.Bind, 2)
	return log
}

// join makes the node one that others count on, now that it serves.
func (n *node) join() error {
	if n.gossip == nil {
		return nil
	}
	host, _, err := net.SplitHostPort(n.gossip.Addr())
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(n.addr.String())
	if err != nil {
		return err
	}
	e := cluster.Endpoints{HTTP: net.JoinHostPort(host, port), Peers: n.peers.Addr()}
	if n.cfg.Cluster.roles().Has(cluster.Core) {
		e.Log, _ = portAfter(n.gossip.Addr(), 1)
		e.LogClients, _ = portAfter(n.gossip.Addr(), 2)
	}
	if err := n.gossip.SetEndpoints(e); err != nil {
		return err
	}
	n.gossip.SetState(cluster.Up)
	return nil
}

// followLog tells the other nodes when this one's part of the log does not work, so that they take its shards over,
// until it is told to end.
func (n *node) followLog(end <-chan struct{}) {
	for {
		changed := n.journal.FailedChanged()
		why := n.journal.Failed()
		if was, _ := n.members.View().Member(n.cfg.Node.Name); was.Failed != (why != nil) {
			if why != nil {
				n.log.Error().Err(why).Msg("this node's part of the log does not work: it gives its shards to others")
			} else {
				n.log.Info().Msg("this node's part of the log works again")
			}
			n.warn("gossip", n.gossip.SetFailed(why != nil))
		}
		select {
		case <-changed:
		case <-end:
			return
		}
	}
}

// drain tells the other nodes to take this one's shards over.
func (n *node) drain() {
	if n.gossip != nil {
		n.gossip.SetState(cluster.Draining)
	}
}

// handOver drains the node, and waits until it holds no shard.
func (n *node) handOver(ctx context.Context) error {
	n.drain()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for held, _ := n.system.Ready(); held > 0; held, _ = n.system.Ready() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// sharedKeys are what the nodes of a cluster must have alike, by the file that a node keeps each in. The
// first node puts them into the log, sealed with the cluster key, and the others take them from there.
type sharedKeys map[string]string

const (
	sharedBucket  = "wedsync"
	sharedKey     = "keys"
	sharedPurpose = "wedsync keys"
)

// shareKeys gives the node the cluster's keys for files that it lacks, or gives the cluster this node's.
func (n *node) shareKeys(ctx context.Context) error {
	if n.ring == nil {
		return nil
	}
	bucket, err := n.journal.KV(ctx, sharedBucket)
	if err != nil {
		return err
	}
	for {
		keys, err := n.readShared(ctx, bucket)
		if err == nil {
			return keys.keep(n.cfg.Data, func(name string) {
				n.log.Warn().Str("file", filepath.Join(n.cfg.Data, name)).
					Msg("this node's key is another one than the cluster's; remove the file to take the cluster's at the next start")
			})
		}
		if !errors.Is(err, journal.ErrNotFound) {
			return err
		}
		if keys, err = generateShared(n.cfg.Data); err != nil {
			return err
		}
		if err = n.writeShared(ctx, bucket, keys, 0); err != nil && !errors.Is(err, journal.ErrConflict) {
			return err
		}
	}
}

// readShared returns the cluster's keys, and seals them anew where the cluster key has changed.
func (n *node) readShared(ctx context.Context, bucket *journal.Bucket) (sharedKeys, error) {
	v, err := bucket.Get(ctx, sharedKey)
	if err != nil {
		return nil, err
	}
	plain, primary, err := n.ring.Open(sharedPurpose, v.Data)
	if err != nil {
		return nil, err
	}
	var keys sharedKeys
	if err := json.Unmarshal(plain, &keys); err != nil {
		return nil, fmt.Errorf("the cluster's keys cannot be read: %w", err)
	}
	if !primary {
		err = n.writeShared(ctx, bucket, keys, v.Revision)
		if errors.Is(err, journal.ErrConflict) { // another node was faster
			err = nil
		}
	}
	return keys, err
}

func (n *node) writeShared(ctx context.Context, bucket *journal.Bucket, keys sharedKeys, revision uint64) error {
	plain, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	sealed, err := n.ring.Seal(sharedPurpose, plain)
	if err != nil {
		return err
	}
	_, err = bucket.Update(ctx, sharedKey, sealed, revision)
	return err
}

// generateShared returns what the folder has, and new keys for the rest.
func generateShared(dir string) (sharedKeys, error) {
	keys := sharedKeys{}
	for name, generate := range keyMakers {
		text, err := os.ReadFile(filepath.Join(dir, name)) // #nosec G304 -- the operator chooses the folder
		if errors.Is(err, os.ErrNotExist) {
			text, err = generate()
		}
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		keys[name] = strings.TrimSpace(string(text))
	}
	return keys, nil
}

// keep writes the files that are missing; differs is told of those that hold something else.
func (k sharedKeys) keep(dir string, differs func(name string)) error {
	for name, key := range k {
		if _, known := keyMakers[name]; !known {
			continue // of a newer release
		}
		had, err := keyFile(filepath.Join(dir, name), func() ([]byte, error) { return []byte(key), nil })
		if err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		if had != key {
			differs(name)
		}
	}
	return nil
}
