package embedded

import (
	"bufio"
	"bytes"
	"context"
	"net"
)

// Search is the search for an engine with its places made settable.
type Search struct {
	Explicit, Env, Dir string
	Roots              []string
	Path               func(string) (string, error)
	Capable            func(context.Context, string) error
}

// Find returns the engine's path and whether it is a library.
func (s Search) Find(ctx context.Context) (string, bool, error) {
	e, err := search{
		explicit: s.Explicit, env: s.Env, dir: s.Dir, roots: s.Roots, path: s.Path, capable: s.Capable,
	}.find(ctx)
	return e.path, e.library, err
}

var (
	CapableBinary = capableBinary
	RunLibrary    = runLibrary
)

const ChildEnv = childEnv

// ReadHello returns the database, user and password of a hello, and how many bytes it takes.
func ReadHello(data []byte) (database, user, password string, n int, err error) {
	h, err := readHello(bufio.NewReader(bytes.NewReader(data)))
	return h.database, h.user, h.password, len(h.raw), err
}

// EnginePort is the port behind the gate.
func (s *Server) EnginePort() string {
	_, port, _ := net.SplitHostPort(s.current.address())
	return port
}
