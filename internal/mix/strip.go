package mix

import "math"

// The strip's figures. Levels are dBFS of the mean square of a frame.
const (
	targetDB   = -20 // where speech is brought to: peaks of a voice are 12 to 18 dB above
	gainMostDB = 18  // the most that gain raises or lowers
	upPerSec   = 3   // dB a second that gain may rise
	downPerSec = 9   // dB a second that gain falls
	clipPeak   = 0.98
	duckBack   = 12 // dB a second at which gain comes back after a peak

	gateLowDB   = -60 // nothing quieter is ever taken for sound
	gateHighDB  = -46 // nothing louder is ever taken for noise
	gateAboveDB = 8   // how much sound must stand out of the room's noise
	noiseMostDB = -48 // a room's noise is not raised above this by gain

	hangover  = FramesPerSec     // frames that a seat stays audible after its last sound: 1 s
	ramp      = 96               // samples of fade-in and fade-out when a seat comes and goes: 2 ms
	noiseSpan = 4 * FramesPerSec // frames over which the quietest one is looked for
	rumbleHz  = 100              // the ear hears, and the gate should hear, little below
	meterFall = 1.2              // dB that the meter falls per frame, at most
)

// Strip is what one seat's sound goes through before the mix: gain that brings
// quiet and loud voices together, a meter, and the decision whether there is
// anything to hear. It is for one goroutine.
//
// Gain follows the loudness of speech, not of pauses: only frames that stand out
// of the room's noise count, those far below the voice's own level hardly do, and
// in between gain stays where it is. It moves slowly, but for a frame that would
// clip: then it is down within that frame, and back soon after, so that a knock on
// the table does not take a quiet voice away.
type Strip struct {
	channels int

	high     [2]highpass // one a channel, of the side chain only
	noise    noiseFloor
	loudness float64 // estimated level of this voice in dBFS, before gain
	heard    int     // frames that loudness was made from
	gainDB   float64
	duckDB   float64 // taken from gain on top, for a peak
	applied  float64 // factor at the end of the last frame

	left    int // frames to go until silent
	levelDB float64
	peakDB  float64
}

// NewStrip returns a strip for frames of 1 or 2 channels.
func NewStrip(channels int) *Strip {
	s := &Strip{channels: channels}
	s.Reset()
	return s
}

// Reset forgets the voice: someone else takes the seat.
func (s *Strip) Reset() {
	*s = Strip{channels: s.channels, applied: 1, levelDB: floorDB, peakDB: floorDB}
	s.noise.reset()
}

// LevelDB returns the level after gain in dBFS, as a meter shows it: at once up,
// slowly down. It is -100 for silence.
func (s *Strip) LevelDB() float32 { return float32(s.levelDB) }

// PeakDB returns the highest sample of the last frame after gain, in dBFS.
func (s *Strip) PeakDB() float32 { return float32(s.peakDB) }

// GainDB returns the gain in use.
func (s *Strip) GainDB() float32 { return float32(s.gainDB - s.duckDB) }

// Audible reports whether the last frame is part of the mix: it has sound, or
// the last sound was less than a second ago.
func (s *Strip) Audible() bool { return s.left > 0 }

// Process takes one frame through the strip, in place.
func (s *Strip) Process(frame []float32) {
	peak := float64(sanitize(frame))
	level := s.sideChain(frame)
	sound := level > s.gate()
	s.noise.add(level)
	if sound {
		s.listen(level)
	}
	s.steer(sound, peak)
	s.meter(frame, s.apply(frame))
	s.decide(frame, sound)
}

// sideChain returns the frame's level without rumble.
func (s *Strip) sideChain(frame []float32) float64 {
	var sum float64
	for c := range s.channels {
		sum += s.high[c].power(frame[c:], s.channels)
	}
	return decibels(sum / float64(len(frame)))
}

// gate returns the level above which a frame counts as sound.
func (s *Strip) gate() float64 {
	return min(max(s.noise.level()+gateAboveDB, gateLowDB), gateHighDB)
}

