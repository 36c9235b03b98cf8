package crowd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// plain carries bytes by a goroutine for each connection: behind TLS, whose library
// works no other way, and where there is no epoll. It costs some 30 kB a listener.
type plain struct {
	c     *Crowd
	tls   *tls.Config // nil: no TLS
	conns []net.Conn  // of each listener; nil is none
	ctx   context.Context
	going sync.WaitGroup
	turn  int // of the sources
}

// plainMost is how many listeners plain carries: more would be the machine's limit
// long before they are the server's.
const plainMost = 4000

func newPlain(c *Crowd, secure bool) carrier {
	p := &plain{c: c, conns: make([]net.Conn, len(c.listeners))}
	if secure {
		p.tls = c.opts.TLS.Clone()
		if p.tls == nil {
			p.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		p.tls.NextProtos = []string{"http/1.1"}
		p.tls.ClientSessionCache = nil // each listener is a browser of its own
	}
	return p
}

func (p *plain) secure() bool { return p.tls != nil }

func (p *plain) run(ctx context.Context) error {
	going, cancel := context.WithCancel(ctx)
	p.ctx = going
	each := time.NewTicker(tick)
	defer each.Stop()
	nextSecond := time.Second
	for {
		meant := time.Now()
		<-each.C
		c := p.c
		c.mu.Lock()
		now := c.time()
		over := c.tick(ctx, now)
		if now >= nextSecond {
			c.second(now)
			nextSecond = now + time.Second
		}
		worked := c.time() - now
		c.meter.Round(worked, max(0, time.Since(meant)-worked-tick))
		c.mu.Unlock()
		if over {
			cancel()
			p.going.Wait()
			return nil
		}
	}
}

func (p *plain) dial(i int32) {
	l := &p.c.listeners[i]
	s := &p.c.sites.list[l.site]
	d := net.Dialer{Timeout: answerWithin}
	to := s.address()
	for range p.c.opts.Sources {
		source := p.c.opts.Sources[p.turn%len(p.c.opts.Sources)]
		if p.turn++; source.Is4() == to.Addr().Is4() {
			d.LocalAddr = &net.TCPAddr{IP: source.AsSlice()}
			break
		}
	}
	var config *tls.Config
	if s.secure {
		if config = p.tls.Clone(); config.ServerName == "" {
			config.ServerName = s.name
		}
	}
	turn := l.turn
	p.going.Go(func() { p.connection(i, turn, d, to.String(), config) })
}

// connection is one connection of a listener, from its first packet to its last.
func (p *plain) connection(i int32, turn uint32, d net.Dialer, address string, config *tls.Config) {
	conn, err := d.DialContext(p.ctx, "tcp", address)
	if err == nil && config != nil {
		secured := tls.Client(conn, config)
		within, cancel := context.WithTimeout(p.ctx, answerWithin)
		if err = secured.HandshakeContext(within); err != nil {
			conn.Close()
		}
		cancel()
		conn = secured
	}
	if err != nil {
		p.tell(i, turn, func() { p.c.closed(i, p.c.time(), whyNoDial(err)) })
		return
	}
	defer conn.Close()
	var request []byte
	p.tell(i, turn, func() {
		p.conns[i] = conn
		request = p.c.connected(i, p.c.time(), nil)
	})
	if request == nil {
		return
	}
	p.talk(i, turn, conn, request)
}

// talk speaks and reads until there is nothing more to be had.
func (p *plain) talk(i int32, turn uint32, conn net.Conn, request []byte) {
	buffer := make([]byte, 4<<10)
	slow := int(p.c.listeners[i].slow) // never changes
	for here := true; here; {
		if request != nil {
			if _, err := conn.Write(request); err != nil {
				p.tell(i, turn, func() { p.c.closed(i, p.c.time(), reset) })
				return
			}
			request = nil
		}
		b := buffer
		if slow > 0 {
			b = buffer[:min(len(buffer), max(1, slow/looksPerSecond))]
		}
		n, err := conn.Read(b)
		here = p.tell(i, turn, func() {
			switch now := p.c.time(); {
			case n > 0:
				if p.c.data(i, now, b[:n]) {
					request = p.c.request(i, nil)
				}
			case errors.Is(err, io.EOF):
				p.c.closed(i, now, cut)
			default:
				p.c.closed(i, now, reset)
			}
		})
		if slow > 0 && here {
			select {
			case <-time.After(time.Second * time.Duration(n) / time.Duration(slow)):
			case <-p.ctx.Done():
				return
			}
		}
	}
}

// tell does something under the crowd's lock, if the connection was not given up.
// It reports whether it still stands afterwards.
func (p *plain) tell(i int32, turn uint32, do func()) bool {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.c.listeners[i].turn != turn {
		return false
	}
	do()
	return p.c.listeners[i].turn == turn
}

func (p *plain) hangup(i int32) {
	if conn := p.conns[i]; conn != nil {
		// Closing a TLS connection may wait for its peer; nothing here may.
		if secured, ok := conn.(*tls.Conn); ok {
			conn = secured.NetConn()
		}
		_ = conn.Close()
		p.conns[i] = nil
	}
}

// pull has nothing to do: a slow listener's goroutine is slow by itself.
func (p *plain) pull(int32, int) {}

func whyNoDial(err error) reason {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return refused
	}
	return unreachable
}
