package hold_test

import (
	"math"
	"testing"

	"hustings/internal/mix/hold"
)

func TestPCMIsSoftCleanAndSeamless(t *testing.T) {
	pcm := hold.PCM()
	if len(pcm) != 16*48000 {
		t.Fatalf("%d samples", len(pcm))
	}
	var sum, peak, mean float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
		mean += float64(v)
		peak = math.Max(peak, math.Abs(float64(v)))
	}
	n := float64(len(pcm))
	if rms := 10 * math.Log10(sum/n); rms < -27 || rms > -23 {
		t.Errorf("rms %.1f dBFS", rms)
	}
	if peak > 0.3 {
		t.Errorf("peak %.2f", peak)
	}
	if math.Abs(mean/n) > 1e-3 {
		t.Errorf("offset %.4f", mean/n)
	}
	noSeam(t, pcm)
}

// noSeam fails if the step from the last sample to the first is larger than any
// other, or if some second is silent.
func noSeam(t *testing.T, pcm []float32) {
	t.Helper()
	var most float64
	for i := 1; i < len(pcm); i++ {
		most = math.Max(most, math.Abs(float64(pcm[i]-pcm[i-1])))
	}
	seam := math.Abs(float64(pcm[0] - pcm[len(pcm)-1]))
	if seam > most {
		t.Errorf("the seam steps by %.4f, the piece by at most %.4f", seam, most)
	}
	for s := 0; s < len(pcm); s += 48000 {
		var sum float64
		for _, v := range pcm[s : s+48000] {
			sum += float64(v) * float64(v)
		}
		if db := 10 * math.Log10(sum/48000); db < -40 {
			t.Errorf("second %d is at %.1f dBFS", s/48000, db)
		}
	}
}

func BenchmarkPCM(b *testing.B) {
	for b.Loop() {
		hold.PCM()
	}
}
