// Package elastic decides how late an audience may hear, so that a crowd that is too
// large for the machine costs latency first, then bit rate, and listeners never.
//
// Sound comes in steps of half a second. Whoever is sent several steps at a time
// costs less, and needs as much more of them in hand: its depth. A Policy looks at
// the load once a second and says what depth the audience should have, how much time
// may lie between two deliveries, and the best rung of the ladder of bit rates:
//
//	p, err := elastic.New(elastic.Options{})
//	plan, changed := p.Look(now, load)
//
// A Model is what is believed of one listener: how deep it is at least. Its own
// interval follows from that, so that nobody runs dry because a plan changed:
//
//	m := elastic.Seat(now, depth, follows, plan)
//	interval := m.Interval(now, plan)
//
// Everything here is arithmetic on times that are handed in.
package elastic

import (
	"fmt"
	"math"
	"time"
)

const (
	// Step is how much sound comes at a time.
	Step = 500 * time.Millisecond
	// Shortest is the least time between two deliveries: there is nothing to deliver
	// more often.
	Shortest = Step
	// Calm is the depth while there is no load.
	Calm = 1100 * time.Millisecond
	// Deepest is the most depth that a plan asks for, unless the Options say other.
	Deepest = 24 * time.Second

	// reserve and share are what an interval leaves of a depth: a step, since the
	// newest one may be that old when it is delivered, half a second for what a network
	// and a page's own steering may do, and a tenth, since a page may play at 1.03x
	// and the machine that needs long intervals is a late one.
	reserve = time.Second
	share   = 11 // tenths

	// Pages move towards the depth that they are told by at most 0.03 s a second.
	// They are believed to deepen more slowly than that, and to rise at full speed.
	deepening = 0.025
	rising    = 0.03
	// drift is how far the clock of a player that follows nothing may be from ours.
	drift = 200e-6
)

// IntervalAt returns the longest time between two deliveries that a depth bears:
// never less than Shortest.
func IntervalAt(depth time.Duration) time.Duration {
	return max(Shortest, (depth-reserve)*10/share)
}

// DepthFor returns the depth that an interval needs, in whole steps but for Calm.
func DepthFor(interval time.Duration) time.Duration {
	if interval <= Shortest {
		return Calm
	}
	needs := reserve + (interval*share+9)/10
	return (needs + Step - 1) / Step * Step
}

// Plan is what a policy asks for. Plans are values: equal ones say the same.
type Plan struct {
	Depth    time.Duration // that pages should keep, and joiners begin with
	Interval time.Duration // between two deliveries, at most; a listener's own may be shorter
	Rung     int           // the best of the ladder that is sent; 0 is the best there is
	Version  uint32        // grows with every change of Depth
	Falls    uint32        // counts the changes that made Depth less
	Cause    Cause         // what made it so
	Why      string        // the same in words
}

// Cause is the kind of reason for a plan.
type Cause string

// Causes.
const (
	Quiet     Cause = "calm"
	Busy      Cause = "busy"      // the loops have too much to do
	Late      Cause = "late"      // deliveries begin late
	Egress    Cause = "egress"    // more is sent than the network takes
	Announced Cause = "announced" // a start to which a crowd is expected
	Pinned    Cause = "pinned"    // by the operator
)

// Causes are all of them.
var Causes = [...]Cause{Quiet, Busy, Late, Egress, Announced, Pinned}

// Options configure a Policy. Their zero value is a policy that pins nothing.
type Options struct {
	MaxDepth time.Duration // 0: Deepest
	// MaxEgress is what the network takes, in bytes a second; 0: not known.
	MaxEgress float64
	// Rates are the bit rates of the ladder, best first, in any one unit; empty: 48,
	// 24, 16.
	Rates []float64
	// PinInterval keeps the interval, and the depth that it needs, whatever the load;
	// 0: not pinned.
	PinInterval time.Duration
	PinRung     *int // keeps the rung; nil: not pinned
}

func (o *Options) complete() error {
	if o.MaxDepth == 0 {
		o.MaxDepth = Deepest
	}
	if len(o.Rates) == 0 {
		o.Rates = []float64{48, 24, 16}
	}
	switch {
	case o.MaxDepth < Calm:
		return fmt.Errorf("elastic: the greatest depth is %v; it can't be less than %v", o.MaxDepth, Calm)
	case o.MaxEgress < 0 || math.IsNaN(o.MaxEgress):
		return fmt.Errorf("elastic: the most to send is %v bytes a second; it can't be less than nothing", o.MaxEgress)
	case o.PinInterval != 0 && o.PinInterval < Shortest:
		return fmt.Errorf("elastic: the interval is pinned at %v; sound comes every %v", o.PinInterval, Shortest)
	case o.PinInterval != 0 && DepthFor(o.PinInterval) > o.MaxDepth:
		return fmt.Errorf("elastic: the interval is pinned at %v, which needs a depth of %v; the greatest is %v",
			o.PinInterval, DepthFor(o.PinInterval), o.MaxDepth)
	case o.PinRung != nil && (*o.PinRung < 0 || *o.PinRung >= len(o.Rates)):
		return fmt.Errorf("elastic: rung %d is pinned; there are rungs 0 to %d", *o.PinRung, len(o.Rates)-1)
	}
	return nil
}

// Load is what a second of delivering took.
type Load struct {
	Busy       float64       // share of the time that the busiest loop worked, 0 to 1
	Late       time.Duration // how late the latest delivery began
	Listeners  int
	Deliveries float64 // a second
	Egress     float64 // bytes a second
}

// interval returns the time between two deliveries to one listener as it really was,
// on average; otherwise, if the load doesn't tell.
func (l Load) interval(otherwise time.Duration) time.Duration {
	if l.Listeners <= 0 || l.Deliveries <= 0 {
		return otherwise
	}
	seconds := min(float64(l.Listeners)/l.Deliveries, Deepest.Seconds())
	return max(Shortest, time.Duration(seconds*float64(time.Second)))
}
