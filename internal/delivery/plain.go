package delivery

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// plain serves listeners by a goroutine each: on systems that have no loops, and
// connections that are not for them.
type plain struct {
	opts    *Options
	crowd   *crowd
	counts  counts
	leaving chan struct{} // closed when all are to leave
	once    sync.Once

	mu      sync.Mutex // guards members
	members map[*guest]struct{}
	serving sync.WaitGroup // adding needs mu
	over    bool
}

func newPlain(o *Options, c *crowd) plain {
	return plain{opts: o, crowd: c, leaving: make(chan struct{}), members: make(map[*guest]struct{})}
}

// take serves a connection from now on.
func (p *plain) take(conn net.Conn, head []byte, s Stream) {
	g := &guest{plain: p, conn: conn, stream: s, rest: head, patience: p.opts.Stall, moved: time.Now(), progress: true}
	at := conn
	for {
		if _, ok := at.(*tls.Conn); ok {
			g.whole = true
		}
		wrapped, ok := at.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		at = wrapped.NetConn()
	}
	g.bottom = at
	if tcp, ok := at.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(p.opts.SendBuffer) // else the system's own choice will do
	}
	p.crowd.came()
	p.counts.taken.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members[g] = struct{}{}
	p.serving.Go(g.serve)
}

// drain lets all go after what they are being sent.
func (p *plain) drain() { p.once.Do(func() { close(p.leaving) }) }

// cut closes all connections and waits for their goroutines.
func (p *plain) cut() {
	p.mu.Lock()
	p.over = true
	for g := range p.members {
		_ = g.bottom.Close() // its goroutine sees it and tidies up
	}
	p.mu.Unlock()
	p.drain() // wakes up who sleeps
	p.serving.Wait()
}

func (p *plain) isOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// guest is a listener with a goroutine.
type guest struct {
	plain    *plain
	conn     net.Conn
	bottom   net.Conn // of those that conn wraps: closing it waits for nobody
	stream   Stream
	rest     []byte // what is left of the piece that was begun: shared, never changed
	patience time.Duration
	// whole is set behind TLS: a write that was interrupted there can't be gone on with.
	// So it has as long as a listener may stall, and is short.
	whole bool

	moved    time.Time // when it last took something
	progress bool      // it took something since the last turn
}

// serve gives the listener its turns.
func (g *guest) serve() {
	why := g.turns()
	p := g.plain
	if p.isOver() {
		why = Cut
	}
	if why == Ended {
		g.goodbye()
	}
	_ = g.conn.Close() // there is nobody left to tell
	p.mu.Lock()
	delete(p.members, g)
	p.mu.Unlock()
	p.counts.closed[why].Add(1)
	g.stream.Gone(why)
	p.crowd.went()
}

func (g *guest) turns() Reason {
	var pieces [][]byte
	for {
		now := time.Now()
		last := g.isLeaving()
		if len(g.rest) == 0 {
			g.moved = now // a wait begins here, if any
		}
		stalled := len(g.rest) > 0 && !g.progress
		if stalled {
			g.plain.counts.stalls.Add(1)
		}
		g.progress = false
		var turn Turn
		pieces, turn = g.stream.Next(now, stalled, pieces[:0])
		begun, err := g.send(pieces, turn.At)
		g.stream.Begun(begun)
		if last && errors.Is(err, os.ErrDeadlineExceeded) { // the rest, and no more
			_, err = g.send(nil, now.Add(g.patience))
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && (g.whole || time.Since(g.moved) >= g.patience):
			return Stalled
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue // the next turn's time has come meanwhile
		case err != nil:
			return Left
		}
		if g.stream.Acked(now); turn.Leave || last {
			return Ended
		}
		g.sleep(turn.At)
	}
}

func (g *guest) isLeaving() bool {
	select {
	case <-g.plain.leaving:
		return true
	default:
		return false
	}
}

// sleep waits for a time, or until all are to leave.
func (g *guest) sleep(until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.plain.leaving:
	}
}

// send writes the rest and then pieces. When it is the next turn's time it gives
// up, to go on where it is.
func (g *guest) send(pieces [][]byte, until time.Time) (begun int, err error) {
	for {
		if len(g.rest) == 0 {
			if begun == len(pieces) {
				return begun, nil
			}
			g.rest = pieces[begun]
			begun++
		}
		for len(g.rest) > 0 {
			if err := g.write(until); err != nil {
				return begun, err
			}
		}
	}
}

// write writes some of the rest.
func (g *guest) write(until time.Time) error {
	deadline := g.moved.Add(g.patience)
	part := g.rest
	if g.whole {
		deadline = time.Now().Add(g.patience)
		part = part[:min(len(part), 16<<10)]
	} else if soon := time.Now().Add(10 * time.Millisecond); until.Before(deadline) {
		deadline = until
		if deadline.Before(soon) {
			deadline = soon
		}
	}
	if err := g.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	n, err := g.conn.Write(part)
	g.plain.counts.wrote(n, len(part))
	if n > 0 {
		g.moved, g.progress = time.Now(), true
	}
	if g.rest = g.rest[n:]; len(g.rest) == 0 {
		g.rest = nil
	}
	return err
}

// goodbye ends our side and lets the listener take what is under way: closing at
// once could make the system throw that away.
func (g *guest) goodbye() {
	half, ok := g.conn.(interface{ CloseWrite() error }) // TCP and TLS
	if !ok || half.CloseWrite() != nil {
		return
	}
	if g.conn.SetReadDeadline(time.Now().Add(g.plain.opts.Linger)) != nil {
		return
	}
	var ignored [1 << 10]byte
	for range 256 { // what it may have sent meanwhile; more is not waited for
		if _, err := g.conn.Read(ignored[:]); err != nil {
			return
		}
	}
}
