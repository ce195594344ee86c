package embedded

import (
	"os/exec"
	"syscall"
)

// tie makes the child die with us, and keeps the terminal's signals from it: it stops when we say so.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
