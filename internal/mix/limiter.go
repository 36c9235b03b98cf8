package mix

import "math"

// The limiter's figures.
const (
	ceilingDB     = -1.0
	lookahead     = 240                // samples of delay: 5 ms
	window        = lookahead + 1      // samples over which gain falls
	releaseTime   = 0.080              // seconds to recover two thirds of the way
	inputMost     = 16                 // +24 dBFS: more than any sum of seats, less than any overflow
	ceiling       = float32(0.8912509) // ceilingDB as a factor
	releasePerSmp = 1 - 1/(releaseTime*SampleRate)
)

// Limiter keeps frames under a ceiling of -1 dBFS, whatever comes in, so that
// neither an encoder nor a loudspeaker clips. It looks 5 ms ahead: gain is down
// before a peak arrives, smoothly, and all channels share it, so that a voice
// stays in its place. Output is always 5 ms (LimiterDelay samples) late. It is
// for one goroutine.
//
// For each sample the gain that its peak needs is held over the window by a
// running minimum, let go slowly, and averaged over the window. Each of the
// averaged values has seen the sample that leaves the delay line, so none of
// them, and not their mean, is too high for it.
type Limiter struct {
	channels int
	delay    []float32 // lookahead frames of input, a ring at pos
	pos      int
	least    minimum
	env      float64         // released minimum
	envs     [window]float64 // the last values of env, a ring at envPos
	envPos   int
	sum      float64 // of envs
	quiet    int     // samples since gain was last below 1
}

// LimiterDelay is how late a Limiter's output is, in samples per channel.
const LimiterDelay = lookahead

// NewLimiter returns a limiter for frames of 1 or 2 channels.
func NewLimiter(channels int) *Limiter {
	l := &Limiter{channels: channels, delay: make([]float32, lookahead*channels), env: 1}
	l.rest()
	return l
}

// CopyFrom takes over the state of another limiter of as many channels, so that
// a mix that starts to differ from another one goes on from it without a gap.
func (l *Limiter) CopyFrom(other *Limiter) {
	delay := l.delay
	*l = *other
	l.delay = delay
	copy(l.delay, other.delay)
}

// Process limits a frame in place. Its length is any multiple of the channels.
func (l *Limiter) Process(frame []float32) {
	peak := sanitize(frame)
	if peak <= ceiling && l.quiet > 2*window {
		l.pass(frame)
		return
	}
	for i := 0; i+l.channels <= len(frame); i += l.channels {
		l.step(frame[i : i+l.channels])
	}
	if l.quiet > 2*window {
		l.rest()
	}
}

// pass only delays: no peak is in the frame or in the delay line.
func (l *Limiter) pass(frame []float32) {
	n := len(l.delay)
	for i, v := range frame {
		frame[i] = l.delay[l.pos]
		l.delay[l.pos] = v
		if l.pos++; l.pos == n {
			l.pos = 0
		}
	}
}

// rest sets the state that any long stretch without a peak ends in, free of
// what rounding left in the running sum.
func (l *Limiter) rest() {
	l.least = minimum{}
	l.env, l.sum, l.envPos = 1, window, 0
	for i := range l.envs {
		l.envs[i] = 1
	}
	l.quiet = 2*window + 1
}

// step limits one sample of each channel.
func (l *Limiter) step(s []float32) {
	gain := l.gain(s)
	for c, v := range s {
		out := l.delay[l.pos] * gain
		l.delay[l.pos] = v
		s[c] = min(max(out, -ceiling), ceiling) // rounding must not pass the ceiling either
		if l.pos++; l.pos == len(l.delay) {
			l.pos = 0
		}
	}
}

// gain returns the gain for the sample that leaves the delay line as s enters it.
func (l *Limiter) gain(s []float32) float32 {
	need := 1.0
	for _, v := range s {
		if a := float64(max(v, -v)); a*need > float64(ceiling) {
			need = float64(ceiling) / a
		}
	}
	held := l.least.push(need)
	if released := 1 - (1-l.env)*releasePerSmp; released < held {
		l.env = released
	} else {
		l.env = held
	}
	if l.env > 0.99999 {
		l.env = 1
	}
	l.sum += l.env - l.envs[l.envPos]
	l.envs[l.envPos] = l.env
	if l.envPos++; l.envPos == window {
		l.envPos = 0
	}
	if l.env < 1 {
		l.quiet = 0
	} else {
		l.quiet++
	}
	return float32(l.sum / window)
}

// sanitize replaces what is no number by silence, bounds the rest, and returns
// the peak.
func sanitize(frame []float32) float32 {
	var peak float32
	for i, v := range frame {
		a := max(v, -v) // NaN stays NaN
		if a <= peak {
			continue
		}
		if a != a {
			frame[i] = 0
			continue
		}
		if a > inputMost {
			a = inputMost
			frame[i] = float32(math.Copysign(inputMost, float64(v)))
		}
		peak = a
	}
	return peak
}

// minimum is the least of the last window values, in constant time on average:
// a queue of those that are still to become the least.
type minimum struct {
	value [window]float64
	at    [window]int
	head  int // index of the least
	n     int
	now   int
}

func (m *minimum) push(v float64) float64 {
	if m.n > 0 && m.at[m.head] <= m.now-window {
		m.head = (m.head + 1) % window
		m.n--
	}
	for m.n > 0 && m.value[(m.head+m.n-1)%window] >= v {
		m.n--
	}
	i := (m.head + m.n) % window
	m.value[i], m.at[i] = v, m.now
	m.n++
	m.now++
	return m.value[m.head]
}
