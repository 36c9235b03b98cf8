package delivery

import (
	"math"
	"sync/atomic"
	"time"
)

// Load is how hard the loops work, and what they have done since they began.
type Load struct {
	// Busy is the largest share of its time that any loop spent working over the last
	// second, 0 to 1.
	Busy float64
	// Late is how late the latest turn of the last second or two was, against its slot.
	Late      time.Duration
	Listeners int // there now

	Taken   uint64 // listeners
	Bytes   uint64 // as they went to the sockets: behind TLS, those of the ciphertext
	Writes  uint64 // calls that wrote something, or were told that there is no room
	Partial uint64 // of these, those that a socket did not take whole
	Stalls  uint64 // turns at which nothing had been taken since the one before
	Closed  [reasons]uint64
}

// Load returns the load now.
func (d *Loops) Load() Load {
	l := Load{Listeners: int(d.crowd.now.Load())}
	d.plain.counts.addTo(&l)
	for _, p := range d.engine.loops {
		p.counts.addTo(&l)
		busy, late := p.meter.read()
		l.Busy = max(l.Busy, busy)
		l.Late = max(l.Late, late)
	}
	return l
}

// counts are written by one loop and read by all.
type counts struct {
	taken, bytes, writes, partial, stalls atomic.Uint64
	closed                                [reasons]atomic.Uint64
}

// wrote counts a write of which n of total bytes went out.
func (c *counts) wrote(n, total int) {
	c.writes.Add(1)
	c.bytes.Add(uint64(n))
	if n < total {
		c.partial.Add(1)
	}
}

func (c *counts) addTo(l *Load) {
	l.Taken += c.taken.Load()
	l.Bytes += c.bytes.Load()
	l.Writes += c.writes.Load()
	l.Partial += c.partial.Load()
	l.Stalls += c.stalls.Load()
	for i := range c.closed {
		l.Closed[i] += c.closed[i].Load()
	}
}

// meterWindow is the time over which work is measured.
const meterWindow = time.Second

// meter measures how much of its time a loop works, and how late it is. Times are
// since the loop's beginning. It belongs to the loop, but for read.
type meter struct {
	began time.Duration // of this window
	woke  time.Duration // of this spell of work
	busy  time.Duration // in this window, without this spell

	share atomic.Uint64 // of the last window: the bits of a float64
	last  atomic.Int64  // how late in the last window, in nanoseconds
	late  atomic.Int64  // and in this one
}

// wake says that work begins.
func (m *meter) wake(now time.Duration) {
	m.woke = now
	m.roll(now)
}

// turn says that a turn was late by so much.
func (m *meter) turn(late time.Duration) {
	if int64(late) > m.late.Load() {
		m.late.Store(int64(late))
	}
}

// work says that there was work since it was last called, or since wake.
func (m *meter) work(now time.Duration) {
	m.busy += now - m.woke
	m.woke = now
	m.roll(now)
}

// roll begins a new window when this one is over. Next to nothing counts as nothing,
// so that an idle loop need not wake up only to say so.
func (m *meter) roll(now time.Duration) {
	span := now - m.began
	if span < meterWindow {
		return
	}
	share := float64(m.busy) / float64(span)
	if share < 1e-3 {
		share = 0
	}
	m.share.Store(math.Float64bits(share))
	m.last.Store(m.late.Swap(0))
	m.began, m.busy = now, 0
}

// until says when the window is over, and whether anybody must wake up for that.
func (m *meter) until() (end time.Duration, wake bool) {
	quiet := m.busy < meterWindow/1000 && m.share.Load() == 0 && m.late.Load() == 0 && m.last.Load() == 0
	return m.began + meterWindow, !quiet
}

// read may be called by anybody.
func (m *meter) read() (busy float64, late time.Duration) {
	return math.Float64frombits(m.share.Load()), time.Duration(max(m.last.Load(), m.late.Load()))
}
