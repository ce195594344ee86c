package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/wedsync/wedsync/actors/registry"
)

type masterKeyCmd struct {
	Rotate masterKeyRotateCmd `cmd:"" help:"Put a new key before the old one."`
	Retire masterKeyRetireCmd `cmd:"" help:"Remove the old keys, when nothing is sealed with them any more."`
}

// masterKeyFlags say where the key is.
type masterKeyFlags struct {
	File string `help:"File of the key. Default: master.key in the data folder." placeholder:"FILE"`
}

func (f masterKeyFlags) path(data string) string {
	if f.File != "" {
		return f.File
	}
	return filepath.Join(data, masterKeyFile)
}

type masterKeyRotateCmd struct {
	masterKeyFlags
	Data string `help:"The node's data folder." default:"data" placeholder:"DIR"`
}

func (masterKeyRotateCmd) Help() string {
	return `Replacing the key takes three steps, and both keys open until the last:

    wedsync master-key rotate    # the file has both keys, the new one first; the node may run
    (restart the node)           # it seals every secret with the new one
    wedsync master-key retire    # asks the node that this is done, and removes the old key

This is for one node. Nodes that share a log must be stopped together for the restart: one that still has
the old key alone cannot open what another has sealed with the new one.

Keep a copy of the file apart. A key that the configuration gives as text, secrets.masterKey, is replaced
by hand: write it to a file, rotate that with --file, and take its text.`
}

func (c masterKeyRotateCmd) Run(p printer) error {
	path := c.path(c.Data)
	key, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if key, err = registry.RotateKey(key); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := replaceFile(path, append(key, '\n')); err != nil {
		return err
	}
	return p.told(map[string]string{"file": path}, "%s has a new key; restart the node, which seals everything with it, then: wedsync master-key retire", path)
}

type masterKeyRetireCmd struct {
	masterKeyFlags
	nodeFlags
}

func (c masterKeyRetireCmd) Run(ctx context.Context, p printer) error {
	path := c.path(c.Data)
	key, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	alone, gone, err := registry.RetireKeys(key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if gone == 0 {
		return p.told(map[string]any{"file": path, "retired": 0}, "%s has no old key", path)
	}
	node, err := c.client()
	if err != nil {
		return err
	}
	status, _, err := ask[struct {
		Stale     int    `json:"sealedWithOldKeys"`
		MasterKey uint32 `json:"masterKey"`
	}](ctx, node, http.MethodGet, "/api/status", nil, nil)
	switch primary, wrong := registry.PrimaryKey(key); {
	case err != nil:
		return err
	case wrong != nil:
		return wrong
	case status.MasterKey != primary:
		return errors.New("the node seals with another key than the file's new one; restart it first")
	case status.Stale > 0:
		return fmt.Errorf("the secrets of %d integrations are still sealed with an old key; the node's log says why", status.Stale)
	}
	if err := replaceFile(path, append(alone, '\n')); err != nil {
		return err
	}
	return p.told(map[string]any{"file": path, "retired": gone}, "%d old keys are gone from %s", gone, path)
}

// replaceFile puts a file in the place of another, whole or not at all, for its owner's eyes only.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
