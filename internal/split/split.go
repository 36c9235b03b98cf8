// Package split lets HTTP and ICE over TCP share a port, so that those whose
// network lets no UDP through reach the stage where they reach the page:
//
//	s := split.New(listener)
//	go stage.Run(ctx)                             // with s.ICE() as its ICE-TCP listener
//	server.Serve(s)                               // or tls.NewListener(s, conf)
//
// Whoever connects speaks first, in all three protocols, and the first byte tells
// them apart: ICE-TCP frames its packets by their length in two bytes (RFC 4571),
// and its first is a STUN request of less than 512 bytes, so that it begins with 0
// or 1. HTTP begins with a letter, TLS with 22.
//
// The first Read looks, so that it costs nothing to tell: no goroutine, no read of
// its own. When it was ICE, HTTP is told that the connection ended.
package split

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// icePending is how many ICE connections wait to be accepted. More are closed:
// their owners try UDP and other candidates anyway.
const icePending = 64

// Split is itself the listener for HTTP, or for TLS over it; ICE is that for the
// other.
type Split struct {
	net.Listener
	ice *iceListener
}

// New splits a TCP listener.
func New(l net.Listener) *Split {
	return &Split{Listener: l, ice: &iceListener{
		addr: l.Addr(), conns: make(chan net.Conn, icePending), closed: make(chan struct{}),
	}}
}

// Accept returns the next connection. Nobody knows yet what it will speak.
func (s *Split) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn, nil // not TCP (a test, a Unix socket): there is no ICE to tell apart
	}
	return &splitConn{TCPConn: tcp, ice: s.ice}, nil
}

// ICE returns the listener of the connections that speak ICE. Closing it leaves
// HTTP alone: from then on they are closed.
func (s *Split) ICE() net.Listener { return s.ice }

// Close closes both.
func (s *Split) Close() error { return errors.Join(s.Listener.Close(), s.ice.Close()) }

// iceListener gives out the connections that speak ICE.
type iceListener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *iceListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *iceListener) Addr() net.Addr { return l.addr }

func (l *iceListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		for {
			select {
			case conn := <-l.conns:
				_ = conn.Close()
			default:
				return
			}
		}
	})
	return nil
}

// give hands over a connection, or closes it if nobody takes it.
func (l *iceListener) give(conn net.Conn) {
	select {
	case <-l.closed:
	default:
		select {
		case l.conns <- conn:
			return
		default:
		}
	}
	_ = conn.Close()
}

// What a splitConn speaks.
const (
	unknown int32 = iota
	isHTTP
	isICE      // and belongs to someone else now
	isDiverted // what is written goes elsewhere
)

// splitConn is a connection of which the first Read tells what it speaks. Once it
// is ICE, whatever is done to this end of it does nothing.
type splitConn struct {
	*net.TCPConn
	ice *iceListener

	// speaks changes in the first Read, and in Divert. Until the first others may only
	// close or set deadlines, under mu, so that they never touch what was given away.
	speaks atomic.Int32
	mu     sync.Mutex

	to io.Writer // once it is diverted
}

// Read reads, and the first time looks at what came.
func (c *splitConn) Read(p []byte) (int, error) {
	switch c.speaks.Load() {
	case isHTTP:
		return c.TCPConn.Read(p)
	case isICE:
		return 0, io.EOF
	case isDiverted:
		return 0, net.ErrClosed
	}
	n, err := c.TCPConn.Read(p)
	if n == 0 {
		return n, err
	}
	if p[0] > 1 {
		c.speaks.Store(isHTTP)
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.speaks.Store(isICE)
	// The deadlines were those of HTTP.
	if c.TCPConn.SetDeadline(time.Time{}) == nil {
		c.ice.give(&iceConn{TCPConn: c.TCPConn, first: append([]byte(nil), p[:n]...)})
	}
	return 0, io.EOF
}

// own runs f on the connection, unless it was given away.
func (c *splitConn) own(f func(*net.TCPConn) error) error {
	if c.speaks.Load() == isHTTP {
		return f(c.TCPConn)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.givenAway() {
		return nil
	}
	return f(c.TCPConn)
}

func (c *splitConn) givenAway() bool { return c.speaks.Load() >= isICE }

// Divert gives the connection up: its descriptor, of which whoever calls has made a
// duplicate, is closed, and what is written from now on goes to that writer. So a
// tls.Conn over it can be used to encrypt for somebody who does the sending. Nobody
// else may be writing meanwhile.
//
// Errors: net.ErrClosed if it does not belong to HTTP any more.
func (c *splitConn) Divert(to io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.givenAway() {
		return net.ErrClosed
	}
	c.to = to
	c.speaks.Store(isDiverted)
	return c.TCPConn.Close()
}

// NetConn returns the connection under this one.
func (c *splitConn) NetConn() net.Conn { return c.TCPConn }

// SyscallConn gives access to the descriptor.
func (c *splitConn) SyscallConn() (syscall.RawConn, error) { return c.TCPConn.SyscallConn() }

func (c *splitConn) Close() error { return c.own((*net.TCPConn).Close) }

// CloseWrite ends our side.
func (c *splitConn) CloseWrite() error { return c.own((*net.TCPConn).CloseWrite) }

func (c *splitConn) SetDeadline(t time.Time) error {
	return c.own(func(conn *net.TCPConn) error { return conn.SetDeadline(t) })
}

func (c *splitConn) SetReadDeadline(t time.Time) error {
	return c.own(func(conn *net.TCPConn) error { return conn.SetReadDeadline(t) })
}

func (c *splitConn) SetWriteDeadline(t time.Time) error {
	return c.own(func(conn *net.TCPConn) error { return conn.SetWriteDeadline(t) })
}

func (c *splitConn) Write(p []byte) (int, error) {
	switch c.speaks.Load() {
	case isICE:
		return 0, net.ErrClosed
	case isDiverted:
		return c.to.Write(p)
	}
	return c.TCPConn.Write(p)
}

// WriteTo goes through Read, that of TCPConn would not.
func (c *splitConn) WriteTo(to io.Writer) (int64, error) {
	return io.Copy(to, struct{ io.Reader }{c})
}

// iceConn is a connection whose first bytes were read already.
type iceConn struct {
	*net.TCPConn
	first []byte
}

func (c *iceConn) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.TCPConn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

// WriteTo goes through Read, that of TCPConn would not.
func (c *iceConn) WriteTo(to io.Writer) (int64, error) {
	return io.Copy(to, struct{ io.Reader }{c})
}

var _ interface {
	net.Conn
	io.ReaderFrom // files go out by sendfile
	CloseWrite() error
} = (*splitConn)(nil)
