package journal

import "errors"

// ErrStopped says that the embedded log has stopped itself. It does not come back before the node is started again.
var ErrStopped = errors.New("the log stopped itself, most often because the disk is full: free disk space and restart")

// Failed says why this node's part of a log that several nodes hold does not work: it has stopped itself, or its disk
// has no room left even for finishing what was begun. It returns nil while it works.
func (j *Journal) Failed() error {
	if j.lost() {
		return ErrStopped
	}
	if j.failed.Load() {
		return j.disk.check(beginWork) // nil: it has just been given room
	}
	return nil
}

// FailedChanged returns a channel that is closed when Failed may return something else.
func (j *Journal) FailedChanged() <-chan struct{} { return j.healed.wait() }

// examine finds out whether this node's part of the log works. With a full disk it does again when there is room
// enough to begin something.
func (j *Journal) examine() {
	room := finishWork
	if j.failed.Load() {
		room = beginWork
	}
	failed := j.lost() || j.disk.check(room) != nil
	if j.failed.Swap(failed) != failed {
		j.healed.notify()
	}
}
