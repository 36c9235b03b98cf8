package mix_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"hustings/internal/mix"
)

func drawFrame(t *rapid.T, channels int, label string) []float32 {
	seed := rapid.SliceOfN(rapid.Float32Range(-2, 2), 8, 8).Draw(t, label)
	frame := make([]float32, mix.FrameSamples*channels)
	for i := range frame {
		frame[i] = seed[(i*7+i/13)%len(seed)] * float32(math.Sin(float64(i)))
	}
	return frame
}

func TestEveryoneHearsAllButOneself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 2).Draw(t, "channels")
		bus := mix.NewBus(channels)
		size := mix.FrameSamples * channels
		sum, rest := make([]float32, size), make([]float32, size)
		for range 2 { // the second tick knows nothing of the first
			bus.Begin()
			own := map[int][]float32{}
			for _, seat := range rapid.SliceOfNDistinct(rapid.IntRange(0, mix.MaxSeats-1), 0, mix.MaxSeats, rapid.ID[int]).Draw(t, "seats") {
				own[seat] = drawFrame(t, channels, "frame")
				bus.Add(seat, own[seat])
			}
			bus.Sum(sum)
			for seat := range mix.MaxSeats {
				bus.Minus(seat, rest)
				frame, in := own[seat]
				if in != bus.In(seat) {
					t.Fatalf("seat %d: in is %v", seat, bus.In(seat))
				}
				for i := range sum {
					want := sum[i]
					if in {
						want -= frame[i]
					}
					if math.Abs(float64(rest[i]-want)) > 1e-5 {
						t.Fatalf("seat %d hears %g, want %g", seat, rest[i], want)
					}
				}
			}
			if len(own) == 1 {
				for seat := range own {
					bus.Minus(seat, rest)
					if power(rest) != 0 {
						t.Fatal("who speaks alone hears something")
					}
				}
			}
		}
	})
}

func TestBusKeepsCopies(t *testing.T) {
	bus := mix.NewBus(1)
	frame := tone(100, -10)()
	bus.Begin()
	bus.Add(3, frame)
	bus.Add(3, frame)
	clear(frame)
	out := make([]float32, mix.FrameSamples)
	bus.Minus(3, out)
	if power(out) != 0 {
		t.Error("a seat that was added twice hears itself")
	}
	bus.Minus(4, out)
	if math.Abs(db(power(out))+4) > 0.1 {
		t.Errorf("others hear it at %.1f dBFS, want -4", db(power(out)))
	}
}

func TestLoopRunsOnAndFillsAllChannels(t *testing.T) {
	pcm := make([]float32, 1500)
	for i := range pcm {
		pcm[i] = float32(i)
	}
	for _, channels := range []int{1, 2} {
		l := mix.NewLoop(pcm, channels)
		frame := make([]float32, mix.FrameSamples*channels)
		for n := range 5 {
			l.Next(frame)
			for i, v := range frame {
				if want := pcm[(n*mix.FrameSamples+i/channels)%len(pcm)]; v != want {
					t.Fatalf("frame %d, sample %d: %g, want %g", n, i, v, want)
				}
			}
		}
	}
	frame := []float32{1, 2, 3}
	mix.NewLoop(nil, 1).Next(frame)
	if power(frame) != 0 {
		t.Error("a loop of nothing is not silent")
	}
}

func TestFaderCrossesOverWithoutAClick(t *testing.T) {
	f := mix.NewFader(1, false)
	stage, hold := tone(300, -20), tone(200, -26)
	out := make([]float32, mix.FrameSamples)
	var last float32
	step := func() {
		f.Mix(stage(), hold(), out)
		for i, v := range out {
			// A tone of 300 Hz at -20 dBFS moves by at most 0.0056 a sample.
			if math.Abs(float64(v-last)) > 0.01 && last != 0 {
				t.Fatalf("sample %d steps from %g to %g", i, last, v)
			}
			last = v
		}
	}
	for _, toStage := range []bool{true, false, true} {
		f.To(toStage)
		for n := 0; ; n++ {
			if resting, side := f.Resting(); resting {
				if side != toStage || n < 3 || n > 5 {
					t.Errorf("resting on stage=%v after %d frames", side, n)
				}
				break
			}
			step()
		}
	}
}

// What is said on stage while the audience hears hold audio goes nowhere.
func TestFaderAtRestPassesOneSideAlone(t *testing.T) {
	for _, onStage := range []bool{true, false} {
		f := mix.NewFader(2, onStage)
		stage, hold := make([]float32, 2*mix.FrameSamples), make([]float32, 2*mix.FrameSamples)
		for i := range stage {
			stage[i], hold[i] = 1, 0.25
		}
		out := make([]float32, len(stage))
		f.Mix(stage, hold, out)
		want := hold[0]
		if onStage {
			want = stage[0]
		}
		for _, v := range out {
			if v != want {
				t.Fatalf("on stage %v: %g", onStage, v)
			}
		}
	}
}
