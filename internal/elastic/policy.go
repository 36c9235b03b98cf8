package elastic

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// How a policy reacts. It goes up within seconds, to where the load is expected to be
// well below the mark, and comes down by steps, each only if the load would then stay
// below the mark even if cost went with the number of deliveries alone, which is the
// worst that can be: so the same load never sends it up and down in turn.
const (
	busyMark = 0.70 // above it, it is too much
	busyAim  = 0.50 // where a change should lead
	busyGood = 0.60 // where easing may lead, at most
	lateMark = 300 * time.Millisecond
	// A delivery costs a little for itself and a little for each byte, so intervals
	// have to grow faster than the cost is to fall.
	stretch = 1.25

	// Looks in a row that must say the same before it goes up. One late delivery, as
	// when the machine did something else for a moment, is seen by up to three.
	confirm     = 2
	confirmLate = 4

	calmFor   = 20 * time.Second // of good load before the first step down
	easeEvery = 17 * time.Second // for each Step: as fast as pages rise
	relapse   = time.Minute      // going up this soon after a step down, that was a mistake
	patience  = 30 * time.Minute // the longest wait that such mistakes lead to

	rungAfter   = 10 * time.Second // of too much load at the greatest depth
	rungEvery   = 15 * time.Second
	rungCalm    = 2 * time.Minute // before a better rung is tried again
	egressAfter = 3 * time.Second
	egressGood  = 0.85 // of the most, where a better rung may lead
)

// Policy turns load into plans. It is for one goroutine.
type Policy struct {
	opts Options
	plan Plan

	busy, late int       // looks in a row that found it so
	hotSince   time.Time // since when it is either; zero if it is not
	overSince  time.Time // more is sent than may be; zero if not
	calmSince  time.Time // since when a step down would have been right; zero if not
	coolSince  time.Time // likewise for a better rung
	settles    time.Time // when those who listen can have the depth of the last step up
	deepened   time.Time
	eased      time.Time
	lowered    time.Time // a rung down
	raised     time.Time // a rung up
	easeWait   time.Duration
	rungWait   time.Duration
}

// New returns a policy that begins in calm.
func New(o Options) (*Policy, error) {
	o.Rates = slices.Clone(o.Rates)
	if err := o.complete(); err != nil {
		return nil, err
	}
	p := &Policy{opts: o, easeWait: calmFor, rungWait: rungCalm}
	p.plan = Plan{Depth: Calm, Interval: Shortest, Version: 1, Cause: Quiet, Why: "calm"}
	if o.PinInterval > 0 {
		p.plan.Depth, p.plan.Interval = DepthFor(o.PinInterval), o.PinInterval
		p.plan.Cause, p.plan.Why = Pinned, "the interval is pinned"
	}
	if o.PinRung != nil {
		p.plan.Rung = *o.PinRung
	}
	return p, nil
}

// Plan returns what the last look led to.
func (p *Policy) Plan() Plan { return p.plan }

// Open makes the plan at least as deep as depth at once, for a start to which a crowd
// is expected. It comes down as from any load.
func (p *Policy) Open(now time.Time, depth time.Duration) (Plan, bool) {
	before := p.plan
	depth = min((depth+Step-1)/Step*Step, p.opts.MaxDepth)
	if p.opts.PinInterval == 0 && depth > p.plan.Depth {
		p.deepen(now, depth, Announced, fmt.Sprintf("opened %v deep for an announced start", depth))
		p.deepened = time.Time{} // it was no mistake to come down before
	}
	return p.plan, p.plan != before
}

// Look takes the load of the last second and returns the plan for the next.
func (p *Policy) Look(now time.Time, l Load) (plan Plan, changed bool) {
	before := p.plan
	p.measure(now, l)
	switch {
	case !p.overSince.IsZero() && now.Sub(p.overSince) >= egressAfter && now.Sub(p.lowered) >= rungEvery:
		p.lower(now, Egress, fmt.Sprintf("%.1f MB are sent each second, of %.1f at most", l.Egress/1e6, p.opts.MaxEgress/1e6))
	case p.busy >= confirm || p.late >= confirmLate:
		p.relieve(now, l)
	case !p.coolSince.IsZero() && now.Sub(p.coolSince) >= p.rungWait:
		p.raise(now)
	case !p.calmSince.IsZero() && now.Sub(p.calmSince) >= p.easeWait && now.Sub(p.eased) >= easeEvery:
		p.ease(now)
	}
	return p.plan, p.plan != before
}

