//go:build !linux

package redistest

import "os/exec"

// endWithParent has no equivalent here: the server ends with the test's cleanup.
func endWithParent(*exec.Cmd) {}
