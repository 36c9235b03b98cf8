//go:build !linux

package delivery

import "net"

// engine has no loops on this system: each listener gets a goroutine.
type engine struct{ loops []*loop }

type loop struct {
	counts counts
	meter  meter
}

func newEngine(*Options, *crowd) *engine { return &engine{} }

func (*engine) start() error                                          { return nil }
func (*engine) take(net.Conn, []byte, Stream) (taken bool, err error) { return false, nil }
func (*engine) drain()                                                {}
func (*engine) cut()                                                  {}
