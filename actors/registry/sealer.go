package registry

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/wedsync/wedsync/actors/event"
)

// sealedV1 begins a sealed value; what follows is tink's ciphertext of the secrets as JSON.
const sealedV1 = 1

// ErrSeal is returned where sealed secrets cannot be opened: they were sealed with another key, for
// another integration, or are damaged.
var ErrSeal = errors.New("the sealed secrets do not open with this node's key; start it with the key that sealed them")

// Sealer seals integrations' secrets with the master key. It is safe for concurrent use.
type Sealer struct {
	aead    tink.AEAD
	primary uint32   // id of the key that seals
	keys    []uint32 // ids of all, which open
}

// GenerateKey returns a new master key for NewSealer: a tink keyset of one AES-256-GCM key, in
// JSON. Whoever reads it reads every secret: store it with mode 0600.
func GenerateKey() ([]byte, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("generate master key: %w", err)
	}
	return writeKeyset(handle)
}

// NewestKey returns the id of the key that was added to a master key last, and whether it seals already.
func NewestKey(keysetJSON []byte) (id uint32, seals bool, err error) {
	handle, err := readKeyset(keysetJSON)
	if err != nil {
		return 0, false, err
	}
	info := handle.KeysetInfo()
	keys := info.GetKeyInfo()
	id = keys[len(keys)-1].GetKeyId() // an empty keyset cannot be read
	return id, id == info.GetPrimaryKeyId(), nil
}

// AddKey returns a master key with one more key, which opens but does not seal yet: nodes that share a log
// must all have it first.
func AddKey(keysetJSON []byte) ([]byte, error) {
	handle, err := readKeyset(keysetJSON)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(handle)
	if _, err = m.Add(aead.AES256GCMKeyTemplate()); err == nil {
		handle, err = m.Handle()
	}
	if err != nil {
		return nil, fmt.Errorf("add to the master key: %w", err)
	}
	return writeKeyset(handle)
}

// PromoteKey returns a master key whose newest key seals; those that it had go on opening. A node that
// starts with it seals everything anew; see [Registry.Reseal].
func PromoteKey(keysetJSON []byte) ([]byte, error) {
	id, _, err := NewestKey(keysetJSON)
	if err != nil {
		return nil, err
	}
	handle, err := readKeyset(keysetJSON)
	if err != nil {
		return nil, err
	}
	m := keyset.NewManagerFromHandle(handle)
	if err = m.SetPrimary(id); err == nil {
		handle, err = m.Handle()
	}
	if err != nil {
		return nil, fmt.Errorf("promote master key: %w", err)
	}
	return writeKeyset(handle)
}

// RetireKeys returns a master key with its primary one alone, and how many others are gone: what is
// still sealed with those opens no more.
func RetireKeys(keysetJSON []byte) (alone []byte, gone int, err error) {
	handle, err := readKeyset(keysetJSON)
	if err != nil {
		return nil, 0, err
	}
	info := handle.KeysetInfo()
	m := keyset.NewManagerFromHandle(handle)
	for _, k := range info.GetKeyInfo() {
		if k.GetKeyId() == info.GetPrimaryKeyId() {
			continue
		}
		if err := m.Delete(k.GetKeyId()); err != nil {
			return nil, 0, fmt.Errorf("retire master keys: %w", err)
		}
		gone++
	}
	if handle, err = m.Handle(); err != nil {
		return nil, 0, fmt.Errorf("retire master keys: %w", err)
	}
	alone, err = writeKeyset(handle)
	return alone, gone, err
}

func writeKeyset(handle *keyset.Handle) ([]byte, error) {
	var b bytes.Buffer
	// The text is the master key itself: there is no key above it to encrypt it with.
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return nil, fmt.Errorf("write master key: %w", err)
	}
	return b.Bytes(), nil
}

func readKeyset(keysetJSON []byte) (*keyset.Handle, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewReader(keysetJSON)))
	if err != nil {
		// The parser's own words may quote the key.
		return nil, errors.New("master key: not a tink keyset in JSON; generate one, or check the file or variable it comes from")
	}
	return handle, nil
}

// NewSealer reads a master key that GenerateKey made, or tinkey. A keyset with several keys seals
// with its primary one and opens with each, so a key can be replaced without opening anything first.
func NewSealer(keysetJSON []byte) (*Sealer, error) {
	handle, err := readKeyset(keysetJSON)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("master key: the keyset has no usable AEAD key; it must be of AES256-GCM or another AEAD type")
	}
	s := &Sealer{aead: a, primary: handle.KeysetInfo().GetPrimaryKeyId()}
	for _, k := range handle.KeysetInfo().GetKeyInfo() {
		s.keys = append(s.keys, k.GetKeyId())
		if k.GetKeyId() == s.primary && k.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			return nil, errors.New("master key: the primary key has not the output prefix TINK, so that what it seals does not tell by which key")
		}
	}
	return s, nil
}

// sealedBy returns the id of the key that sealed a value, 0 where it does not tell. Tink's ciphertext begins
// with the byte 1 and the key's id (developers.google.com/tink/wire-format).
func sealedBy(sealed []byte) uint32 {
	if len(sealed) <= 6 || sealed[0] != sealedV1 || sealed[1] != 1 {
		return 0
	}
	return binary.BigEndian.Uint32(sealed[2:6])
}

// Seal encrypts the secrets of an integration. What it returns opens for the same id only.
func (s *Sealer) Seal(id string, secrets event.Secrets) ([]byte, error) {
	open := make(map[string][]string, len(secrets))
	for name, values := range secrets {
		for _, v := range values {
			open[name] = append(open[name], v.Reveal())
		}
	}
	plain, err := json.Marshal(open)
	if err != nil {
		return nil, fmt.Errorf("integration %s: seal secrets: %w", id, err)
	}
	defer clear(plain)
	sealed, err := s.aead.Encrypt(plain, associated(id))
	if err != nil {
		return nil, fmt.Errorf("integration %s: seal secrets: %w", id, err)
	}
	return append([]byte{sealedV1}, sealed...), nil
}

// Open decrypts what Seal returned for the same id. An empty blob holds no secrets. It fails with
// ErrSeal; the error names the integration.
func (s *Sealer) Open(id string, sealed []byte) (event.Secrets, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	if err := checkSealed(sealed); err != nil {
		return nil, fmt.Errorf("integration %s: %w", id, err)
	}
	plain, err := s.aead.Decrypt(sealed[1:], associated(id))
	if err != nil {
		return nil, fmt.Errorf("integration %s: %w", id, ErrSeal)
	}
	defer clear(plain)
	var secrets event.Secrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, fmt.Errorf("integration %s: %w", id, ErrSeal)
	}
	return secrets, nil
}

// associated ties a sealed value to its integration, so that it opens nowhere else.
func associated(id string) []byte { return []byte("integration/" + id) }

// checkSealed says why a stored value is not one of Seal's, without opening it.
func checkSealed(sealed []byte) error {
	switch {
	case len(sealed) == 0:
		return errors.New("sealed secrets: the value is empty")
	case sealed[0] > sealedV1:
		return fmt.Errorf("sealed secrets: written by a newer release (version %d, this one reads %d)", sealed[0], sealedV1)
	case sealed[0] < sealedV1:
		return fmt.Errorf("sealed secrets: version %d is not one", sealed[0])
	}
	return nil
}
