//go:build !linux

package nodeproc

import "os/exec"

// tie does nothing here: only Linux can end a process with its parent.
func tie(*exec.Cmd) {}
