package broadcast

import (
	"errors"
	"net"
	"os"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	// sendBuffer bounds what the kernel takes ahead of a listener, in bytes: 10 s of
	// the top rung. Left to itself it would take minutes, and a listener who can't
	// keep up would hear the past instead of being moved to the live edge.
	sendBuffer = 64 << 10
	// linger is how long a listener has to close its side after we have ended.
	linger = 5 * time.Second
)

// Listener is a connection that has asked for the programme of a space.
type Listener struct {
	Space  space.ID
	Format Format
	Rung   programme.Rung
	Conn   net.Conn // taken over: nobody else reads, writes or closes it any more
	Head   []byte   // the head of the HTTP response, sent first; kept
	Done   func()   // called once, when Conn is closed; may be nil
	// Name is the listener's token, the same over all of its connections; "" if it
	// did not say.
	Name      string
	Follows   bool // a page that follows the told depth
	Rehearsal bool // of a crowd that is not there
	Relay     bool // stands for listeners who are not known here
}

// listener is one who is attached.
type listener struct {
	cursor   cursor
	conn     net.Conn
	done     func()
	deadline time.Time // of writing, as conn has it
}

// Attach takes a listener and returns at once. After an error the connection is
// still the caller's, to answer on.
//
// Errors: a *space.Error: Invalid for a form that does not exist, TooEarly before
// the first block, Gone after the last, Full while the server goes down.
func (b *Broadcast) Attach(l Listener) error {
	as := form{l.Format, l.Rung}
	if !as.valid() {
		return space.Errorf(space.Invalid, "there is no format %q at rung %d", l.Format, l.Rung)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.feeds[l.Space]
	switch {
	case b.draining:
		return space.Errorf(space.Full, "this server is going down; connect again in a few seconds")
	case f == nil || f.newest() == nil:
		return space.Errorf(space.TooEarly, "the programme has not begun here; try again in a second")
	case f.over():
		return space.Errorf(space.Gone, "the programme is over; its recording is up")
	}
	attached := &listener{cursor: newCursor(f, as, l.Head, &b.figures.skips), conn: l.Conn, done: l.Done}
	f.join()
	b.listeners[attached] = struct{}{}
	b.figures.joins.Add(1)
	b.figures.listeners.Add(1)
	b.serving.Add(1)
	go b.deliver(attached)
	return nil
}

// deliver sends a listener what its cursor says, for as long as there is any.
func (b *Broadcast) deliver(l *listener) {
	defer b.serving.Done()
	defer b.part(l)
	boundSendBuffer(l.conn)
	for {
		what, v := l.cursor.advance()
		switch what {
		case send:
			if !b.write(l) {
				return
			}
		case await:
			<-v.changed
		case leave:
			b.goodbye(l.conn)
			return
		}
	}
}

// write sends what is pending, or as much of it as the listener takes. It is false
// if the listener is gone or has stalled.
func (b *Broadcast) write(l *listener) bool {
	if !l.allow(b.opts.Stall) {
		return false
	}
	n, err := l.conn.Write(l.cursor.pending())
	l.cursor.sent(n)
	b.figures.bytes.Add(int64(n))
	switch {
	case err == nil:
		return true
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return false // it went away: the usual end
	case n > 0: // slow, but it moves
		l.deadline = time.Time{}
		return true
	}
	b.figures.stalled.Add(1)
	return false
}

// allow gives the next write at least the time that a listener may take nothing.
// Moving a deadline costs a tenth of a write, so it is moved by a quarter of that
// time or not at all.
func (l *listener) allow(stall time.Duration) bool {
	now := time.Now()
	if l.deadline.Sub(now) >= stall {
		return true
	}
	l.deadline = now.Add(stall + stall/4)
	return l.conn.SetWriteDeadline(l.deadline) == nil
}

// goodbye ends our side and lets the listener take what is under way: closing at
// once could make the kernel throw that away.
func (b *Broadcast) goodbye(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error }) // TCP and TLS
	if !ok || half.CloseWrite() != nil {
		return
	}
	if conn.SetReadDeadline(time.Now().Add(linger)) != nil {
		return
	}
	var ignored [256]byte
	for range 64 { // what it may have sent meanwhile; more is not waited for
		if _, err := conn.Read(ignored[:]); err != nil {
			return
		}
	}
}

// part closes the connection and takes the listener out of the tally.
func (b *Broadcast) part(l *listener) {
	_ = l.conn.Close() // there is nobody left to tell
	b.mu.Lock()
	delete(b.listeners, l)
	b.mu.Unlock()
	l.cursor.feed.part()
	b.figures.listeners.Add(-1)
	if l.done != nil {
		l.done()
	}
}

func boundSendBuffer(conn net.Conn) {
	if tcp, ok := underneath(conn).(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // else the kernel's own choice will do
	}
}

// underneath returns the connection at the bottom of those that conn wraps: TLS
// over a shared port, say. It may be conn itself.
func underneath(conn net.Conn) net.Conn {
	for {
		wrapped, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = wrapped.NetConn()
	}
}
