package nodeproc

import (
	"os/exec"
	"syscall"
)

// tie makes the node die with us, and keeps the terminal's signals from it.
func tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
