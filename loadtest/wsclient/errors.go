package wsclient

import (
	"errors"
	"fmt"

	"github.com/centrifugal/protocol"
)

var (
	// ErrClosed means that the client was closed by Close.
	ErrClosed = errors.New("the client is closed")
	// ErrDisconnected means that the connection broke while a command waited for its reply: whether
	// the server ran it is not known.
	ErrDisconnected = errors.New("the connection broke")
)

// Error is the server's refusal of a command; edge/ws lists the codes.
type Error struct {
	Code      uint32
	Message   string
	Temporary bool // the same command may succeed later
}

func (e *Error) Error() string { return fmt.Sprintf("refused with %d: %s", e.Code, e.Message) }

func errorOf(e *protocol.Error) error {
	return &Error{Code: e.Code, Message: e.Message, Temporary: e.Temporary}
}

// CloseError is the code with which the server ended the connection.
type CloseError struct {
	Code   uint16
	Reason string
}

func (e *CloseError) Error() string { return fmt.Sprintf("closed with %d: %s", e.Code, e.Reason) }

// Terminal reports whether the code forbids to return (client.proto, message Disconnect).
func (e *CloseError) Terminal() bool {
	return e.Code == 1009 || e.Code >= 3500 && e.Code < 4000 || e.Code >= 4500 && e.Code < 5000
}
