// Package hold makes the hold audio: what the audience hears between the doors'
// opening and the first word. It is sixteen seconds of soft chords with a few
// bells above them, calm enough to hear for half an hour, and it meets its own
// beginning without a seam: whatever rings past the end is folded onto the start.
//
// The piece is written down here as notes and played when PCM is called, which
// takes some tens of milliseconds: there is no recording, and so nothing to
// license, to decode or to lose quality. To change it, change the score; the
// tests hold its loudness, its length and the seam.
package hold

import "math"

const (
	sampleRate = 48000
	beat       = sampleRate // one second
	bar        = 4 * beat   // a chord lasts a bar
	bars       = 4
	length     = bars * bar      // of the whole piece
	reach      = 2*beat + beat/2 // how long a chord takes to fade into the next one
	chordLevel = 0.0267          // of a note; it brings the piece to -26 LUFS
	bellLevel  = 0.0147
	tableBits  = 11     // a wave table holds one period in 2048 samples
	detune     = 1.0009 // between the two oscillators of a note: they drift apart and meet
	concertA   = 440.0  // Hz, which is note 69
)

// chords are the four bars as MIDI notes: D major 9, B minor 7, G major 9, A 6 sus 4.
var chords = [bars][]int{
	{50, 57, 61, 64, 66},
	{47, 57, 62, 66, 69},
	{43, 57, 59, 62, 66},
	{45, 57, 62, 64, 66},
}

// bells are single notes above the chords: when, in beats, and which.
var bells = []struct {
	at   float64
	note int
}{
	{0.5, 78}, {2, 81}, {5, 78}, {6.5, 74}, {9, 76}, {10, 78}, {13, 73}, {14.5, 69},
}

// PCM plays the piece: mono samples at 48 kHz, ready for a mix.Loop. Each call
// makes its own copy.
func PCM() []float32 {
	out := make([]float32, length)
	pad := wave(1, 0.28, 0.12, 0.05)
	bell := wave(1, 0, 0.06, 0, 0.03)
	for i, notes := range chords {
		for _, note := range notes {
			chordNote(out, pad, i*bar, frequency(note))
		}
	}
	for _, b := range bells {
		bellNote(out, bell, int(b.at*beat), frequency(b.note))
	}
	return out
}

// chordNote swells for a beat and a half, stays, and fades into the next chord.
func chordNote(out, table []float32, at int, hz float64) {
	const swell = beat + beat/2
	rising, falling := oscillator{table: table}, oscillator{table: table}
	rising.tune(hz)
	falling.tune(hz * detune)
	// High notes are softer, as they are on any instrument that sounds calm.
	level := float32(chordLevel * math.Min(1, math.Sqrt(220/hz)))
	for i := range bar + reach {
		gain := level
		if i < swell {
			gain *= ease(float64(i) / swell)
		} else if i >= bar {
			gain *= ease(1 - float64(i-bar)/reach)
		}
		out[(at+i)%length] += gain * (rising.next() + falling.next())
	}
}

// bellNote is struck softly and rings for five beats.
func bellNote(out, table []float32, at int, hz float64) {
	const strike, ring = beat / 50, 5 * beat
	o := oscillator{table: table}
	o.tune(hz)
	decay := float32(math.Pow(0.001, 1.0/ring)) // 60 dB over the ring
	gain := float32(bellLevel)
	for i := range ring {
		level := gain
		if i < strike {
			level *= ease(float64(i) / strike)
		} else if left := ring - i; left < strike {
			level *= ease(float64(left) / strike)
		}
		out[(at+i)%length] += level * o.next()
		gain *= decay
	}
}

// ease goes from 0 to 1 as x does, with a soft start and a soft end.
func ease(x float64) float32 { return float32(x * x * (3 - 2*x)) }

func frequency(note int) float64 { return concertA * math.Pow(2, float64(note-69)/12) }

// wave returns one period of a sound with the given harmonics, and its first
// sample again at the end, so that interpolation needs no wrap.
func wave(harmonics ...float64) []float32 {
	const size = 1 << tableBits
	table := make([]float32, size+1)
	for i := range table {
		for h, level := range harmonics {
			table[i] += float32(level * math.Sin(2*math.Pi*float64((h+1)*i)/size))
		}
	}
	return table
}

// oscillator reads a wave table over and over. Its phase is a fraction of a
// period in 32 bits, which wraps by itself.
type oscillator struct {
	table       []float32
	phase, step uint32
}

func (o *oscillator) tune(hz float64) { o.step = uint32(hz / sampleRate * (1 << 32)) }

func (o *oscillator) next() float32 {
	const fraction = 32 - tableBits // bits below the table's index
	i := o.phase >> fraction
	t := float32(o.phase&(1<<fraction-1)) / (1 << fraction)
	o.phase += o.step
	return o.table[i] + t*(o.table[i+1]-o.table[i])
}
