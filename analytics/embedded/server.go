package embedded

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
)

// ErrNotAvailable is what Start returns, wrapped in an error that says what was searched and how to
// install it, where there is no ClickHouse to run.
var ErrNotAvailable = errors.New("no ClickHouse on this machine")

// MaybeRunChild turns the process into the engine when Start has started it as such, and then does
// not return. Call it first thing in main, and in TestMain.
func MaybeRunChild() {}

// Config configures Start.
type Config struct {
	Dir     string // the data go to Dir/clickhouse
	Library string // libchdb.so or a clickhouse binary; "": searched for
	Port    int    // of the native protocol on 127.0.0.1; 0: a free one
	Logger  zerolog.Logger
}

// Server is a running engine.
type Server struct{}

// Start starts an engine on the directory and returns when it answers.
func Start(ctx context.Context, cfg Config) (*Server, error) { return nil, ErrNotAvailable }

// DSN is for analytics.Open.
func (s *Server) DSN() string { return "" }

// Version is the engine's, such as "26.7.2.1".
func (s *Server) Version() string { return "" }

// Done is closed when the engine has ended; Err then says why, nil after Stop.
func (s *Server) Done() <-chan struct{} { return nil }

// Err returns why the engine ended.
func (s *Server) Err() error { return nil }

// Stop ends the engine gracefully, or by force when ctx ends first. It may be called twice.
func (s *Server) Stop(ctx context.Context) error { return nil }
