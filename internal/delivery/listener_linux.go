package delivery

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// ackedEvery is how often it is looked at what a listener has acknowledged, at most.
	ackedEvery = 2500 * time.Millisecond
	// firstLook is how long after its coming that is looked at first, and how often until
	// something was acknowledged: its second turn may be many seconds away.
	firstLook = 2 * time.Second
	// hearAtMost is how much a listener may say behind our end before it is closed anyway.
	hearAtMost = 256 << 10
	// vectorsAtOnce is how many pieces go out in one write: IOV_MAX.
	vectorsAtOnce = 1024
)

// listener is all that a loop keeps of one. Times are since the loop's beginning.
type listener struct {
	stream Stream
	rest   []byte  // what is left of the piece that was begun: shared, never changed
	secure *secure // nil: plain

	// In the wheel.
	next, prev *listener
	slot       int32 // -1: not in it

	fd      int32
	at      time.Duration // its turn
	moved   time.Duration // when its socket last took something, or began to take nothing
	looked  time.Duration // when its acknowledgements were looked at
	written uint64        // bytes that its socket took, since it came
	// When so many bytes are acknowledged, all of before that time is.
	markBytes uint64
	markTime  time.Duration

	// When there is no room, what the listener takes is seen by its acknowledgements:
	// the kernel reports room only once a third of its buffer is free, which for a slow
	// one is many turns.
	acked uint64

	blocked  bool // the socket has no room; it will report when it has
	stuck    bool // it had none at the last write
	heard    bool // it has acknowledged something
	more     bool // pieces wait that were not begun
	progress bool // the socket took something since the last turn
	leave    bool // nothing more is begun
	closing  bool // our end is told; rest is empty
}

// pending says whether anything was begun that did not go out yet.
func (l *listener) pending() bool {
	return len(l.rest) > 0 || l.secure != nil && len(l.secure.tail) > 0
}

// mark begins to wait for what is written by now to be acknowledged.
func (l *listener) mark(now time.Duration) { l.markBytes, l.markTime = l.written, now }

// turn is called when the wheel brings up a listener.
func (p *loop) turn(l *listener, now, due time.Duration) {
	if l.blocked {
		l.watch(now)
	}
	switch {
	case l.closing:
		p.part(l, Ended) // its side is still open, but we have waited long enough
	case l.blocked && now-l.moved >= p.opts.Stall:
		p.part(l, Stalled)
	case l.leave || now < l.at:
		if !l.heard {
			p.look(l, now)
		}
		p.settle(l, now)
	default:
		p.meter.turn(now - due)
		stalled := l.blocked && !l.progress
		if stalled {
			p.counts.stalls.Add(1)
		}
		l.progress = false
		p.look(l, now)
		p.feed(l, now, stalled)
	}
}

// watch sees whether a listener moves whose socket has no room.
func (l *listener) watch(now time.Duration) {
	acked := l.written - uint64(unacknowledged(int(l.fd)))
	if acked > l.acked {
		l.acked, l.moved, l.progress = acked, now, true
	}
}

// look tells the stream what was acknowledged. SIOCOUTQ says what TCP_INFO's
// tcpi_bytes_acked would, at a fraction of its price.
func (p *loop) look(l *listener, now time.Duration) {
	every := ackedEvery
	if !l.heard {
		every = firstLook
	}
	if now-l.looked < every {
		return
	}
	l.looked = now
	open := unacknowledged(int(l.fd))
	switch {
	case open == 0:
		l.stream.Acked(p.began.Add(now))
	case l.written-uint64(open) >= l.markBytes:
		l.stream.Acked(p.began.Add(l.markTime))
	default:
		return // keep waiting for the mark
	}
	l.heard = true
	l.mark(now)
}

// feed asks what the listener is to be sent, and sends as much as its socket takes.
func (p *loop) feed(l *listener, now time.Duration, stalled bool) {
	pieces, turn := l.stream.Next(p.began.Add(now), stalled, p.pieces[:0])
	p.pieces = pieces[:0]
	begun, err := p.send(l, pieces, now)
	l.stream.Begun(begun)
	if err != nil {
		p.part(l, why(err))
		return
	}
	l.more = begun < len(pieces)
	l.leave = turn.Leave && !l.more || p.state == drained
	l.at = turn.At.Sub(p.began)
	p.settle(l, now)
}

// settle decides when to look at a listener next.
func (p *loop) settle(l *listener, now time.Duration) {
	if l.leave && !l.pending() {
		p.goodbye(l, now)
		return
	}
	at := l.at
	if !l.heard {
		at = min(at, l.looked+firstLook)
	}
	if stalled := l.moved + p.opts.Stall; l.leave || l.blocked && stalled < at {
		at = stalled
	}
	p.wheel.put(l, at, now)
}

