package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/wedsync/wedsync/cluster/journal"
)

// Errors that callers tell apart.
var (
	// ErrNotFound: no integration or mapping has that id.
	ErrNotFound = errors.New("not found")
	// ErrConflict: it was changed since the revision that was given; read it again.
	ErrConflict = errors.New("changed by somebody else meanwhile")
	// ErrClosed: the registry is closed.
	ErrClosed = errors.New("the registry is closed")
)

// InvalidError says why an integration or mapping was refused. It wraps the cause: an
// *adapter.SettingsError where settings or secrets are wrong, an *adapter.UnknownVendorError, an
// *event.ChannelError or a plain error.
type InvalidError struct {
	What string // "integration" or "mapping"
	ID   string // as given, possibly wrong itself
	Err  error
}

func (e *InvalidError) Error() string {
	if e.What == "mapping" {
		return e.Err.Error() // names it already
	}
	return fmt.Sprintf("%s %.80s: %v", e.What, e.ID, e.Err)
}

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// storeError words what a bucket answered to a write of key.
func storeError(key string, err error) error {
	if errors.Is(err, journal.ErrConflict) {
		return fmt.Errorf("%s: %w", key, ErrConflict)
	}
	return err // it names the bucket and the key
}

// unseenError words a write that is stored, but whose coming back was not waited for to the end.
func unseenError(key string, cause error) error {
	if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) {
		return fmt.Errorf("%s: stored, but not yet seen by this node: %w", key, cause)
	}
	return fmt.Errorf("%s: %w", key, cause)
}