// listen updates the loudness of this voice by a frame that has sound.
func (s *Strip) listen(level float64) {
	const (
		settled  = 2 * FramesPerSec // frames until the estimate is as slow as it gets
		relative = 12               // dB: quieter frames are the ends of words
		burst    = 10               // dB: louder frames count as this much louder, a knock is no voice
		sinking  = 2.0 / FramesPerSec
	)
	if s.heard > 0 && level < s.loudness-relative {
		s.loudness -= sinking // but if nothing louder comes, this is the voice now
		return
	}
	if s.heard > settled/4 {
		level = min(level, s.loudness+burst)
	}
	if s.heard < settled {
		s.heard++
	}
	// The mean of powers, not of decibels: that is what loudness goes by.
	mean := math.Pow(10, s.loudness/10)
	if s.heard == 1 {
		mean = 0
	}
	mean += (math.Pow(10, level/10) - mean) / float64(s.heard)
	s.loudness = decibels(mean)
}

// steer moves gain for this frame.
func (s *Strip) steer(sound bool, peak float64) {
	if sound {
		want := min(max(targetDB-s.loudness, -gainMostDB), gainMostDB)
		// Gain that a voice needs must not raise the room's noise into the mix.
		want = min(want, max(0, noiseMostDB-s.noise.level()))
		s.gainDB += min(max(want-s.gainDB, -downPerSec/float64(FramesPerSec)), upPerSec/float64(FramesPerSec))
	}
	s.duckDB = max(0, s.duckDB-duckBack/float64(FramesPerSec))
	if loud := peak * gainOf(s.gainDB-s.duckDB); loud > clipPeak {
		s.duckDB = min(s.duckDB+20*math.Log10(loud/clipPeak), s.gainDB+gainMostDB)
	}
}

// apply multiplies the frame by the gain, on a ramp from that of the frame
// before, and returns the mean square of the result. The ramp lasts a frame, but
// to get under a peak it is short.
func (s *Strip) apply(frame []float32) float64 {
	to, gain, over := gainOf(s.gainDB-s.duckDB), s.applied, FrameSamples
	if to < gain*0.95 {
		over = ramp
	}
	step := (to - gain) / float64(over)
	s.applied = to
	var sum float64
	for i := 0; i+s.channels <= len(frame); i += s.channels {
		if over > 0 {
			gain += step
			over--
		}
		for c := i; c < i+s.channels; c++ {
			frame[c] *= float32(gain)
			sum += float64(frame[c]) * float64(frame[c])
		}
	}
	return sum / float64(len(frame))
}

func (s *Strip) meter(frame []float32, meanSquare float64) {
	s.levelDB = max(decibels(meanSquare), s.levelDB-meterFall, floorDB)
	var peak float32
	for _, v := range frame {
		peak = max(peak, v, -v)
	}
	s.peakDB = decibels(float64(peak) * float64(peak))
}

// decide says whether this frame is heard, and fades it when the seat comes or goes.
func (s *Strip) decide(frame []float32, sound bool) {
	was := s.left > 0
	if sound {
		s.left = hangover + 1
	}
	if s.left > 0 {
		s.left--
	}
	switch {
	case !was && s.left > 0:
		s.fade(frame[:ramp*s.channels], 0, 1)
	case s.left == 1: // the last frame that is heard, unless sound comes
		s.fade(frame[len(frame)-ramp*s.channels:], 1, 0)
	}
}

func (s *Strip) fade(part []float32, from, to float32) {
	step := (to - from) / ramp
	for i := 0; i+s.channels <= len(part); i += s.channels {
		for c := i; c < i+s.channels; c++ {
			part[c] *= from
		}
		from += step
	}
}

// highpass is a first-order filter against rumble and a direct-current offset.
type highpass struct{ in, out float64 }

// power filters every stride-th sample and returns the sum of their squares.
func (h *highpass) power(samples []float32, stride int) float64 {
	const keep = 1 - 2*math.Pi*rumbleHz/SampleRate
	var sum float64
	for i := 0; i < len(samples); i += stride {
		v := float64(samples[i])
		h.out = keep * (h.out + v - h.in)
		h.in = v
		sum += h.out * h.out
	}
	return sum
}

// noiseFloor is the level of the room: the quietest frame of the last four to
// eight seconds, since nobody speaks that long without a pause.
type noiseFloor struct {
	before, now float64
	n           int
}

// reset starts with no idea: until there is a pause, what is heard may all be
// noise, and gain waits.
func (f *noiseFloor) reset() { *f = noiseFloor{before: 0} }

func (f *noiseFloor) add(level float64) {
	if f.n == 0 || level < f.now {
		f.now = level
	}
	if f.n++; f.n == noiseSpan {
		f.before, f.n = f.now, 0
	}
}

func (f *noiseFloor) level() float64 {
	if f.n == 0 {
		return f.before
	}
	return min(f.before, f.now)
}
