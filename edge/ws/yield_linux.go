package ws

import "golang.org/x/sys/unix"

// yield lets other threads have the processor, if any waits for it (sched_yield(2)).
func yield() { _, _, _ = unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
