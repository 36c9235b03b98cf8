// Package delivery owns the sockets of an audience and feeds each of them in its turn.
//
// A few loops own their sockets outright: a listener is a descriptor, a few
// counters and a Stream that says what it is to be sent. There is no goroutine, no
// buffer and no copy for each; the same bytes go out to everybody by writev(2).
//
//	d, err := delivery.New(delivery.Options{})
//	go d.Run(ctx)
//	err = d.Take(conn, stream)   // from then on conn belongs to a loop
//
// The turns of all listeners are spread over time by their Streams: a loop keeps
// them on a timing wheel and does in each slot what is due.
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
	Next(now time.Time, stalled bool, pieces [][]byte) ([][]byte, Turn)
	// Begun says that the first n pieces of the last Next are sent, or that the last
	// of them has been begun and will be finished before anything else is asked for.
	Begun(n int)
	// Acked says that all that was written up to a time has been acknowledged by the
	// listener's TCP.
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
)
