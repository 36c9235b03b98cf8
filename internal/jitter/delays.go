package jitter

import (
	"math"
	"slices"
	"time"
)

const (
	history  = 512  // packets that the quantile is taken over: 10 s of 20 ms
	refresh  = 16   // packets between two looks at it
	quantile = 0.97 // of packets that should be in time
	plays    = 16   // played packets over which the delay in use is measured
)

// delays measures how late packets arrive and how late they are played. Both are
// transit times: a time of ours minus a media time, of which only differences
// mean anything. The least one among recent arrivals is the yardstick.
type delays struct {
	transit [history]time.Duration // of arrivals, a ring
	n       int                    // arrivals so far
	base    time.Duration          // least of transit
	late    time.Duration          // quantile of transit, above base
	scratch [history]time.Duration

	least  time.Duration // least playing transit in this round, and how many it is of
	seen   int
	inuse  time.Duration // that of the last whole round
	settle bool          // inuse is known
}

// reset forgets everything: another stream begins.
func (d *delays) reset() {
	d.late = 0
	d.forget()
}

// forget forgets the yardstick, but not how unsteady this network is.
func (d *delays) forget() {
	d.n, d.base = 0, math.MaxInt64
	d.forgetUse()
}

// arrived takes the transit time of a packet that came in.
func (d *delays) arrived(transit time.Duration) {
	d.transit[d.n%history] = transit
	d.n++
	d.base = min(d.base, transit)
	if d.n%refresh == 0 || d.n < refresh {
		d.look()
	}
}

// look takes the quantile and the least anew, since old arrivals have left.
func (d *delays) look() {
	n := min(d.n, history)
	s := d.scratch[:n]
	copy(s, d.transit[:n])
	slices.Sort(s)
	d.base = s[0]
	late := s[int(quantile*float64(n-1)+0.5)] - s[0]
	if n < refresh { // too few to call the network better than it was
		late = max(late, d.late)
	}
	d.late = late
}

// fastest returns the least transit time.
func (d *delays) fastest() (time.Duration, bool) { return d.base, d.n > 0 }

// played takes the transit time of a packet that is played. The least of a round
// counts: a loop that ran late for once says nothing about the delay.
func (d *delays) played(transit time.Duration) {
	if d.seen == 0 || transit < d.least {
		d.least = transit
	}
	if d.seen++; d.seen == plays {
		d.inuse, d.settle, d.seen = d.least, true, 0
	}
}

// moved changes the delay in use by what the receiver put in or left out.
func (d *delays) moved(by time.Duration) {
	d.least += by
	d.inuse += by
}

// forgetUse starts to measure the delay in use anew.
func (d *delays) forgetUse() { d.seen, d.settle = 0, false }

// inUse returns the delay in use, above the fastest packets', once it is known.
func (d *delays) inUse() (time.Duration, bool) {
	if !d.settle || d.n == 0 {
		return 0, false
	}
	return d.inuse - d.base, true
}
