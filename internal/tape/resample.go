package tape

import "math"

// resampler changes the rate of a mono signal by the ratio up/down with a
// polyphase windowed sinc: for each output sample, one short filter out of a bank
// of `up`, picked by where it falls between the input's samples. Its stop band
// lies about 80 dB down (Kaiser window, beta 8), its delay is half a filter.
type resampler struct {
	up, down int
	taps     int       // of each phase's filter, in input samples
	bank     []float32 // up filters of taps coefficients
	history  []float32 // input not used up yet; the first taps-1 are the past
	phase    int       // of the next output sample, 0..up-1
}

// zeroCrossings of the sinc on each side: the width of the transition band.
const zeroCrossings = 16

// maxPhases bounds the bank of filters. Every rate in use needs fewer (11025 Hz the
// most: 640); a rate that shares no factor with 48 kHz would need 48,000.
const maxPhases = 1000

// canResample reports whether newResampler takes the rates.
func canResample(from, to int) bool { return to/gcd(from, to) <= maxPhases }

// newResampler makes one from rate to rate `to`; nil if they are the same.
func newResampler(from, to int) *resampler {
	if from == to {
		return nil
	}
	g := gcd(from, to)
	r := &resampler{up: to / g, down: from / g}
	// Going down, the cutoff moves to the output's half rate and the filter
	// gets longer in proportion. 0.94 leaves room for the transition band.
	cutoff := min(1, float64(to)/float64(from)) * 0.94
	half := int(math.Ceil(zeroCrossings / cutoff))
	r.taps = 2 * half
	r.bank = make([]float32, r.up*r.taps)
	for p := range r.up {
		var sum float64
		for k := range r.taps {
			// Distance from the output sample to input sample k of the window.
			x := float64(k-half+1) - float64(p)/float64(r.up)
			v := cutoff * sinc(cutoff*x) * kaiser(x/float64(half))
			r.bank[p*r.taps+k] = float32(v)
			sum += v
		}
		for k := range r.taps { // each phase passes a constant unchanged
			r.bank[p*r.taps+k] /= float32(sum)
		}
	}
	r.history = make([]float32, half-1, 4*r.taps) // so that sample 0 comes out at time 0
	return r
}

// process appends to dst what can be computed with the samples of in.
func (r *resampler) process(dst, in []float32) []float32 {
	if r == nil {
		return append(dst, in...)
	}
	r.history = append(r.history, in...)
	at := 0
	for at+r.taps <= len(r.history) {
		window := r.history[at : at+r.taps]
		filter := r.bank[r.phase*r.taps : (r.phase+1)*r.taps]
		var sum float32
		for k, v := range window {
			sum += v * filter[k]
		}
		dst = append(dst, sum)
		r.phase += r.down
		at += r.phase / r.up
		r.phase %= r.up
	}
	at = min(at, len(r.history))
	r.history = append(r.history[:0], r.history[at:]...)
	return dst
}

// flush appends what is left once the input has ended.
func (r *resampler) flush(dst []float32) []float32 {
	if r == nil {
		return dst
	}
	return r.process(dst, make([]float32, r.taps/2))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the Kaiser window with beta 8 over -1..1.
func kaiser(x float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	return bessel(8*math.Sqrt(1-x*x)) / bessel(8)
}

// bessel is the modified Bessel function of the first kind, order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-10*sum; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}
