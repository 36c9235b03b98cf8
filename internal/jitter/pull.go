package jitter

import "time"

// Pull returns what comes next, which is needed now: what a receiver still has
// of the packet before is its own matter.
func (b *Buffer) Pull(now time.Time) Result {
	if !b.playing && !b.start(now) {
		return Result{Kind: Waiting}
	}
	for b.count > 0 && b.Depth() > b.o.Max {
		b.drop()
	}
	if b.count == 0 {
		return b.starve()
	}
	s := b.next()
	transit := now.Sub(b.origin) - b.duration(s.at.ts)
	if gap := b.gap(s); gap > 0 {
		if r := b.bridge(s, gap, transit); r.Samples > 0 {
			return r
		}
	}
	s.full = false
	b.count--
	b.delays.moved(b.duration(int64(b.waited))) // it came late: so much later is everything now
	b.delays.played(transit)
	b.passed(s)
	return Result{Kind: Play, Samples: s.packet.Samples, Packet: s.packet}
}

// start begins to play once the oldest packet is as late as it should be, on a
// stream that begins or that fell silent for long.
func (b *Buffer) start(now time.Time) bool {
	if b.count == 0 {
		return false
	}
	s := b.next()
	base, _ := b.delays.fastest()
	late := now.Sub(b.origin) - b.duration(s.at.ts) - base
	if late < b.target() && b.Depth() < b.o.Max {
		return false
	}
	b.playing = true
	b.first, b.pos, b.waited = s.at.seq, s.at.ts, 0
	b.delays.forgetUse()
	return true
}

// gap returns how many samples are missing before the packet, less those that
// were bridged already while nothing was there.
func (b *Buffer) gap(s *slot) int {
	gap := int(s.at.ts - b.pos)
	if gap <= 0 {
		return 0
	}
	if used := min(gap, b.waited); used > 0 {
		b.pos += int64(used)
		b.waited -= used
		gap -= used
		b.skip(s, gap)
	}
	return gap
}

// skip counts packets as lost whose time has been bridged, with gap samples left.
func (b *Buffer) skip(s *slot, gap int) {
	missing := s.at.seq - b.first
	left := int64((gap + b.length - 1) / b.length)
	if missing > left {
		b.stats.Lost += uint64(missing - left)
		b.first = s.at.seq - left
	}
}

// bridge stands in for what is missing before a packet that is there, and would
// have the given transit time if it were played now. It returns nothing if the
// packet need not wait.
func (b *Buffer) bridge(s *slot, gap int, transit time.Duration) Result {
	missing := s.at.seq - b.first
	n := min(gap, b.length)
	if missing == 0 {
		// The sender paused. Silence is as long as it takes to play what comes
		// after it with the delay aimed at: nobody hears the difference.
		base, _ := b.delays.fastest()
		b.delays.forgetUse()
		if transit-base >= b.target() {
			return Result{}
		}
		b.pos += int64(n)
		return Result{Kind: Pause, Samples: n}
	}
	r := Result{Kind: Lost, Samples: n}
	if missing == 1 && gap <= b.length {
		r.Packet = s.packet
	}
	b.first++
	b.pos += int64(n)
	b.stats.Lost++
	return r
}

// starve is for when nothing is there: wait for what comes next, but not forever.
func (b *Buffer) starve() Result {
	if b.waited == 0 {
		b.stats.Empty++
	}
	b.waited += b.length
	if b.duration(int64(b.waited)) > b.o.Give {
		b.playing = false
		b.delays.forget() // the sender's clock may have stood still meanwhile
		return Result{Kind: Waiting}
	}
	return Result{Kind: Empty, Samples: b.length}
}

// Advice returns whether the delay in use should change. A receiver that follows
// it tells so by Moved.
func (b *Buffer) Advice() Advice {
	delay, known := b.delays.inUse()
	if !b.playing || !known {
		return Keep
	}
	const margin, slack = 3 * time.Millisecond, 5 * time.Millisecond
	step := b.duration(int64(b.length))
	switch {
	case delay > b.target()+max(step, 20*time.Millisecond)+slack:
		return Shrink
	case delay < b.delays.late+margin && delay < b.o.Max:
		return Grow
	}
	return Keep
}

// Excess returns how far the delay in use is above the target; it is negative
// below it, and zero while it is not known.
func (b *Buffer) Excess() time.Duration {
	delay, known := b.delays.inUse()
	if !b.playing || !known {
		return 0
	}
	return delay - b.target()
}

// Moved tells that samples of sound were put in, or left out if negative.
func (b *Buffer) Moved(samples int) { b.delays.moved(b.duration(int64(samples))) }

// target returns the delay aimed at.
func (b *Buffer) target() time.Duration {
	return min(max(b.delays.late+10*time.Millisecond, b.o.Min), b.o.Max)
}