// report is called when a socket has something to say.
func (p *loop) report(l *listener, events uint32, now time.Duration) {
	switch {
	case l.closing:
		p.hearOut(l)
	case events&(unix.EPOLLERR|unix.EPOLLHUP|unix.EPOLLRDHUP) != 0:
		p.part(l, why(socketError(int(l.fd))))
	case events&unix.EPOLLOUT != 0 && l.blocked:
		p.resume(l, now)
	}
}

// resume finishes what was begun, and then goes on with what was not.
func (p *loop) resume(l *listener, now time.Duration) {
	l.blocked = false
	if l.more && !l.leave {
		p.feed(l, now, false)
		return
	}
	if _, err := p.send(l, nil, now); err != nil {
		p.part(l, why(err))
		return
	}
	p.settle(l, now)
}

// send writes what was begun, then pieces, until all is out or the socket is full,
// and says how many pieces were begun.
func (p *loop) send(l *listener, pieces [][]byte, now time.Duration) (begun int, err error) {
	if l.blocked {
		return 0, nil
	}
	if l.secure != nil {
		return p.sendSealed(l, pieces, now)
	}
	for len(l.rest) > 0 || begun < len(pieces) {
		n, total, err := p.write(l, pieces[begun:])
		if err != nil {
			return begun, err
		}
		begun += l.advance(n, pieces[begun:])
		if p.took(l, n, total, now); l.blocked {
			break
		}
	}
	return begun, nil
}

// write writes the rest and pieces at once, and returns how much of how many bytes
// went out.
func (p *loop) write(l *listener, pieces [][]byte) (n, total int, err error) {
	if len(l.rest) == 0 && len(pieces) > 1 {
		if whole := p.joiner.of(pieces); whole != nil {
			n, err = write(int(l.fd), whole)
			return n, len(whole), err
		}
	}
	total = p.gather(l.rest, pieces)
	n, err = writev(int(l.fd), p.vectors)
	return n, total, err
}

// gather fills the vectors and returns how many bytes they are.
func (p *loop) gather(rest []byte, pieces [][]byte) (total int) {
	p.vectors = p.vectors[:0]
	if len(rest) > 0 {
		p.vectors = append(p.vectors, vector(rest))
		total += len(rest)
	}
	for _, piece := range pieces[:min(len(pieces), vectorsAtOnce-len(p.vectors))] {
		p.vectors = append(p.vectors, vector(piece))
		total += len(piece)
	}
	return total
}

func vector(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}

// advance says that n bytes of the rest and of pieces went out, and returns how many
// pieces were begun by that.
func (l *listener) advance(n int, pieces [][]byte) (begun int) {
	cut := min(n, len(l.rest))
	l.rest, n = l.rest[cut:], n-cut
	for begun < len(pieces) && (n > 0 || len(l.rest) == 0 && len(pieces[begun]) == 0) {
		cut = min(n, len(pieces[begun]))
		l.rest, n = pieces[begun][cut:], n-cut
		begun++
	}
	if len(l.rest) == 0 {
		l.rest = nil // an empty slice would keep the piece alive
	}
	return begun
}

// took notes that the socket took n of total bytes.
func (p *loop) took(l *listener, n, total int, now time.Duration) {
	p.counts.wrote(n, total)
	l.written += uint64(n)
	if l.blocked = n < total; l.blocked {
		// From here on what is acknowledged shows that it moves.
		l.acked = l.written - uint64(unacknowledged(int(l.fd)))
	}
	if n > 0 || !l.stuck {
		l.moved, l.progress = now, true
	}
	l.stuck = l.blocked
}

// goodbye ends our side; the listener then has Linger to take what is under way and
// to close its own.
func (p *loop) goodbye(l *listener, now time.Duration) {
	if l.secure != nil {
		if out, err := p.closeNotify(l, now); err != nil {
			p.part(l, why(err))
			return
		} else if !out {
			p.wheel.put(l, l.moved+p.opts.Stall, now)
			return
		}
	}
	fd := int(l.fd)
	err := unix.Shutdown(fd, unix.SHUT_WR)
	if err == nil { // what it has said already, or is still saying, must come in fast now
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, hearAtMost)
	}
	if err == nil {
		err = p.poll.hearOut(fd)
	}
	if err != nil {
		p.part(l, why(err))
		return
	}
	l.closing = true
	l.written = 0 // from now on it counts what is heard
	p.wheel.put(l, now+p.opts.Linger, now)
}

// hearOut reads what a listener still says, until it closes its side. Closing ours
// over something unread would make the kernel throw away what is under way.
func (p *loop) hearOut(l *listener) {
	for l.written < hearAtMost {
		n, err := unix.Read(int(l.fd), p.ignored[:])
		switch {
		case err == unix.EAGAIN:
			return
		case err != nil:
			p.part(l, why(err))
			return
		case n == 0:
			p.part(l, Ended)
			return
		}
		l.written += uint64(n)
	}
	p.part(l, Ended)
}
