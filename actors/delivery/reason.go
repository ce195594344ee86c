package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/wedsync/wedsync/actors/event"
)

// Reasons for a call without an answer, beside those of package event.
const (
	ReasonTLS      = "tls_failed"
	ReasonDNS      = "dns_failed"
	ReasonCanceled = "call_canceled" // by us, such as when the node stops; not the vendor's fault
)

// CallError says that a call could not be made because of what is in it.
type CallError struct {
	Field  string // such as "url" or "to"
	Reason string
}

func (e *CallError) Error() string { return fmt.Sprintf("the call's %s: %s", e.Field, e.Reason) }

// Reason gives the short reason for an Answer's Err: event.ReasonTimeout, event.ReasonBlocked,
// event.ReasonMisconfigured (a *CallError), ReasonDNS, ReasonTLS, ReasonCanceled, or
// event.ReasonConnection for the rest; "" for nil.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	var (
		blocked *BlockedError
		call    *CallError
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &blocked):
		return event.ReasonBlocked
	case errors.As(err, &call):
		return event.ReasonMisconfigured
	case errors.Is(err, context.Canceled):
		return ReasonCanceled
	case errors.As(err, &dns):
		return ReasonDNS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return event.ReasonTimeout
	case isTLS(err):
		return ReasonTLS
	}
	return event.ReasonConnection
}

// errNoTLS is a TLS failure of our own making: the server offers none.
var errNoTLS = errors.New("tls: the server does not offer STARTTLS; use implicit TLS, or none where the network is trusted")

func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		host   x509.HostnameError
	)
	switch {
	case errors.As(err, &verify), errors.As(err, &record), errors.As(err, &host):
		return true
	}
	// The rest of crypto/tls's errors have no type, only this beginning, and net/http's one text.
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "HTTP response to HTTPS client")
}
