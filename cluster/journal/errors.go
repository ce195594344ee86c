package journal

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrLocked      = errors.New("the store is in use by another process")
	ErrForeign     = errors.New("the store was not made for this")
	ErrNewer       = errors.New("the store was written by a newer release")
	ErrFull        = errors.New("the log is full")
	ErrUnavailable = errors.New("the log does not answer")
	ErrClosed      = errors.New("the log is closed")
	ErrNotFound    = errors.New("not found in the log")
	ErrConflict    = errors.New("changed by somebody else in the meantime")
	ErrLost        = errors.New("the lease is over: another node may have it")
	ErrTaken       = errors.New("somebody else has worked on the shard: take it over again")
	ErrTooLarge    = errors.New("too large for the log")
	ErrRestoring   = errors.New("a backup is being restored into the log, or that was cut short")
	ErrNotEmpty    = errors.New("there is a log already")
)

// StoreError says which store could not be opened, why, and what to do. Err is, or wraps, one of
// the errors above, or one of the operating system.
type StoreError struct {
	Path string // directory, or URL of an external server
	Err  error
	Do   string // what the operator can do
}

func (e *StoreError) Error() string { return fmt.Sprintf("store %s: %v; %s", e.Path, e.Err, e.Do) }

// Unwrap returns Err.
func (e *StoreError) Unwrap() error { return e.Err }

// ShardCountError is returned by Open when the log was created with another number of shards. That
// number is fixed for the life of the log.
type ShardCountError struct {
	Path   string
	Stored int // what the log was created with
	Wanted int // what Config says
}

func (e *ShardCountError) Error() string {
	return fmt.Sprintf("store %s: it was created with %d shards, and the configuration says %d; "+
		"set the shard count to %d, or begin an empty store", e.Path, e.Stored, e.Wanted, e.Stored)
}

// JetStream error codes that nats.go has no names for; see errors.json of nats-server.
const (
	codeAccountResources  jetstream.ErrorCode = 10002 // resource limits exceeded for account
	codeNoPeers           jetstream.ErrorCode = 10005 // not enough servers for the copies, at the moment
	codeNotAvailable      jetstream.ErrorCode = 10008 // JetStream system temporarily unavailable
	codeInsufficient      jetstream.ErrorCode = 10023
	codeSequenceNotFound  jetstream.ErrorCode = 10043
	codeMemoryResources   jetstream.ErrorCode = 10028
	codeStorageResources  jetstream.ErrorCode = 10047
	codeMessageTooLarge   jetstream.ErrorCode = 10054
	codeDeleteFailed      jetstream.ErrorCode = 10057 // likewise: its description tells why
	codeStoreFailed       jetstream.ErrorCode = 10077 // its description tells which limit it was
	codeWrongLastSequence jetstream.ErrorCode = 10071
	codeDuplicateUnderway jetstream.ErrorCode = 10158 // a message of that id is on its way into the log
)

// wrap turns an error of NATS into one of this package, with what was being done. Errors of ctx stay
// what they are.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	if kind := kindOf(err); kind != nil {
		if errors.Is(err, nats.ErrReconnectBufExceeded) { // what nats.go says of a buffer that we turned off
			err = nats.ErrDisconnected
		}
		return fmt.Errorf("%s: %w: %w", doing, kind, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func kindOf(err error) error {
	var api *jetstream.APIError
	var socket *net.OpError
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrUnavailable), errors.Is(err, context.Canceled):
		return nil
	case errors.As(err, &api):
		return kindOfCode(api)
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrMsgNotFound),
		errors.Is(err, jetstreamext.ErrNoMessages):
		return ErrNotFound
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout),
		errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrNoServers),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, jetstream.ErrNoStreamResponse), errors.As(err, &socket):
		return ErrUnavailable
	}
	return nil
}

func kindOfCode(api *jetstream.APIError) error {
	switch api.ErrorCode {
	case codeAccountResources, codeInsufficient, codeMemoryResources, codeStorageResources:
		return ErrFull
	case codeStoreFailed:
		switch api.Description {
		case "maximum bytes exceeded", "maximum messages exceeded", "maximum messages per subject exceeded":
			return ErrFull
		case "message too large":
			return ErrTooLarge
		}
		return ErrUnavailable
	case codeDeleteFailed:
		if api.Description == "no message found" || api.Description == "deleted message" {
			return ErrNotFound
		}
		return ErrUnavailable
	case codeMessageTooLarge:
		return ErrTooLarge
	case codeDuplicateUnderway:
		return ErrUnavailable
	case codeWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return ErrConflict
	case jetstream.JSErrCodeMessageNotFound, codeSequenceNotFound:
		return ErrNotFound
	}
	if api.Code >= 500 {
		return ErrUnavailable
	}
	return nil
}
