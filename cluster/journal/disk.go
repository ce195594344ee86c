package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	// On a full disk the embedded server stops answering until it is restarted, so writing ends while
	// a little is left: new events first, what finishes the work before them at half of it.
	diskReserve    = 256 * mib
	diskReserveMin = 16 * mib
	diskLook       = 200 * time.Millisecond // between two looks at what is free
)

// disk knows how much room the file system of a store has. A nil disk has enough.
type disk struct {
	path    string
	free    func(path string) (int64, error)
	reserve int64
	next    atomic.Int64 // when to look again, in nanoseconds
	left    atomic.Int64 // what was free at the last look
}

func newDisk(path string) (*disk, error) {
	size, err := diskSize(path)
	if err != nil {
		return nil, err
	}
	d := &disk{path: path, free: diskFree, reserve: min(max(size/20, diskReserveMin), diskReserve)}
	d.look()
	return d, nil
}

// What a write is for decides how much of the reserve it may use.
type purpose int64

const (
	beginWork  purpose = 1 // divisors of the reserve
	finishWork purpose = 2
)

// check fails with ErrFull when too little is free.
func (d *disk) check(p purpose) error {
	if d == nil {
		return nil
	}
	if least := d.reserve / int64(p); d.look() < least {
		return fmt.Errorf("%w: the disk of %s has %d MiB left and %d MiB are kept in reserve; free disk space",
			ErrFull, d.path, d.left.Load()/mib, least/mib)
	}
	return nil
}

// look returns what is free, as of a moment ago.
func (d *disk) look() int64 {
	now, next := time.Now().UnixNano(), d.next.Load()
	if now >= next && d.next.CompareAndSwap(next, now+int64(diskLook)) {
		free, err := d.free(d.path)
		if err != nil {
			free = d.reserve // what cannot be known must not stop the log
		}
		d.left.Store(free)
	}
	return d.left.Load()
}

// room returns what the disk can give to the store in all: what is free, the reserve apart, and what
// the log has.
func (d *disk) room() (int64, error) {
	free, err := d.free(d.path)
	if err != nil {
		return 0, err
	}
	free = max(free-d.reserve, 0)
	err = filepath.WalkDir(filepath.Join(d.path, logDir), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		free += info.Size()
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return free, err
}
