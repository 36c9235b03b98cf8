package broadcast

import (
	"encoding/json"
	"time"

	"hustings/internal/elastic"
	"hustings/internal/fmp4"
	"hustings/internal/programme"
)

// PaceScheme marks the emsg boxes that tell a page how to keep pace. Their value is
// "depth", their data {"depth": seconds}: how far behind the newest block that there
// is the page should play. It moves there at 0.97x or 1.03x. They are sent to those
// who follow, when they join and whenever the depth changes, and are no part of the
// programme.
const PaceScheme = "urn:hustings:pace"

// pacing is a plan as listeners need it. It is never changed.
type pacing struct {
	plan    elastic.Plan
	event   []byte // tells the depth
	backlog uint64 // blocks that a joiner needs to have the depth
}

func newPacing(p elastic.Plan) *pacing {
	data, err := json.Marshal(struct {
		Depth float64 `json:"depth"`
	}{p.Depth.Seconds()})
	if err != nil {
		panic(err) // a number: it can't be
	}
	return &pacing{
		plan: p,
		// The newest block may be on its way to the listener for as long as it takes to
		// make one, so one more than the depth makes sure of it.
		backlog: blocksIn(p.Depth) + 1,
		event:   fmp4.AppendEvent(nil, fmp4.Event{Scheme: PaceScheme, Value: "depth", ID: p.Version, Data: data}),
	}
}

// measured is what was counted up to a time.
type measured struct {
	at         time.Time
	deliveries int64
	bytes      uint64
}

// startPacing makes the policy and its first plan.
func (b *Broadcast) startPacing() (err error) {
	o := b.opts.Elastic
	o.Rates = nil
	for rung := range programme.Rung(programme.Rungs) {
		o.Rates = append(o.Rates, float64(rung.Bitrate(false)))
	}
	if b.policy, err = elastic.New(o); err != nil {
		return err
	}
	b.pacing.Store(newPacing(b.policy.Plan()))
	b.past = measured{at: b.began}
	return nil
}

// deepest returns the most that anybody is asked to have in hand.
func (b *Broadcast) deepest() time.Duration {
	if d := b.opts.Elastic.MaxDepth; d > 0 {
		return d + blockTime
	}
	return elastic.Deepest + blockTime
}

// conduct looks at the load of the last second and lets the audience have the plan
// that follows from it.
func (b *Broadcast) conduct(now time.Time) {
	load := b.opts.Delivery.Load()
	b.conducting.Lock()
	defer b.conducting.Unlock()
	past := b.past
	b.past = measured{now, b.figures.deliveries.Load(), load.Bytes}
	seconds := now.Sub(past.at).Seconds()
	if seconds <= 0 {
		return
	}
	b.adopt(b.policy.Look(now, elastic.Load{
		Busy: load.Busy, Late: load.Late, Listeners: load.Listeners,
		Deliveries: float64(b.past.deliveries-past.deliveries) / seconds,
		Egress:     float64(b.past.bytes-past.bytes) / seconds,
	}))
}

// adopt lets a plan hold if it is a new one. It is called with conducting held.
func (b *Broadcast) adopt(p elastic.Plan, changed bool) {
	if !changed {
		return
	}
	b.pacing.Store(newPacing(p))
	b.figures.paces.WithLabelValues(string(p.Cause)).Inc()
	b.log.Info("the audience's pace changes",
		"depth", p.Depth, "interval", p.Interval.Round(time.Millisecond), "rung", p.Rung, "why", p.Why)
}

// Deepen lets the audience have this depth at least, before a start to which a large
// crowd is expected. It is given up again as it turns out not to be needed.
func (b *Broadcast) Deepen(depth time.Duration) {
	b.conducting.Lock()
	defer b.conducting.Unlock()
	b.adopt(b.policy.Open(time.Now(), depth))
}

// Pace returns the plan that holds now.
func (b *Broadcast) Pace() elastic.Plan { return b.pacing.Load().plan }
