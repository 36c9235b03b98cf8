// Package delivery owns the sockets of an audience and feeds each of them in its turn.
//
// A few loops own their sockets outright: a listener is a descriptor, a few
// counters and a Stream that says what it is to be sent. There is no goroutine, no
// buffer and no copy for each; the same bytes go out to everybody, in one write(2) or
// writev(2) a turn.
//
//	d, err := delivery.New(delivery.Options{})
//	go d.Run(ctx)
//	err = d.Take(conn, head, stream)   // from then on conn belongs to a loop
//
// The turns of all listeners are spread over time by their Streams: a loop keeps
// them on a timing wheel and does in each slot what is due. What a socket did not
// take is finished as soon as it has room, from its offset.
//
// Behind TLS the loop keeps the tls.Conn, whose ciphertext is diverted into a
// buffer of the loop (see Take). What was encrypted and did not go out is kept with
// the listener, since nothing can be encrypted twice.
//
// Loops need Linux, and TCP at the bottom of the connection. All other connections
// are served by a goroutine each, in the same way as seen from a Stream.
package delivery

import "time"

// Stream says what one listener is sent. Its methods are called by the one loop
// that owns the listener, never at the same time, and must not wait for anything.
type Stream interface {
	// Next appends to pieces what the listener is to be sent now, and says when its
	// next turn is. A piece is sent whole or not at all: Begun tells how many of them
	// were begun; the rest is asked for again. Pieces are shared and never changed.
	// stalled: nothing of what was under way was taken since the last turn.
	//
	// With Leave set, the listener is let go in good order after the pieces.
	//
	// The first Next comes when the listener is taken. Later ones come at the turn's
	// time or some milliseconds after it; before it where a socket has room again for
	// pieces that were not begun (the new answer is the one that counts), and once at
	// once when the loops are drained: then the listener leaves after those pieces,
	// whatever the turn says.
	Next(now time.Time, stalled bool, pieces [][]byte) ([][]byte, Turn)
	// Begun says that the first n pieces of the last Next are sent, or that the last
	// of them has been begun and will be finished before anything else is asked for.
	// It follows each Next.
	Begun(n int)
	// Acked says that all that was written up to a time has been acknowledged by the
	// listener's TCP. It is told every few seconds at most, right before a Next.
	Acked(upTo time.Time)
	// Gone says that the listener's socket is closed, and why. It is the last call.
	Gone(why Reason)
}

// Turn is when a listener is to be looked at again.
type Turn struct {
	At    time.Time
	Leave bool // after these pieces
}

// Reason is why a listener's socket was closed.
type Reason uint8

// Reasons.
const (
	Left    Reason = iota // it closed its side, or its network did
	Ended                 // in good order, after the last piece
	Stalled               // it took nothing for too long
	Cut                   // the server went down before it had taken all

	reasons // how many there are
)

// String names the reason, for figures and logs.
func (r Reason) String() string {
	if r >= reasons {
		return "unknown"
	}
	return [reasons]string{"left", "ended", "stalled", "cut"}[r]
}
