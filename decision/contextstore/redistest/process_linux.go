package redistest

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel kill the server when the test binary dies, even
// by a timeout's panic.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
