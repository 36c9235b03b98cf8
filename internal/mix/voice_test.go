package mix_test

import (
	"math"
	"math/rand/v2"

	"hustings/internal/mix"
)

// voice makes sound that has the shape of speech: noise of the voice's colour in
// syllables and words, with pauses, over a quiet room.
type voice struct {
	dice     *rand.Rand
	levelDB  float64 // mean level while speaking
	roomDB   float64
	at       int // samples so far
	colour   float64
	channels int
}

func newVoice(seed uint64, levelDB float64) *voice {
	return &voice{dice: rand.New(rand.NewPCG(seed, 1)), levelDB: levelDB, roomDB: -75, channels: 1}
}

// frame returns the next 20 ms.
func (v *voice) frame() []float32 {
	out := make([]float32, mix.FrameSamples*v.channels)
	level, room := math.Pow(10, v.levelDB/20), math.Pow(10, v.roomDB/20)
	for i := range mix.FrameSamples {
		t := float64(v.at) / mix.SampleRate
		v.at++
		s := room * v.dice.NormFloat64()
		if math.Mod(t, 2.5) < 1.8 { // words, then a pause
			v.colour += 0.2 * (v.dice.NormFloat64() - v.colour)
			// 3.7 evens out what the filter and the syllables take away.
			s += level * 3.7 * v.colour * math.Abs(math.Sin(math.Pi*4*t))
		}
		for c := range v.channels {
			out[i*v.channels+c] = float32(s)
		}
	}
	return out
}

// tone returns frames of a sine of a level, one after the other.
func tone(hz, levelDB float64) func() []float32 {
	at := 0
	peak := math.Sqrt2 * math.Pow(10, levelDB/20)
	return func() []float32 {
		out := make([]float32, mix.FrameSamples)
		for i := range out {
			out[i] = float32(peak * math.Sin(2*math.Pi*hz*float64(at)/mix.SampleRate))
			at++
		}
		return out
	}
}

func power(pcm []float32) float64 {
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return sum / float64(len(pcm))
}

func db(power float64) float64 { return 10 * math.Log10(power+1e-12) }
