package adapter

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Keyholder is a connection whose webhook secret signs more than its vendor's own webhooks: the
// neutral channel events, which carry their signature in the body.
type Keyholder interface {
	// SignedBy reports, in constant time, whether mac is HMAC-SHA256 over the parts one after the
	// other, by any webhook secret in force. It fails closed: without a secret nothing is signed.
	SignedBy(mac []byte, parts ...[]byte) bool
}

var _ Keyholder = (*signedConn)(nil)

// SignedBy takes the decoded bytes of the webhook secrets as keys, as Standard Webhooks does.
func (c *signedConn) SignedBy(mac []byte, parts ...[]byte) bool {
	found := false
	for _, key := range c.webhook {
		h := hmac.New(sha256.New, []byte(key.Reveal()))
		for _, p := range parts {
			h.Write(p)
		}
		found = hmac.Equal(mac, h.Sum(nil)) || found
	}
	return found
}
