package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"slices"
)

// ErrNotSealed says that no key in the ring opens what was sealed.
var ErrNotSealed = errors.New("cluster: none of this node's cluster keys opens it")

// Seal encrypts what nodes of the cluster tell each other by way of the log, with the primary key
// (AES-256-GCM, random nonce in front). purpose must be the same to open it, and is not secret.
func (r *Keyring) Seal(purpose string, plain []byte) ([]byte, error) {
	box, err := boxOf(r.all()[0])
	if err != nil {
		return nil, err
	}
	return box.Seal(nil, nil, plain, []byte(purpose)), nil // #nosec G407 -- the box makes its nonces
}

// Open decrypts what Seal made with any key of the ring; primary tells whether it was the primary one,
// or is to be sealed again. It fails with ErrNotSealed.
func (r *Keyring) Open(purpose string, sealed []byte) (plain []byte, primary bool, err error) {
	for i, k := range r.all() {
		box, err := boxOf(k)
		if err != nil {
			return nil, false, err
		}
		if plain, err := box.Open(nil, nil, sealed, []byte(purpose)); err == nil {
			return plain, i == 0, nil
		}
	}
	return nil, false, fmt.Errorf("%s: %w", purpose, ErrNotSealed)
}

func (r *Keyring) all() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.keys)
}

func boxOf(k Key) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.derive("seal", KeyBytes))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
