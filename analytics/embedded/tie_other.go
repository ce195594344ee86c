//go:build unix && !linux

package embedded

import (
	"os/exec"
	"syscall"
)

// tie keeps the terminal's signals from the child. Only Linux can also tie its life to ours.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
