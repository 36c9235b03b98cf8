package mix_test

import (
	"math"
	"testing"

	"hustings/internal/mix"
)

// settle runs seconds of a source through a strip and returns the mean level of
// those frames of the last five seconds in which there was sound.
func settle(s *mix.Strip, next func() []float32, seconds int) float64 {
	var sum float64
	n := 0
	for i := range seconds * mix.FramesPerSec {
		frame := next()
		sound := power(frame) > 1e-7
		s.Process(frame)
		if sound && i > (seconds-5)*mix.FramesPerSec {
			sum += power(frame)
			n++
		}
	}
	return db(sum / float64(n))
}

func TestQuietAndLoudVoicesEndUpAlike(t *testing.T) {
	quiet := settle(mix.NewStrip(1), newVoice(1, -40).frame, 20)
	loud := settle(mix.NewStrip(1), newVoice(2, -6).frame, 20)
	usual := settle(mix.NewStrip(1), newVoice(3, -22).frame, 20)
	t.Logf("-40 ends at %.1f, -22 at %.1f, -6 at %.1f dBFS", quiet, usual, loud)
	for _, level := range []float64{quiet, loud, usual} {
		if math.Abs(level-usual) > 4 || level < -26 || level > -16 {
			t.Errorf("a voice ends at %.1f dBFS, the usual one at %.1f", level, usual)
		}
	}
}

func TestAVoiceThatGetsQuieterIsFollowed(t *testing.T) {
	s := mix.NewStrip(1)
	v := newVoice(1, -12)
	settle(s, v.frame, 10)
	v.levelDB = -32
	if level := settle(s, v.frame, 25); level < -25 {
		t.Errorf("ends at %.1f dBFS", level)
	}
}

// What is no voice is left alone: neither silence nor a noisy room is pumped up.
func TestRoomNoiseIsNotRaised(t *testing.T) {
	for _, roomDB := range []float64{-90, -65, -52} {
		s := mix.NewStrip(1)
		v := newVoice(1, -200)
		v.roomDB = roomDB
		for range 20 * mix.FramesPerSec {
			s.Process(v.frame())
		}
		if s.GainDB() > 1 {
			t.Errorf("a room at %.0f dBFS: gain %.1f dB", roomDB, s.GainDB())
		}
		if s.Audible() {
			t.Errorf("a room at %.0f dBFS is taken for someone who speaks", roomDB)
		}
	}
}

func TestAKnockTakesGainAwayForAMomentOnly(t *testing.T) {
	s := mix.NewStrip(1)
	v := newVoice(1, -38)
	settle(s, v.frame, 12)
	before := s.GainDB()
	knock := v.frame()
	for i := range 200 {
		knock[300+i] = 0.9
	}
	s.Process(knock)
	if s.PeakDB() > 0 || s.GainDB() > before-10 {
		t.Errorf("gain went from %.1f to %.1f dB, peak %.1f dBFS", before, s.GainDB(), s.PeakDB())
	}
	for range 2 * mix.FramesPerSec {
		s.Process(v.frame())
	}
	if s.GainDB() < before-2 {
		t.Errorf("two seconds later gain is %.1f dB, before it was %.1f", s.GainDB(), before)
	}
}

func TestAudibleFromTheFirstFrameUntilASecondAfterTheLast(t *testing.T) {
	s := mix.NewStrip(1)
	silence := make([]float32, mix.FrameSamples)
	s.Process(silence)
	if s.Audible() {
		t.Fatal("silence is audible")
	}
	next := tone(300, -30)
	s.Process(next())
	if !s.Audible() {
		t.Fatal("the first frame of a sound is not")
	}
	n := 0
	for ; s.Audible() && n < 500; n++ {
		clear(silence)
		s.Process(silence)
	}
	if n < 45 || n > 55 {
		t.Errorf("silent after %d frames", n)
	}
}

// A steady tone, or music, is not mistaken for the noise of a room.
func TestASteadyToneStaysAudible(t *testing.T) {
	s := mix.NewStrip(1)
	next := tone(440, -30)
	for i := range 20 * mix.FramesPerSec {
		s.Process(next())
		if !s.Audible() {
			t.Fatalf("silent after %d frames", i)
		}
	}
}

func TestMeterReadsDecibelsOfFullScale(t *testing.T) {
	s := mix.NewStrip(1)
	if s.LevelDB() != -100 {
		t.Errorf("at rest it reads %.1f", s.LevelDB())
	}
	next := tone(1000, -20) // the level that gain aims at
	for range 100 {
		s.Process(next())
	}
	if l := s.LevelDB(); math.Abs(float64(l)+20) > 0.5 {
		t.Errorf("a tone of -20 dBFS reads %.1f", l)
	}
	if p := s.PeakDB(); math.Abs(float64(p)+17) > 0.5 {
		t.Errorf("its peak reads %.1f", p)
	}
	s.Reset()
	if s.LevelDB() != -100 || s.Audible() || s.GainDB() != 0 {
		t.Error("reset left something")
	}
}

func TestStripTakesWhatIsNoNumber(t *testing.T) {
	for _, channels := range []int{1, 2} {
		s := mix.NewStrip(channels)
		for range 10 {
			frame := make([]float32, mix.FrameSamples*channels)
			frame[0], frame[7], frame[9] = float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))
			s.Process(frame)
			for i, v := range frame {
				if v != v || math.IsInf(float64(v), 0) {
					t.Fatalf("sample %d is %v", i, v)
				}
			}
		}
		if g := s.GainDB(); g != g {
			t.Error("gain is not a number")
		}
	}
}

// Both channels of a stereo seat have the same gain.
func TestStereoKeepsItsPlace(t *testing.T) {
	s := mix.NewStrip(2)
	next := tone(500, -35)
	for range 10 * mix.FramesPerSec {
		mono := next()
		frame := make([]float32, 2*mix.FrameSamples)
		for i, v := range mono {
			frame[2*i], frame[2*i+1] = v, v/2
		}
		s.Process(frame)
		for i := 0; i < len(frame); i += 2 {
			if math.Abs(float64(frame[i]/2-frame[i+1])) > 1e-6 {
				t.Fatalf("left %g, right %g", frame[i], frame[i+1])
			}
		}
	}
}
