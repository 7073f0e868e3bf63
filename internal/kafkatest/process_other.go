//go:build !linux

package kafkatest

import "os/exec"

// endWithParent has no equivalent here: the broker ends with the test's cleanup.
func endWithParent(*exec.Cmd) {}
