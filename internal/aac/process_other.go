//go:build !linux

package aac

import (
	"os"
	"syscall"
)

// bound: elsewhere a process ends when its standard input does.
func bound() *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) {
	_ = p.Kill() // it is gone already, or soon
}
