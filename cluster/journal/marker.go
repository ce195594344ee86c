package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The files in Config.Dir.
const (
	markerFile = "wedsync.json" // what the store is; written before anything else
	lockFile   = "wedsync.lock" // locked while a process uses the store; holds its pid
	logDir     = "log"          // JetStream's own
)

// format is the version of the store's layout that this release writes and reads.
const format = 1

// The modes of a store. A store made in one mode is refused in another: JetStream would lose it.
const (
	modeStandalone = "standalone"
	modeCluster    = "cluster"
	modeExternal   = "external"
)

// marker tells what a store is.
type marker struct {
	Format  int       `json:"format"`
	Mode    string    `json:"mode"`
	Shards  int       `json:"shards"`
	Created time.Time `json:"created"`
	Assets  int       `json:"assets,omitempty"` // release of what is in a cluster's log; 0: not all of it is there yet
	Epoch   string    `json:"epoch,omitempty"`  // of an event log that was made before it kept its own
	// Restoring: a backup is being restored into it, or that was cut short.
	Restoring bool `json:"restoring,omitempty"`
}

func newMarker(mode string, cfg Config) marker {
	return marker{
		Format: format, Mode: mode, Shards: cfg.Shards, Created: time.Now().UTC().Truncate(time.Second),
	}
}

func parseMarker(path string, data []byte) (marker, error) {
	var m marker
	if err := json.Unmarshal(data, &m); err != nil || m.Format < 1 {
		return m, &StoreError{path, fmt.Errorf("%w: its marker %q is not readable", ErrForeign, markerFile), "restore it from a backup, or use another, empty directory"}
	}
	return m, nil
}

// check compares what a store is with what is wanted.
func (m marker) check(path string, wanted marker) error {
	switch {
	case m.Format > format:
		return &StoreError{path, fmt.Errorf("%w (format %d, this one reads up to %d)", ErrNewer, m.Format, format), "start the newer release, or use another, empty store"}
	case m.Mode != wanted.Mode:
		return &StoreError{path, fmt.Errorf("%w: it is a %q store and was opened as %q", ErrForeign, m.Mode, wanted.Mode), "start in the mode that the store was made in, or use another, empty one"}
	case m.Shards != wanted.Shards:
		return &ShardCountError{Path: path, Stored: m.Shards, Wanted: wanted.Shards}
	case m.Restoring && !wanted.Restoring:
		return &StoreError{path, ErrRestoring, "wait until that is done, or restore again if it was cut short"}
	}
	return nil
}

// directory is an embedded store's directory, locked for this process.
type directory struct {
	path   string
	lock   *os.File
	marker marker
}

// openDirectory locks the directory and reads its marker, or makes both in an empty one. It writes
// nothing into a directory that is not a store's.
func openDirectory(cfg Config, m marker) (_ *directory, err error) {
	path, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	const access = "check that the path is right and that this user may write there"
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, &StoreError{path, err, access}
	}
	if err := refuseForeign(path); err != nil {
		return nil, err
	}
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	d := &directory{path: path, lock: lock}
	data, err := os.ReadFile(filepath.Join(path, markerFile)) // #nosec G304 -- the operator chooses the directory
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := d.write(m); err != nil {
			return nil, &StoreError{path, err, access}
		}
	case err != nil:
		return nil, &StoreError{path, err, access}
	default:
		if d.marker, err = parseMarker(path, data); err != nil {
			return nil, err
		}
	}
	return d, d.marker.check(path, m)
}

// refuseForeign fails where the directory has no marker and holds anything but what a first start
// that was cut short, or a fresh file system, leaves.
func refuseForeign(path string) error {
	if _, err := os.Stat(filepath.Join(path, markerFile)); err == nil {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return &StoreError{path, err, "check that this user may read it"}
	}
	for _, e := range entries {
		name := e.Name()
		if name != lockFile && name != "lost+found" && !strings.HasPrefix(name, markerFile+".") {
			return &StoreError{path, fmt.Errorf("%w: it holds %q and has no %s", ErrForeign, name, markerFile), "use an empty directory, or the one that the log was made in"}
		}
	}
	return nil
}

// EmptyDir tells whether a directory has no part of a log that several nodes hold: none of the log's
// servers has run there (the place is nats-server's: its meta group).
func EmptyDir(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, logDir, "jetstream", "$SYS", "_js_", "_meta_"))
	return errors.Is(err, os.ErrNotExist)
}

// write replaces the marker so that a crash leaves the old one or the new one.
func (d *directory) write(m marker) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(d.path, markerFile+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(d.path, markerFile)); err != nil {
		return err
	}
	d.marker = m
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// close unlocks the directory.
func (d *directory) close() error { return d.lock.Close() }

// lockDirectory takes the lock that ends with the process, however it ends.
func lockDirectory(path string) (*os.File, error) {
	name := filepath.Join(path, lockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- as above
	if err != nil {
		return nil, &StoreError{path, err, "check that this user may write there"}
	}
	held, err := tryLock(f)
	if err == nil && !held {
		err = f.Truncate(0)
		if err == nil {
			_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		if err == nil {
			return f, nil
		}
	}
	defer func() { _ = f.Close() }()
	if !held {
		return nil, &StoreError{path, fmt.Errorf("locking %s: %w", lockFile, err), "use a directory on a local file system"}
	}
	return nil, &StoreError{path, fmt.Errorf("%w (pid %s)", ErrLocked, holderPID(f)), "stop that process, or use another directory"}
}

func holderPID(f *os.File) string {
	data := make([]byte, 20)
	n, _ := f.ReadAt(data, 0)
	if pid, err := strconv.Atoi(strings.TrimSpace(string(data[:n]))); err == nil {
		return strconv.Itoa(pid)
	}
	return "unknown"
}
