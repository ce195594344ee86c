package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/wedsync/wedsync/actors/registry"
)

type masterKeyCmd struct {
	Add     masterKeyAddCmd     `cmd:"" help:"First: put a new key beside the old one. It does not seal yet."`
	Promote masterKeyPromoteCmd `cmd:"" help:"Second: have the new key seal, when all nodes have it."`
	Retire  masterKeyRetireCmd  `cmd:"" help:"Third: remove the old keys, when nothing is sealed with them any more."`
}

func (masterKeyCmd) Help() string {
	return `The key is replaced in three steps, in which at least one node goes on at any time:

    wedsync master-key add        # the file has two keys; give it to all nodes and restart them, one by one
    wedsync master-key promote    # the new key seals; give the file to all nodes and restart them, one by one
    wedsync master-key retire     # the new key is alone; give the file to all nodes; restart them when you like

Each step changes the file alone. The first node that starts with the promoted key seals everything anew. The
second and third step ask a node, which reads from the log by which keys the secrets are sealed, and which keys
the nodes on the log have: what would shut one of them out of a secret is refused. A node that is down meanwhile
must get the file before it starts.

Keep a copy of the file apart. A key that the configuration gives as text, secrets.masterKey, is replaced
the same way: write it to a file, name that with --file, and take its text.`
}

// masterKeyFlags say where the key is.
type masterKeyFlags struct {
	File string `help:"File of the key. Default: master.key in the data folder." placeholder:"FILE"`
}

// keyset is the file of a master key.
type keyset struct {
	path   string
	text   []byte
	newest uint32 // id of the key that was added last
	seals  bool   // and whether it is the one that seals
}

func (f masterKeyFlags) read(data string) (k keyset, err error) {
	if k.path = f.File; k.path == "" {
		k.path = filepath.Join(data, masterKeyFile)
	}
	if k.text, err = os.ReadFile(k.path); err != nil {
		return k, err
	}
	if k.newest, k.seals, err = registry.NewestKey(k.text); err != nil {
		return k, fmt.Errorf("%s: %w", k.path, err)
	}
	return k, nil
}

// askMasterKeys asks a node how the log and the nodes on it stand to their keys.
func askMasterKeys(ctx context.Context, f nodeFlags) (registry.MasterKeys, error) {
	node, err := f.client()
	if err != nil {
		return registry.MasterKeys{}, err
	}
	all, _, err := ask[registry.MasterKeys](ctx, node, http.MethodGet, "/api/master-key", nil, nil)
	if err == nil && len(all.Nodes) == 0 {
		err = errors.New("no node on the log says which keys it has")
	}
	return all, err
}

// write puts another keyset in the place of the file.
func (k keyset) write(p printer, text []byte, err error, did map[string]any, format string, args ...any) error {
	if err == nil {
		err = replaceFile(k.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k.path, err)
	}
	did["file"], did["key"] = k.path, k.newest
	return p.told(did, format, args...)
}

// restartFirst is what a step is refused with that nodes are not ready for.
func restartFirst(why string, key uint32, nodes []string) error {
	return fmt.Errorf("%s %d: %s; give them the file and restart them (a node that was killed is forgotten after %v)",
		why, key, strings.Join(nodes, ", "), registry.SaidFor)
}

type masterKeyAddCmd struct {
	masterKeyFlags
	Data string `help:"The node's data folder." default:"./data" env:"WEDSYNC_DATA" placeholder:"DIR"`
}

func (c masterKeyAddCmd) Run(p printer) error {
	k, err := c.read(c.Data)
	if err != nil {
		return err
	}
	if !k.seals {
		return fmt.Errorf("%s has a new key already, %d; next: wedsync master-key promote", k.path, k.newest)
	}
	text, err := registry.AddKey(k.text)
	if err == nil {
		k.newest, _, err = registry.NewestKey(text)
	}
	return k.write(p, text, err, map[string]any{}, "%s has the new key %d; give the file to all nodes, restart them one by one, then: wedsync master-key promote", k.path, k.newest)
}

type masterKeyPromoteCmd struct {
	masterKeyFlags
	nodeFlags
}

func (c masterKeyPromoteCmd) Run(ctx context.Context, p printer) error {
	k, err := c.read(c.Data)
	if err != nil {
		return err
	}
	if k.seals {
		return p.told(map[string]any{"file": k.path, "key": k.newest}, "%s has no new key; its newest one, %d, seals already", k.path, k.newest)
	}
	all, err := askMasterKeys(ctx, c.nodeFlags)
	if err != nil {
		return err
	}
	if lack := all.Without(k.newest); len(lack) > 0 {
		return restartFirst("these nodes do not have the new key", k.newest, lack)
	}
	text, err := registry.PromoteKey(k.text)
	return k.write(p, text, err, map[string]any{}, "the key %d seals now; give %s to all nodes, restart them one by one, then: wedsync master-key retire", k.newest, k.path)
}

type masterKeyRetireCmd struct {
	masterKeyFlags
	nodeFlags
}

func (c masterKeyRetireCmd) Run(ctx context.Context, p printer) error {
	k, err := c.read(c.Data)
	if err != nil {
		return err
	}
	alone, gone, err := registry.RetireKeys(k.text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", k.path, err)
	case gone == 0:
		return p.told(map[string]any{"file": k.path, "retired": 0}, "%s has no old key", k.path)
	case !k.seals:
		return fmt.Errorf("the new key of %s, %d, does not seal yet: it would be removed; first: wedsync master-key promote", k.path, k.newest)
	}
	all, err := askMasterKeys(ctx, c.nodeFlags)
	if err != nil {
		return err
	}
	if others := all.NotSealing(k.newest); len(others) > 0 {
		return restartFirst("these nodes do not seal with the new key", k.newest, others)
	}
	if n := all.SealedByOthers(k.newest); n > 0 {
		return fmt.Errorf("the secrets of %d integrations in the log are not sealed with the new key %d; what the nodes log says why", n, k.newest)
	}
	return k.write(p, alone, nil, map[string]any{"retired": gone}, "%d old keys are gone from %s; give it to all nodes", gone, k.path)
}

// replaceFile puts a file in the place of another, whole or not at all, for its owner's eyes only.
func replaceFile(path string, text []byte) error { return writeWhole(path, text, os.Rename) }