// measure notes since when the load has been as it is.
func (p *Policy) measure(now time.Time, l Load) {
	inARow(&p.busy, l.Busy > busyMark)
	inARow(&p.late, l.Late > lateMark)
	since(&p.hotSince, p.busy > 0 || p.late > 0, now)
	most := p.opts.MaxEgress
	since(&p.overSince, most > 0 && l.Egress > most, now)
	quiet := l.Late <= lateMark/2
	since(&p.calmSince, p.plan.Rung == p.bestRung() && p.plan.Depth > Calm && p.opts.PinInterval == 0 &&
		quiet && l.Busy*float64(p.plan.Interval)/float64(IntervalAt(p.shallower())) < busyGood, now)
	better := 1.0
	if p.plan.Rung > 0 {
		better = p.opts.Rates[p.plan.Rung-1] / p.opts.Rates[p.plan.Rung]
	}
	since(&p.coolSince, p.plan.Rung > p.bestRung() && quiet && l.Busy*better < busyGood &&
		(most == 0 || l.Egress*better < egressGood*most), now)
}

// inARow counts how often something has been so without a break.
func inARow(n *int, is bool) {
	if *n++; !is {
		*n = 0
	}
}

// since keeps the time since when something has been so.
func since(t *time.Time, is bool, now time.Time) {
	switch {
	case !is:
		*t = time.Time{}
	case t.IsZero():
		*t = now
	}
}

// relieve does what there is to do about too much load: depth, and once that is used
// up, rungs.
func (p *Policy) relieve(now time.Time, l Load) {
	if p.opts.PinInterval == 0 && p.plan.Depth < p.opts.MaxDepth {
		if depth := min(DepthFor(p.needed(now, l)), p.opts.MaxDepth); depth > p.plan.Depth {
			cause, why := reason(l)
			p.deepen(now, depth, cause, why)
		}
		return
	}
	if now.Sub(p.hotSince) >= rungAfter && now.Sub(p.deepened) >= rungAfter && now.Sub(p.lowered) >= rungEvery {
		cause, why := reason(l)
		p.lower(now, cause, why+", and the depth is at its greatest")
	}
}

// needed returns the interval at which the load should be where it is to be, by what
// intervals really are now. Those who listen take minutes to deepen: until they can
// have done so, the same need is no reason to go further.
func (p *Policy) needed(now time.Time, l Load) time.Duration {
	grow := max(1.2, math.Pow(l.Busy/busyAim, stretch))
	if l.Late > lateMark {
		grow = max(grow, 1.5)
	}
	needed := time.Duration(float64(l.interval(p.plan.Interval)) * grow)
	if now.After(p.settles) {
		needed = max(needed, time.Duration(1.3*float64(p.plan.Interval)))
	}
	return needed
}

func reason(l Load) (Cause, string) {
	if l.Busy > busyMark {
		return Busy, fmt.Sprintf("the loops are %.0f%% busy", 100*l.Busy)
	}
	return Late, fmt.Sprintf("deliveries are %v late", l.Late.Round(time.Millisecond))
}

func (p *Policy) deepen(now time.Time, depth time.Duration, cause Cause, why string) {
	if !p.eased.IsZero() && now.Sub(p.eased) < relapse {
		p.easeWait = min(2*p.easeWait, patience)
	}
	p.settles = now.Add(time.Duration(float64(depth-p.plan.Depth) / deepening))
	p.deepened, p.calmSince = now, time.Time{}
	p.setDepth(depth, cause, why)
}

// shallower returns the next depth on the way down: one at which the interval really
// is shorter.
func (p *Policy) shallower() time.Duration {
	depth := (p.plan.Depth - 1) / Step * Step
	if IntervalAt(depth) <= Shortest {
		return Calm
	}
	return depth
}

func (p *Policy) ease(now time.Time) {
	p.eased = now
	depth, why := p.shallower(), "calm again: on the way down"
	if depth == Calm {
		why = "calm"
	}
	p.plan.Falls++
	p.setDepth(depth, Quiet, why)
	if now.Sub(p.deepened) > patience {
		p.easeWait = calmFor // what was learned of an earlier crowd is forgotten
	}
}

func (p *Policy) setDepth(depth time.Duration, cause Cause, why string) {
	p.plan.Depth, p.plan.Interval, p.plan.Cause, p.plan.Why = depth, IntervalAt(depth), cause, why
	p.plan.Version++
}

// bestRung is the best that may be sent.
func (p *Policy) bestRung() int {
	if p.opts.PinRung != nil {
		return *p.opts.PinRung
	}
	return 0
}

// lower goes down a rung, if there is one and none is pinned.
func (p *Policy) lower(now time.Time, cause Cause, why string) {
	if p.opts.PinRung != nil || p.plan.Rung+1 >= len(p.opts.Rates) {
		return
	}
	if !p.raised.IsZero() && now.Sub(p.raised) < relapse {
		p.rungWait = min(2*p.rungWait, patience)
	}
	p.lowered, p.coolSince = now, time.Time{}
	p.plan.Rung++
	p.plan.Cause, p.plan.Why = cause, why
}

func (p *Policy) raise(now time.Time) {
	p.raised, p.coolSince = now, time.Time{}
	p.plan.Rung--
	p.plan.Cause, p.plan.Why = Quiet, "calm for long: a better rung again"
}
