package hearing

import "time"

// Playback is what a listener's page does with the sound, as far as it can be known
// from when it came: how much lies ahead of what is heard, how fast it is played,
// and when it runs dry. It does what ui/src/live does, without a clock of its own:
// what the page decides a few times a second is worked out when something comes.
// Times count from any fixed moment; lengths are of programme.
type Playback struct {
	at      time.Duration // when ahead was so
	Ahead   time.Duration // buffered and not heard
	low     time.Duration // what was left before the newest delivery
	even    time.Duration // until when the speed is not 1
	Since   time.Duration // when it ran dry, or while nothing was heard yet, when the first sound came; 0: it did not
	calm    time.Duration // since when it has not run dry, or was forgiven for it
	ceiling time.Duration // a depth from which it may still be on its way back
	speed   int8          // -1: slower, 1: faster, until even
	extra   uint8         // stalls that are not forgiven: each keeps a little more
	State   State
}

// State is where a playback stands.
type State uint8

const (
	Silent  State = iota // nothing was heard yet
	Playing              // sound comes out
	Dried                // it ran dry, and waits for enough to go on
	Ending               // no more will come: what is there is played to its end
)

// As in ui/src/live/pace.ts and sink.ts.
const (
	CalmDepth = 1100 * time.Millisecond // the depth where none is told
	shallow   = 600 * time.Millisecond  // the least depth that is believed
	deep      = time.Minute             // the most
	stallStep = 400 * time.Millisecond  // what a stall adds to what is kept
	stallMost = 5                       // stalls that add
	forgive   = time.Minute             // calm after which a stall is forgiven
	wait      = 700 * time.Millisecond  // that a start waits for the whole depth
	burst     = 100 * time.Millisecond  // deliveries so close together are one
	nudge     = 3                       // percent by which the speed differs from 1
	jump      = 10 * time.Second        // beyond twice the ceiling the way back is jumped

	under, nearUnder = 400 * time.Millisecond, 250 * time.Millisecond
	over, nearOver   = 300 * time.Millisecond, 100 * time.Millisecond
	poor, rich       = 200 * time.Millisecond, 700 * time.Millisecond
	mostSpare        = time.Second
)

// Target is what is to be ahead right after a delivery, at a told depth.
func (p *Playback) Target(depth time.Duration) time.Duration {
	return depth + time.Duration(p.extra)*stallStep
}

// enough is what has to be ahead for the sound to go on.
func (p *Playback) enough(depth time.Duration) time.Duration {
	return min(p.Target(depth), p.Target(CalmDepth))
}

// Add takes in sound that came, after advance to the same moment.
func (p *Playback) Add(now, length time.Duration) {
	if p.State == Silent && p.Ahead == 0 {
		p.Since = now
	}
	p.Ahead += length
}

// Advance plays on until now. If the sound has run dry meanwhile, it says so.
func (p *Playback) Advance(now time.Duration) (ranDry bool) {
	passed := now - p.at
	if passed <= 0 {
		return false
	}
	nudged := min(passed, max(0, p.even-p.at))
	p.at = now
	p.ceiling -= passed * nudge / 200
	if p.State == Playing || p.State == Ending {
		p.Ahead -= passed + nudged*time.Duration(p.speed)*nudge/100
	}
	if passed > burst {
		p.low = p.Ahead
	}
	if p.Ahead > 0 || p.State == Silent || p.State == Dried {
		return false
	}
	if p.State == Ending {
		p.Ahead = 0
		return false
	}
	p.Since = max(now+p.Ahead, 1) // the sound ended that long ago
	p.Ahead, p.State, p.calm = 0, Dried, now
	p.extra = min(p.extra+1, stallMost)
	return true
}

// Settle decides how to go on after what came was taken in, at a told depth. begun
// says that the first sound comes out now, and dry how long there was none, if that
// is over now.
func (p *Playback) Settle(now, depth time.Duration) (begun bool, dry time.Duration) {
	depth = min(max(depth, shallow), deep)
	switch p.State {
	case Playing:
		p.steer(now, depth)
	case Silent:
		if p.Ahead < p.enough(depth) || p.Ahead < p.Target(depth) && now-p.Since < wait {
			break
		}
		p.Ahead = min(p.Ahead, p.Target(depth))
		p.play(now)
		p.ceiling = p.Target(depth)
		return true, 0
	case Dried: // goes on with what was missed
		if p.Ahead < p.enough(depth) {
			break
		}
		dry = max(now-p.Since, 1)
		p.play(now)
	}
	return false, dry
}

func (p *Playback) play(now time.Duration) {
	p.State, p.Since, p.speed, p.calm, p.low = Playing, 0, 0, now, p.Ahead
}

// steer follows the depth, right after something came: what is ahead is most then.
func (p *Playback) steer(now, depth time.Duration) {
	if p.extra > 0 && now-p.calm > forgive {
		p.extra--
		p.calm = now
	}
	spare := p.Ahead - p.Target(depth)
	p.ceiling = max(p.Target(depth), p.ceiling)
	switch {
	case p.Ahead > 2*p.ceiling+jump:
		p.Ahead, p.speed, p.ceiling = p.Target(depth), 0, p.Target(depth)
	case spare < -under, p.speed < 0 && spare < -nearUnder:
		p.speed, p.even = -1, now+(-spare-nearUnder)*100/nudge
	case p.low < poor && spare < mostSpare:
		p.speed, p.even = -1, now+p.Ahead // until the next delivery, at least
	case p.low > rich && (spare > over || p.speed > 0 && spare > nearOver):
		p.speed, p.even = 1, now+(spare-nearOver)*100/nudge
	default:
		p.speed = 0
	}
}

// End says that no more will come. It returns how long it was dry, if it was.
func (p *Playback) End(now time.Duration) (dry time.Duration) {
	if p.State == Dried {
		dry = now - p.Since
	}
	p.State = Ending
	return dry
}
