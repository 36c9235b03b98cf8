package delivery

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// engine is the loops.
type engine struct {
	opts    *Options
	loops   []*loop
	crowd   *crowd
	running sync.WaitGroup
}

func newEngine(o *Options, c *crowd) *engine {
	e := &engine{opts: o, crowd: c}
	for range o.Loops {
		e.loops = append(e.loops, newLoop(o, c))
	}
	return e
}

// start starts the loops, which cut ends.
func (e *engine) start() error {
	for _, p := range e.loops {
		if err := p.open(); err != nil {
			return err
		}
	}
	for _, p := range e.loops {
		p.start()
		e.running.Go(p.run)
	}
	return nil
}

func (e *engine) drain() {
	for _, p := range e.loops {
		p.order(drained)
	}
}

// cut cuts all, those too who were taken by a loop that never ran, and waits for the
// loops to end.
func (e *engine) cut() {
	for _, p := range e.loops {
		p.order(cutOff)
	}
	e.running.Wait()
}

// take gives a connection to the loop that has the fewest. taken is false for one
// that is not for loops: nothing has been done to it then.
func (e *engine) take(conn net.Conn, head []byte, s Stream) (taken bool, err error) {
	b, ok := bottomOf(conn)
	if !ok {
		return false, nil
	}
	fd, err := duplicate(b.tcp, e.opts)
	if err != nil {
		return false, err
	}
	p := e.pick()
	l := &listener{stream: s, fd: int32(fd), slot: -1, rest: head}
	if b.secure == nil {
		_ = conn.Close() // only Go's own descriptor
	} else {
		l.secure = &secure{conn: b.secure}
		_ = b.below.Divert(&p.sealed) // as above
	}
	e.crowd.came()
	p.counts.taken.Add(1)
	p.give(l)
	return true, nil
}

// worthwhile is how many listeners a loop should have before another one wakes up for
// some, too: as many as keep it busy for a tenth of its time at the shortest T.
const worthwhile = 4000

// pick returns the loop that is to have the next listener.
func (e *engine) pick() *loop {
	fewest := e.loops[0]
	for _, p := range e.loops {
		n := p.members.Load()
		if n < worthwhile {
			return p
		}
		if n < fewest.members.Load() {
			fewest = p
		}
	}
	return fewest
}

// diverter is a connection under TLS that can be told to send elsewhere. It closes
// its own descriptor then.
type diverter interface {
	Divert(to io.Writer) error
}

// bottom is what a connection wraps.
type bottom struct {
	tcp    *net.TCPConn
	secure *tls.Conn // nil: plain
	below  diverter  // under secure
}

// bottomOf looks through a connection, and says whether it is one for loops.
func bottomOf(conn net.Conn) (b bottom, ok bool) {
	for {
		if b.secure != nil && b.below == nil {
			if b.below, ok = conn.(diverter); !ok {
				return b, false
			}
		}
		switch c := conn.(type) {
		case *net.TCPConn:
			b.tcp = c
			return b, true
		case *tls.Conn:
			if b.secure != nil || !c.ConnectionState().HandshakeComplete {
				return b, false
			}
			b.secure, conn = c, c.NetConn()
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return b, false
		}
	}
}

// receiveBuffer bounds what a client may say that nobody reads, in bytes. With much less
// TCP would trickle when it is read in the end, since the client knew a larger window.
const receiveBuffer = 16 << 10

// duplicate returns a descriptor of the connection that is ours alone, set up for
// delivery.
func duplicate(tcp *net.TCPConn, o *Options) (int, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var failed error
	err = raw.Control(func(theirs uintptr) {
		fd, failed = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return -1, fmt.Errorf("taking over a connection: %w", err)
	}
	if err := prepare(fd, o); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func prepare(fd int, o *Options) error {
	// What is not acknowledged for as long as a listener may stall: its network is gone.
	// A little longer, so that who reads nothing is told apart by ourselves.
	timeout := (o.Stall + o.Stall/8) / time.Millisecond
	for _, set := range []struct {
		level, option, value int
	}{
		{unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer},
		{unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout)},
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	} {
		if err := unix.SetsockoptInt(fd, set.level, set.option, set.value); err != nil {
			return fmt.Errorf("setting up a connection: %w", err)
		}
	}
	return nil
}
