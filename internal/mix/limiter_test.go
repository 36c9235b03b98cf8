package mix_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"hustings/internal/mix"
)

const ceiling = 0.8912509 // -1 dBFS

func TestLimiterNeverPassesItsCeiling(t *testing.T) {
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32, 1e-40}
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 2).Draw(t, "channels")
		l := mix.NewLimiter(channels)
		for range rapid.IntRange(1, 6).Draw(t, "frames") {
			frame := drawFrame(t, channels, "frame")
			gain := rapid.Float32Range(0, 10).Draw(t, "gain")
			for i := range frame {
				frame[i] *= gain
			}
			for range rapid.IntRange(0, 4).Draw(t, "odd ones") {
				frame[rapid.IntRange(0, len(frame)-1).Draw(t, "at")] = rapid.SampledFrom(odd).Draw(t, "value")
			}
			l.Process(frame)
			for i, v := range frame {
				if !(v <= ceiling && v >= -ceiling) {
					t.Fatalf("sample %d is %v", i, v)
				}
			}
		}
	})
}

// What needs no limiting comes out as it went in, 5 ms later, also after a peak.
func TestLimiterDelaysAndElseLeavesAlone(t *testing.T) {
	for _, channels := range []int{1, 2} {
		l := mix.NewLimiter(channels)
		var in, out []float32
		next := tone(333, -12)
		for n := range 200 {
			mono := next()
			frame := make([]float32, 0, channels*len(mono))
			for i, v := range mono {
				if n == 20 && i == 100 {
					v = 5
				}
				for range channels {
					frame = append(frame, v)
				}
			}
			in = append(in, frame...)
			l.Process(frame)
			out = append(out, frame...)
		}
		delay := mix.LimiterDelay * channels
		peakAt := (20*mix.FrameSamples + 100) * channels
		for i := delay; i < len(out); i++ {
			src := i - delay
			touched := src >= peakAt-delay && src < peakAt+2*mix.SampleRate*channels
			if !touched && math.Abs(float64(out[i]-in[src])) > 1e-6 {
				t.Fatalf("%d channels: sample %d is %g, went in as %g", channels, i, out[i], in[src])
			}
		}
		if got := out[peakAt+delay]; math.Abs(float64(got)-ceiling) > 0.01 {
			t.Errorf("the peak of 5 comes out as %g", got)
		}
	}
}

// A loud voice is turned down, not distorted: gain moves slowly next to its waves.
func TestLimiterDoesNotDistort(t *testing.T) {
	l := mix.NewLimiter(1)
	next := tone(200, 3) // peaks of +6 dBFS
	var out []float32
	for n := range 100 {
		frame := next()
		l.Process(frame)
		if n >= 50 {
			out = append(out, frame...)
		}
	}
	var re, im float64
	for i, v := range out {
		s, c := math.Sincos(2 * math.Pi * 200 * float64(i) / mix.SampleRate)
		re, im = re+float64(v)*c, im+float64(v)*s
	}
	n := float64(len(out))
	if pure := 2 * (re*re + im*im) / (n * n) / power(out); pure < 0.9995 {
		t.Errorf("only %.4f of the power is the tone", pure)
	}
}

func TestLimiterGoesOnFromAnother(t *testing.T) {
	a, b := mix.NewLimiter(1), mix.NewLimiter(1)
	next := tone(200, 3)
	for range 20 {
		a.Process(next())
	}
	b.CopyFrom(a)
	x := next()
	y := append([]float32(nil), x...)
	a.Process(x)
	b.Process(y)
	for i := range x {
		if x[i] != y[i] {
			t.Fatalf("sample %d: %g and %g", i, x[i], y[i])
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	for name, level := range map[string]float64{"at rest": -20, "at work": 6} {
		b.Run(name, func(b *testing.B) {
			l, frame, in := mix.NewLimiter(1), make([]float32, mix.FrameSamples), tone(200, level)()
			b.ReportAllocs()
			for b.Loop() {
				copy(frame, in)
				l.Process(frame)
			}
		})
	}
}

func BenchmarkStrip(b *testing.B) {
	s, frame, in := mix.NewStrip(1), make([]float32, mix.FrameSamples), newVoice(1, -20).frame()
	b.ReportAllocs()
	for b.Loop() {
		copy(frame, in)
		s.Process(frame)
	}
}
