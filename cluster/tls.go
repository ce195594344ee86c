package cluster

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// Certificates are valid at any time: what ends them is the removal of a key, and a node whose clock is
// wrong must stay in. RFC 5280, 4.1.2.5: the latter date stands for no end that is well known.
var (
	validFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	validUntil = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	anyTime    = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
)

// trust is what follows from a ring's keys: whom to believe, and what to sign with.
type trust struct {
	primary string // id of the key
	ca      *x509.Certificate
	signer  ed25519.PrivateKey
	roots   *x509.CertPool
}

func newTrust(keys []Key) (*trust, error) {
	t := &trust{primary: keys[0].ID(), roots: x509.NewCertPool()}
	for i, k := range keys {
		ca, signer, err := authority(k)
		if err != nil {
			return nil, fmt.Errorf("certificate of the cluster key %s: %w", k.ID(), err)
		}
		t.roots.AddCert(ca)
		if i == 0 {
			t.ca, t.signer = ca, signer
		}
	}
	return t, nil
}

// authority returns the authority that a key stands for: every node that has the key makes the same.
func authority(k Key) (*x509.Certificate, ed25519.PrivateKey, error) {
	signer := ed25519.NewKeyFromSeed(k.derive("certificates", ed25519.SeedSize))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "wedsync cluster key " + k.ID()},
		NotBefore: validFrom, NotAfter: validUntil,
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(nil, template, template, signer.Public(), signer)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, signer, err
}

// leaf returns a certificate for a node, with a key of its own that is nowhere but in memory.
func (t *trust) leaf(node string) (*tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: node}, DNSNames: []string{node},
		NotBefore: validFrom, NotAfter: validUntil, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, t.ca, public, t.signer)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, err
}

// verify reports whether the peer has a certificate of a key in the ring.
func (t *trust) verify(peer []*x509.Certificate) error {
	if len(peer) == 0 {
		return errors.New("the peer shows no certificate of the cluster")
	}
	_, err := peer[0].Verify(x509.VerifyOptions{Roots: t.roots, CurrentTime: anyTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("the peer %q (%s) has no certificate of a key of this cluster: %w", peer[0].Subject.CommonName, peer[0].Issuer.CommonName, err)
	}
	return nil
}

// identity is a node's certificate, made anew when the primary key has changed.
type identity struct {
	ring *Keyring
	node string

	mu   sync.Mutex
	by   string // id of the key that signed it
	cert *tls.Certificate
}

func (i *identity) certificate() (*tls.Certificate, error) {
	t := i.ring.trust.Load()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.by != t.primary {
		cert, err := t.leaf(i.node)
		if err != nil {
			return nil, err
		}
		i.by, i.cert = t.primary, cert
	}
	return i.cert, nil
}

// TLS returns what a node speaks with others by, as a server and as a client: TLS 1.3, both sides with a
// certificate that names the node and is signed by the authority of the primary key, and taken from the
// other when a key in the ring has signed it. Neither host names nor the time count. The ring is asked at
// each handshake, so that rotating keys needs no new configuration.
func (r *Keyring) TLS(node string) *tls.Config {
	id := &identity{ring: r, node: node}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.certificate() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.certificate() },
		ClientAuth:           tls.RequireAnyClientCert,
		InsecureSkipVerify:   true, // #nosec G402 -- VerifyConnection asks the ring instead, on both sides
		VerifyConnection:     func(s tls.ConnectionState) error { return r.trust.Load().verify(s.PeerCertificates) },
		// A session resumed would be one of a key that may be gone.
		SessionTicketsDisabled: true,
	}
}
