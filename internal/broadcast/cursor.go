package broadcast

import "sync/atomic"

// cursor is where a listener stands in a feed. It says what is to be sent next and
// is told how much of it went out; it does no I/O. It belongs to one goroutine.
type cursor struct {
	feed  *feed
	form  form
	rest  []byte        // what is left of the piece being sent: shared by all, never changed
	next  uint64        // number of the entry after that piece
	in    bool          // headers and backlog are sent, or being sent
	skips *atomic.Int64 // counts each time that a listener is moved to the live edge
}

// newCursor returns a cursor that begins with head, which it keeps, and then
// enters the feed.
func newCursor(f *feed, as form, head []byte, skips *atomic.Int64) cursor {
	return cursor{feed: f, form: as, rest: head, skips: skips}
}

// step is what a listener is to do next.
type step int

const (
	send  step = iota // what pending returns
	await             // until the view changes
	leave             // in good order: it has all that it will get
)

// advance says what comes next. Only between two pieces does it look at the feed,
// so that what was begun is always finished. The view is the one to wait on.
func (c *cursor) advance() (step, *view) {
	if len(c.rest) > 0 {
		return send, nil
	}
	v := c.feed.view.Load()
	switch {
	case v.closed:
		return leave, v
	case !c.in && v.edge > 0:
		c.in = true
		c.rest, c.next = c.feed.enter(joining, c.form)
	case c.next == v.edge && v.final:
		return leave, v
	case c.next == v.edge:
		return await, v
	case v.edge-c.next > c.feed.limits.behind:
		c.skipAhead()
	default:
		c.follow()
	}
	return send, v
}

// follow takes up the next entry.
func (c *cursor) follow() {
	e := c.feed.at(c.next)
	if e == nil { // can't be while keep is more than behind, but for a race with many blocks at once
		c.skipAhead()
		return
	}
	c.rest = e.bytes(c.form)
	c.next++
}

// skipAhead goes on at the live edge.
func (c *cursor) skipAhead() {
	c.skips.Add(1)
	c.rest, c.next = c.feed.enter(skipping, c.form)
}

// pending returns the bytes to send: never empty after send.
func (c *cursor) pending() []byte { return c.rest }

// sent says that n bytes of them went out.
func (c *cursor) sent(n int) { c.rest = c.rest[n:] }
