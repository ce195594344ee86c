package embedded

import "context"

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
	FreePort      = freePort
)

const ChildEnv = childEnv
