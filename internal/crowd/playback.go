package crowd

import "time"

// playback is what a listener's page does with the sound, as far as it can be known
// from when it came: how much lies ahead of what is heard, how fast it is played,
// and when it runs dry. It does what ui/src/live does, without a clock of its own:
// what the page decides a few times a second is worked out when something comes.
// Times count from any fixed moment; lengths are of programme.
type playback struct {
	at      time.Duration // when ahead was so
	ahead   time.Duration // buffered and not heard
	low     time.Duration // what was left before the newest delivery
	even    time.Duration // until when the speed is not 1
	since   time.Duration // when it ran dry, or while nothing was heard yet, when the first sound came; 0: it did not
	calm    time.Duration // since when it has not run dry, or was forgiven for it
	ceiling time.Duration // a depth from which it may still be on its way back
	speed   int8          // -1: slower, 1: faster, until even
	extra   uint8         // stalls that are not forgiven: each keeps a little more
	state   playState
}

type playState uint8

const (
	silent  playState = iota // nothing was heard yet
	playing                  // sound comes out
	dried                    // it ran dry, and waits for enough to go on
	ending                   // no more will come: what is there is played to its end
)

// As in ui/src/live/pace.ts and sink.ts.
const (
	calmDepth = 1100 * time.Millisecond // the depth where none is told
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

// target is what is to be ahead right after a delivery, at a told depth.
func (p *playback) target(depth time.Duration) time.Duration {
	return depth + time.Duration(p.extra)*stallStep
}

// enough is what has to be ahead for the sound to go on.
func (p *playback) enough(depth time.Duration) time.Duration {
	return min(p.target(depth), p.target(calmDepth))
}

// add takes in sound that came, after advance to the same moment.
func (p *playback) add(now, length time.Duration) {
	if p.state == silent && p.ahead == 0 {
		p.since = now
	}
	p.ahead += length
}

// advance plays on until now. If the sound has run dry meanwhile, it says so.
func (p *playback) advance(now time.Duration) (ranDry bool) {
	passed := now - p.at
	if passed <= 0 {
		return false
	}
	nudged := min(passed, max(0, p.even-p.at))
	p.at = now
	p.ceiling -= passed * nudge / 200
	if p.state == playing || p.state == ending {
		p.ahead -= passed + nudged*time.Duration(p.speed)*nudge/100
	}
	if passed > burst {
		p.low = p.ahead
	}
	if p.ahead > 0 || p.state == silent || p.state == dried {
		return false
	}
	if p.state == ending {
		p.ahead = 0
		return false
	}
	p.since = max(now+p.ahead, 1) // the sound ended that long ago
	p.ahead, p.state, p.calm = 0, dried, now
	p.extra = min(p.extra+1, stallMost)
	return true
}

// settle decides how to go on after what came was taken in, at a told depth. begun
// says that the first sound comes out now, and dry how long there was none, if that
// is over now.
func (p *playback) settle(now, depth time.Duration) (begun bool, dry time.Duration) {
	depth = min(max(depth, shallow), deep)
	switch p.state {
	case playing:
		p.steer(now, depth)
	case silent:
		if p.ahead < p.enough(depth) || p.ahead < p.target(depth) && now-p.since < wait {
			break
		}
		p.ahead = min(p.ahead, p.target(depth))
		p.play(now)
		p.ceiling = p.target(depth)
		return true, 0
	case dried: // goes on with what was missed
		if p.ahead < p.enough(depth) {
			break
		}
		dry = max(now-p.since, 1)
		p.play(now)
	}
	return false, dry
}

func (p *playback) play(now time.Duration) {
	p.state, p.since, p.speed, p.calm, p.low = playing, 0, 0, now, p.ahead
}

// steer follows the depth, right after something came: what is ahead is most then.
func (p *playback) steer(now, depth time.Duration) {
	if p.extra > 0 && now-p.calm > forgive {
		p.extra--
		p.calm = now
	}
	spare := p.ahead - p.target(depth)
	p.ceiling = max(p.target(depth), p.ceiling)
	switch {
	case p.ahead > 2*p.ceiling+jump:
		p.ahead, p.speed, p.ceiling = p.target(depth), 0, p.target(depth)
	case spare < -under, p.speed < 0 && spare < -nearUnder:
		p.speed, p.even = -1, now+(-spare-nearUnder)*100/nudge
	case p.low < poor && spare < mostSpare:
		p.speed, p.even = -1, now+p.ahead // until the next delivery, at least
	case p.low > rich && (spare > over || p.speed > 0 && spare > nearOver):
		p.speed, p.even = 1, now+(spare-nearOver)*100/nudge
	default:
		p.speed = 0
	}
}

// end says that no more will come. It returns how long it was dry, if it was.
func (p *playback) end(now time.Duration) (dry time.Duration) {
	if p.state == dried {
		dry = now - p.since
	}
	p.state = ending
	return dry
}
