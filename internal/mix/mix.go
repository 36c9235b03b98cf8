// Package mix turns the frames of those on stage into what is heard. It is
// pure: PCM in, PCM out, no clock and no goroutine; the caller's 20 ms loop is
// its only sense of time.
//
// A frame is 20 ms at 48 kHz: FrameSamples per channel, float32 from -1 to 1,
// interleaved when there are two channels. One tick of the loop goes
//
//	for each seat:  Strip.Process(frame); if Strip.Audible() { Bus.Add(seat, frame) }
//	programme:      Bus.Sum -> Fader (hold audio or stage) -> Limiter -> encoders
//	audible seats:  Bus.Minus(seat) -> Limiter -> encoder of their own
//	others:         share the mix of the whole stage
//
// Whether a seat is audible is decided by the very frame that is then mixed, so
// the first syllable of someone who begins to speak is never in the mix that
// this person hears.
package mix

import (
	"math"

	"hustings/internal/space"
)

// Sizes of a frame.
const (
	SampleRate   = 48000
	FrameSamples = 960 // per channel: 20 ms
	FramesPerSec = SampleRate / FrameSamples
)

// MaxSeats is how many seats a Bus has room for.
const MaxSeats = space.MaxSeats

// floorDB is what digital silence reads on a meter, instead of minus infinity.
const floorDB = -100

// decibels turns a mean square into dBFS (0 for a full-scale square wave).
func decibels(meanSquare float64) float64 {
	if meanSquare < 1e-10 {
		return floorDB
	}
	return 10 * math.Log10(meanSquare)
}

// gainOf turns decibels into a factor.
func gainOf(db float64) float64 { return math.Pow(10, db/20) }
