package mix

import "math"

// Loop plays a piece of audio over and over: hold audio. The piece itself must
// meet its own beginning without a click. It is for one goroutine.
type Loop struct {
	pcm      []float32
	channels int
	at       int
}

// NewLoop returns a loop of mono samples at 48 kHz for frames of 1 or 2
// channels. It keeps pcm and never writes to it, so many loops may share it.
// Without samples it plays silence.
func NewLoop(pcm []float32, channels int) *Loop {
	return &Loop{pcm: pcm, channels: channels}
}

// Next fills the frame.
func (l *Loop) Next(frame []float32) {
	if len(l.pcm) == 0 {
		clear(frame)
		return
	}
	for i := 0; i+l.channels <= len(frame); i += l.channels {
		for c := range l.channels {
			frame[i+c] = l.pcm[l.at]
		}
		if l.at++; l.at == len(l.pcm) {
			l.at = 0
		}
	}
}

// fadeSamples is how long a crossfade lasts: 80 ms.
const fadeSamples = 4 * FrameSamples

// Fader chooses between hold audio and the stage, and crosses over in 80 ms when
// that changes, so that nothing clicks. While it rests on hold audio, nothing of
// the stage passes, and the other way round. It is for one goroutine.
type Fader struct {
	channels int
	toStage  bool
	at       int // 0: hold audio alone; fadeSamples: the stage alone
}

// NewFader returns a fader that rests on the stage or on hold audio.
func NewFader(channels int, stage bool) *Fader {
	f := &Fader{channels: channels, toStage: stage}
	if stage {
		f.at = fadeSamples
	}
	return f
}

// To starts to cross over to the stage, or back to hold audio.
func (f *Fader) To(stage bool) { f.toStage = stage }

// Resting reports whether no crossover is under way, and on which side.
func (f *Fader) Resting() (resting, stage bool) {
	return (f.at == 0 && !f.toStage) || (f.at == fadeSamples && f.toStage), f.toStage
}

// Mix writes one frame to out, which may be stage or hold itself. Powers add up
// to one, as is right for sounds that have nothing to do with each other.
func (f *Fader) Mix(stage, hold, out []float32) {
	if resting, onStage := f.Resting(); resting {
		if onStage {
			copy(out, stage)
		} else {
			copy(out, hold)
		}
		return
	}
	for i := 0; i+f.channels <= len(out); i += f.channels {
		s, h := math.Sincos(float64(f.at) / fadeSamples * math.Pi / 2)
		if f.at == 0 {
			s = 0
		} else if f.at == fadeSamples {
			h = 0
		}
		for c := i; c < i+f.channels; c++ {
			out[c] = float32(s)*stage[c] + float32(h)*hold[c]
		}
		f.move()
	}
}

func (f *Fader) move() {
	if f.toStage && f.at < fadeSamples {
		f.at++
	} else if !f.toStage && f.at > 0 {
		f.at--
	}
}
