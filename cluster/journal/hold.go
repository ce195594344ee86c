package journal

import "context"

// Hold runs something on one node of all that call it with the same name: while this node has the lease of that
// name, run runs. When the lease is not valid any more, run's context ends; once it has returned, it is run
// again as soon as the lease is valid again, here or on another node. Hold returns what run returned by itself,
// or once ctx has ended, and gives the lease back.
func (l *Leases) Hold(ctx context.Context, name string, run func(ctx context.Context) error) error {
	for {
		lease, err := l.Claim(ctx, name)
		if err != nil {
			return err
		}
		for err == nil {
			var over bool
			if over, err = lease.run(ctx, run); over {
				_ = lease.Release(context.WithoutCancel(ctx)) // else it ends by itself
				return err
			}
			err = lease.Wait(ctx) // fails when it is lost: another node has it
		}
	}
}

// run runs something while the lease is valid, and reports whether it ended for another reason.
func (le *Lease) run(ctx context.Context, run func(ctx context.Context) error) (over bool, err error) {
	while, end := le.Context(ctx)
	defer end()
	err = run(while)
	if ctx.Err() != nil || while.Err() == nil {
		return true, err
	}
	return false, nil
}
