package ear

import "math"

// Cutting and stretching sound by one period of the voice leaves its pitch as it
// is, and is hard to hear (overlap-add at the best match). All lengths are in
// samples per channel at 48 kHz.
const (
	stretchLeast = 120 // 2.5 ms: the shortest period, 400 Hz
	stretchMost  = 600 // 12.5 ms: the longest, 80 Hz
	overlap      = 240 // 5 ms of crossfade
	coarse       = 4   // step of the search
	goodMatch    = 0.8 // correlation from which a voiced sound may be cut
)

// pitch returns the lag at which a sound is most like itself, and whether it is
// so alike that a cut there is not heard. It compares one channel; the sound
// lasts 10 ms or more.
func pitch(pcm []float32, channels int) (lag int, fit bool) {
	most := longest(pcm, channels)
	best := 0.0
	lag = most
	for l := stretchLeast; l <= most; l += coarse {
		if c := likeness(pcm, l, channels); c > best {
			best, lag = c, l
		}
	}
	for l, end := max(lag-coarse, stretchLeast), min(lag+coarse, most); l <= end; l++ {
		if c := likeness(pcm, l, channels); c > best {
			best, lag = c, l
		}
	}
	return lag, best > goodMatch
}

// longest returns the longest lag that a sound has room for.
func longest(pcm []float32, channels int) int {
	return min(stretchMost, len(pcm)/channels-overlap)
}

// likeness is the normalised correlation of the first 5 ms with those lag later.
func likeness(pcm []float32, lag, channels int) float64 {
	var ab, aa, bb float64
	for i := 0; i < overlap; i += coarse {
		a, b := float64(pcm[i*channels]), float64(pcm[(i+lag)*channels])
		ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
	}
	if aa*bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// cut leaves out lag samples, in place, and returns what is left.
func cut(pcm []float32, lag, channels int) []float32 {
	skip, joint := lag*channels, overlap*channels
	blend(pcm, pcm, pcm[skip:], channels)
	n := copy(pcm[joint:], pcm[skip+joint:])
	return pcm[:joint+n]
}

// stretch puts in lag samples and returns the longer sound. pcm is at the start
// of room, which has space for it.
func stretch(pcm, room []float32, lag, channels int) []float32 {
	n, skip := len(pcm), lag*channels
	out := room[:n+skip]
	// The first lag samples stay; after them the sound starts over, out of a
	// crossfade with what would have followed them.
	copy(out[skip:], pcm)
	blend(out[skip:], out[2*skip:], out[skip:], channels)
	return out
}

// blend writes a crossfade from a to b to out, over the overlap. It goes upward,
// so a and b may lie in out, at its start or behind.
func blend(out, a, b []float32, channels int) {
	for i := range overlap {
		t := float32(i) / overlap
		for c := i * channels; c < (i+1)*channels; c++ {
			out[c] = a[c] + t*(b[c]-a[c])
		}
	}
}

// ramp fades the start of a sound in.
func ramp(pcm []float32, channels int) {
	n := len(pcm) / channels
	for i := range n {
		gain := float32(i) / float32(n)
		for c := i * channels; c < (i+1)*channels; c++ {
			pcm[c] *= gain
		}
	}
}

func meanSquare(pcm []float32) float64 {
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return sum / float64(len(pcm))
}
