package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
)

// BackupStopped is Backup of the store in a directory on which no node runs: it is copied as it is, and
// nothing is written to it. It fails as Open does, and where the directory has no log of a lone node's.
func BackupStopped(ctx context.Context, dir string, log zerolog.Logger, create func(file string) (io.Writer, error), told func(Progress)) (err error) {
	data, err := os.ReadFile(filepath.Join(dir, markerFile)) // #nosec G304 -- the operator chooses the directory
	if errors.Is(err, os.ErrNotExist) {
		return &StoreError{dir, fmt.Errorf("%w: %s is not there", ErrNotFound, markerFile), "name the folder that the node has its data in"}
	}
	if err != nil {
		return err
	}
	m, err := parseMarker(dir, data)
	if err != nil {
		return err
	}
	if m.Mode != modeStandalone {
		return &StoreError{dir, fmt.Errorf("%w: it has a part of a log that several nodes hold", ErrForeign), "start the nodes, and back up over one of them"}
	}
	j, err := newJournal(Config{Dir: dir, Shards: m.Shards, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.shut()) }()
	if _, err := j.reach(ctx); err != nil {
		return err
	}
	events, err := j.js.Stream(ctx, streamEvents)
	if err != nil {
		return j.storeError(err)
	}
	j.epoch = cmp.Or(events.CachedInfo().Config.Metadata[epochKey], m.Epoch)
	return j.Backup(ctx, false, create, told)
}
