package elastic

import "time"

// Model is what is believed of one listener: it has at least this depth. The depth
// of a listener is how far the sound that it plays is behind the newest sound that
// there was to deliver, at the moment when that came. It holds no pointers and takes
// 24 bytes, since there is one for each listener.
type Model struct {
	asOf    time.Duration // on the caller's clock
	depth   float32       // seconds, at asOf
	told    float32       // the depth that it was last told to have, in seconds
	falls   uint32        // of the plan, at asOf
	follows bool          // it moves towards what it is told
}

// Seat returns the model of a listener that begins now with some sound in hand. One
// that follows knows the plan's depth and begins there, as far as it has the sound.
func Seat(now, inHand time.Duration, follows bool, p Plan) Model {
	m := Model{asOf: now, depth: float32(inHand.Seconds()), falls: p.Falls, follows: follows}
	if follows {
		m.told = float32(p.Depth.Seconds())
		m.depth = min(m.depth, m.told)
	}
	return m
}

// Told notes that the listener now knows the depth of the plan.
func (m *Model) Told(p Plan) { m.told = float32(p.Depth.Seconds()) }

// Skipped notes that the listener fell behind and goes on at the live edge: all that
// is known is that it has the newest step.
func (m *Model) Skipped(now time.Duration) {
	m.asOf, m.depth = now, float32(Step.Seconds())
}

// Lost notes that there is a hole in what the listener is sent: where it plays on
// behind it, it is so much less deep.
func (m *Model) Lost(hole time.Duration) {
	m.depth = max(0, m.depth-float32(hole.Seconds()))
}

// Depth returns how deep the listener is at least.
func (m *Model) Depth(now time.Duration, p Plan) time.Duration {
	m.move(now, p)
	return time.Duration(float64(m.depth) * float64(time.Second))
}

// Interval returns the time that may pass until its next delivery: at most the
// plan's, and never more than its depth bears.
func (m *Model) Interval(now time.Duration, p Plan) time.Duration {
	return min(IntervalAt(m.Depth(now, p)), max(Shortest, p.Interval))
}

// move brings the model to now. Since it is asked at deliveries only, it assumes the
// worst of what lies between: when the plan fell meanwhile, however briefly, that the
// listener has been rising all the time.
func (m *Model) move(now time.Duration, p Plan) {
	passed := float32(max(0, now-m.asOf).Seconds())
	m.asOf = max(now, m.asOf)
	switch {
	case !m.follows:
		m.depth -= drift * passed
	case m.falls != p.Falls:
		m.depth = min(m.depth-rising*passed, float32(p.Depth.Seconds()))
		m.falls = p.Falls
	case m.depth < m.told:
		m.depth = min(m.depth+deepening*passed, m.told)
	default:
		m.depth = m.told
	}
	m.depth = max(m.depth, 0)
}
