package ws

import (
	"errors"
	"net/http"

	"github.com/centrifugal/protocol"

	"github.com/wedsync/wedsync/edge/ingest"
	"github.com/wedsync/wedsync/edge/problem"
)

// CloseCode is the code of the close frame with which the server ends a connection. The SDKs decide
// by it whether they come back (centrifugal/protocol, client.proto, message Disconnect):
//
//	3000-3499, 4000-4499   reconnect, with growing pauses, and recover
//	3500-3999, 4500-4999   stay away until the application calls connect() again
//	below 3000             reconnect, except 1009
//
// Codes of the 3000s mean what Centrifuge means by them; those of the 4000s are our own.
type CloseCode uint16

// The close codes.
//
//	code  reconnects  when
//	1009  no          a message was larger than Config.MaxMessageBytes
//	3001  yes         the node stops
//	3004  yes         something broke on our side
//	3005  yes         the token expired and was not refreshed in time
//	3008  yes         more than Config.QueueBytes waited for the client
//	3010  yes         a subscription that the server made cannot go on where it was
//	3012  yes         a ping was not answered within Config.PongTimeout
//	3500  no          the token is not ours, not complete, or somebody else's (on refresh)
//	3504  no          the user has as many connections as Config.MaxPerUser allows
//	3501  no          what came is not the protocol
//	3508  no          a message to the server (send), which nothing here receives
//	4000  yes         no connect command came within Config.ConnectTimeout
const (
	CloseMessageSize    CloseCode = 1009 // RFC 6455 section 7.4.1
	CloseShutdown       CloseCode = 3001
	CloseInternal       CloseCode = 3004
	CloseExpired        CloseCode = 3005
	CloseSlow           CloseCode = 3008
	CloseInsufficient   CloseCode = 3010
	CloseNoPong         CloseCode = 3012
	CloseInvalidToken   CloseCode = 3500
	CloseBadRequest     CloseCode = 3501
	CloseUserLimit      CloseCode = 3504
	CloseNotAvailable   CloseCode = 3508
	CloseConnectTimeout CloseCode = 4000
)

// Reason returns the text that goes with the code. It is never empty and never JSON: the JavaScript
// SDK reconnects after any code without a reason, and takes JSON for an instruction.
func (c CloseCode) Reason() string {
	switch c {
	case CloseMessageSize:
		return "message too large"
	case CloseShutdown:
		return "shutdown"
	case CloseExpired:
		return "connection expired"
	case CloseSlow:
		return "slow"
	case CloseInsufficient:
		return "insufficient state"
	case CloseNoPong:
		return "no pong"
	case CloseInvalidToken:
		return "invalid token"
	case CloseBadRequest:
		return "bad request"
	case CloseUserLimit:
		return "connection limit"
	case CloseNotAvailable:
		return "not available"
	case CloseConnectTimeout:
		return "connect timeout"
	default:
		return "internal server error"
	}
}

// Reconnects reports whether an SDK comes back by itself.
func (c CloseCode) Reconnects() bool {
	return c != CloseMessageSize && (c < 3500 || c > 3999) && (c < 4500 || c > 4999)
}

// Codes of error replies. Up to 399 they are Centrifuge's own; above, they are the HTTP status of the
// rejection, and the message begins with its code in package problem.
const (
	ErrInternal          uint32 = 100 // temporary: the SDK tries again
	ErrUnknownChannel    uint32 = 102 // the name is neither a channel nor a pattern
	ErrPermissionDenied  uint32 = 103 // the token does not allow it
	ErrAlreadySubscribed uint32 = 105
	ErrLimitExceeded     uint32 = 106 // of Config.MaxSubscriptions
	ErrBadRequest        uint32 = 107
	ErrNotAvailable      uint32 = 108 // rpc, send; history and presence of a pattern
	ErrTokenExpired      uint32 = 109 // at connect or subscribe: the SDK gets a new token and returns
	ErrExpired           uint32 = 110 // at a refresh: the new token had expired too
	ErrUnrecoverable     uint32 = 112 // the position is of another epoch
)

// Codes of unsubscribe pushes: below 2500 the SDK stays unsubscribed, from there on it subscribes
// again and recovers.
const (
	UnsubscribeRevoked      uint32 = 2100 // the refreshed token no longer allows the channel
	UnsubscribeInsufficient uint32 = 2500 // a gap could not be read from the log
	UnsubscribeExpired      uint32 = 2501 // the subscription's token expired and was not refreshed in time
)

func replyError(code uint32, message string) *protocol.Error {
	return &protocol.Error{Code: code, Message: message, Temporary: code == ErrInternal}
}

// rejected turns what the publisher said into an error reply. It is the one place where refusals of
// events become codes of the protocol; package problem lists them.
func rejected(err error) *protocol.Error {
	var r *ingest.Reject
	if !errors.As(err, &r) || r.Status == http.StatusInternalServerError {
		return replyError(ErrInternal, "internal server error")
	}
	return refusal(r.Code, r.Detail)
}

func refusal(code, detail string) *protocol.Error {
	status := problem.Status(code)
	return &protocol.Error{
		Code:      uint32(status),
		Message:   code + ": " + detail,
		Temporary: status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable,
	}
}
