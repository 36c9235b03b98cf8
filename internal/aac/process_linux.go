package aac

import (
	"os"
	"syscall"
)

// bound has a process be a group of its own, so that a Ctrl-C in the terminal does
// not end it before its time, and die with us, however we end.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a process and what it has started.
func killGroup(p *os.Process) {
	if syscall.Kill(-p.Pid, syscall.SIGKILL) != nil {
		_ = p.Kill() // it is gone already, or soon
	}
}
