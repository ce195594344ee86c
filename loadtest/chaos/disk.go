package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// diskSize is of a node's disk. The image is sparse: it takes what the node writes.
const diskSize = 2 << 30

// groups is where cgroups slow disks.
const groups = "/sys/fs/cgroup/blkio/"

// disk is a file system of a node's own, on a loop device, so that it can be full or slow alone.
type disk struct {
	dir    string // where it is mounted: the node's data folder
	group  string // the cgroup that slows it
	filler string
}

// newDisk makes and mounts one.
func newDisk(ctx context.Context, dir, name string) (*disk, error) {
	d := &disk{dir: dir, group: groups + name, filler: filepath.Join(dir, "filler")}
	image := dir + ".img"
	f, err := os.OpenFile(image, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Truncate(diskSize), f.Close(), os.MkdirAll(dir, 0o700))
	}
	if err != nil {
		return nil, err
	}
	if err := command(ctx, "mkfs.ext4", "-q", "-m", "0", image); err != nil {
		return nil, fmt.Errorf("making a disk: %w", err)
	}
	// Its loop device goes with the mount.
	if err := command(ctx, "mount", "-o", "loop", image, dir); err != nil {
		return nil, fmt.Errorf("mounting a disk: %w; are loop devices permitted here?", err)
	}
	return d, nil
}

// remove takes it away, when the node has ended, as far as it is there.
func (d *disk) remove() {
	_ = os.Remove(d.group)
	_ = syscall.Unmount(d.dir, syscall.MNT_DETACH)
	_ = os.Remove(d.dir + ".img")
}

// empty removes all that is on it: a new disk.
func (d *disk) empty() error {
	list, err := os.ReadDir(d.dir)
	for _, e := range list {
		err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, e.Name())))
	}
	return err
}

// fill takes all the space that is left.
func (d *disk) fill() error {
	f, err := os.OpenFile(d.filler, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var offset int64
	for size := int64(256 << 20); size >= 4<<10; {
		if err := syscall.Fallocate(int(f.Fd()), 0, offset, size); err == nil {
			offset += size
		} else if errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			return fmt.Errorf("filling %s: %w", d.dir, err)
		}
	}
	return nil
}

func (d *disk) unfill() error { return os.Remove(d.filler) }

// slow lets a process write to it so many times in a second; 0: as often as it likes. It needs the blkio
// controller of cgroup version 1: version 2 would need a part of its tree that is ours.
func (d *disk) slow(pid, writes int) error {
	const missing = "slowing a disk: %w; it needs the blkio controller of cgroup version 1 in /sys/fs/cgroup/blkio"
	if err := os.MkdirAll(d.group, 0o700); err != nil {
		return fmt.Errorf(missing, err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(d.dir, &st); err != nil {
		return err
	}
	limit := fmt.Sprintf("%d:%d %d", st.Dev>>8&0xfff, st.Dev&0xff, writes) // major:minor, as of a loop device
	for file, line := range map[string]string{"blkio.throttle.write_iops_device": limit, "cgroup.procs": strconv.Itoa(pid)} {
		if err := os.WriteFile(filepath.Join(d.group, file), []byte(line), 0o600); err != nil {
			return fmt.Errorf(missing, err)
		}
	}
	return nil
}
