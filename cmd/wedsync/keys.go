package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
	"github.com/wedsync/wedsync/actors/registry"
)

// The files in the data folder that hold what is made at the first start.
const (
	apiKeyFile    = "api.key"
	tokenKeyFile  = "ws.key"
	masterKeyFile = "master.key"
)

// keyMakers make what the files hold.
var keyMakers = map[string]func() ([]byte, error){
	apiKeyFile:    randomKey("wsk_"),
	tokenKeyFile:  randomKey(""),
	masterKeyFile: registry.GenerateKey,
}

// nodeKeys are made at the first start where the configuration gives none.
type nodeKeys struct {
	api   event.Secret
	token []event.Secret // none in insecure mode
	seal  *registry.Sealer
}

func openKeys(cfg Config) (nodeKeys, error) {
	var k nodeKeys
	var err error
	get := func(path string, generate func() ([]byte, error)) (key string) {
		if err == nil {
			key, err = keyFile(path, generate)
		}
		return key
	}
	own := func(name string) string { return get(filepath.Join(cfg.Data, name), keyMakers[name]) }
	if k.api = cfg.API.Key; k.api.Reveal() == "" {
		k.api = event.SecretOf(own(apiKeyFile))
	}
	if k.token = cfg.WS.TokenKeys; len(k.token) == 0 && !cfg.WS.Insecure {
		k.token = []event.Secret{event.SecretOf(own(tokenKeyFile))}
	}
	master := cfg.Secrets.MasterKey.Reveal()
	if master == "" {
		if cfg.Secrets.MasterKeyFile != "" {
			master = get(cfg.Secrets.MasterKeyFile, func() ([]byte, error) {
				return nil, fmt.Errorf("secrets.masterKeyFile: %s is not there", cfg.Secrets.MasterKeyFile)
			})
		} else {
			master = own(masterKeyFile)
		}
	}
	if err != nil {
		return k, fmt.Errorf("keys: %w", err)
	}
	k.seal, err = registry.NewSealer([]byte(master))
	return k, err
}

// keyFile returns what the file holds; where there is none it makes one, for its owner's eyes only,
// with what generate returns.
func keyFile(path string, generate func() ([]byte, error)) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		if key := strings.TrimSpace(string(text)); key != "" {
			return key, nil
		}
		return "", fmt.Errorf("%s is empty; remove it to have a new key made", path)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	key, err := generate()
	if err != nil {
		return "", err
	}
	return string(key), writeNew(path, append(key, '\n'))
}

// writeNew writes a file that is there whole or not at all.
func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	// A link fails where a rename would overwrite a key that another process made meanwhile.
	return writeWhole(path, text, os.Link)
}

// writeWhole writes a file beside the path and then puts it there.
func writeWhole(path string, text []byte, put func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return put(f.Name(), path)
}

// randomKey returns 32 random bytes in base64url after a prefix that tells people what they found.
func randomKey(prefix string) func() ([]byte, error) {
	return func() ([]byte, error) {
		var raw [32]byte
		_, _ = rand.Read(raw[:]) // never fails
		return []byte(prefix + base64.RawURLEncoding.EncodeToString(raw[:])), nil
	}
}
