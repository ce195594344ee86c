package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/wedsync/wedsync/loadtest/nodeproc"
)

// otherFiles are how many files a process has open at most besides its clients' connections: calls of vendors and
// of the API, the log's files.
const otherFiles = 500

// CheckFiles returns an error if this process may not have as many files open as the profile's clients take. The
// nodes that it starts may have as many.
func (p *Profile) CheckFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("asking how many files may be open: %w", err)
	}
	return p.fits(uint64(limit.Cur)) //nolint:unconvert // it is signed on some systems
}

func (p *Profile) fits(files uint64) error {
	if need := p.Population.Clients + otherFiles; uint64(need) > files { // #nosec G115 -- at least 0: see validate
		return fmt.Errorf("%d clients take about %d open files, and %d are allowed; allow more (ulimit -n %d), or have fewer --clients",
			p.Population.Clients, need, files, need)
	}
	return nil
}

// greet asks each node for something that it tells a key only.
func (r *run) greet(ctx context.Context) error {
	for _, n := range r.nodes {
		err := n.api.Call(ctx, http.MethodGet, "/api/mappings?limit=1", nil, nil)
		var status *nodeproc.StatusError
		if errors.As(err, &status) && status.Status == http.StatusUnauthorized {
			return fmt.Errorf("%s does not know the API key; give its own", n.url)
		}
		if err != nil {
			return fmt.Errorf("%s does not answer as a node does: %w", n.url, err)
		}
	}
	return nil
}
