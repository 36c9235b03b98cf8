package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

const sampleRate = 48000

// tone writes a WAV file of ten seconds in which the frequency is heard for 0.7 s
// of each second: a steady tone is what noise suppression takes out.
func tone(t *testing.T, hz float64) string {
	t.Helper()
	pcm := make([]int16, 10*sampleRate)
	for i := range pcm {
		if at := i % sampleRate; at < sampleRate*7/10 {
			edge := min(1, float64(min(at, sampleRate*7/10-at))/480) // 10 ms, so that no click spreads over the spectrum
			pcm[i] = int16(8000 * edge * math.Sin(2*math.Pi*hz*float64(i)/sampleRate))
		}
	}
	var b bytes.Buffer
	size := uint32(2 * len(pcm))
	b.WriteString("RIFF")
	_ = binary.Write(&b, binary.LittleEndian, 36+size)
	b.WriteString("WAVEfmt ")
	_ = binary.Write(&b, binary.LittleEndian, uint32(16))
	for _, field := range []any{uint16(1), uint16(1), uint32(sampleRate), uint32(2 * sampleRate), uint16(2), uint16(16)} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.WriteString("data")
	_ = binary.Write(&b, binary.LittleEndian, size)
	_ = binary.Write(&b, binary.LittleEndian, pcm)
	file := filepath.Join(t.TempDir(), "tone.wav")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// decode has ffmpeg decode whatever source names for at most the given time, and
// fails the test if ffmpeg has anything to say about it. The result is mono.
func decode(t *testing.T, source string, most time.Duration) []float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), most+20*time.Second)
	defer cancel()
	args := []string{"-hide_banner", "-nostdin", "-v", "warning", "-i", source}
	if most > 0 {
		args = append(args, "-t", fmt.Sprintf("%.3f", most.Seconds()))
	}
	cmd := exec.CommandContext(ctx, "ffmpeg", append(args, "-f", "s16le", "-ac", "1", "-ar", "48000", "-")...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg -i %s: %v\n%s", source, err, said.String())
	}
	if said.Len() > 0 {
		t.Errorf("ffmpeg warns of %s:\n%s", source, said.String())
	}
	pcm := make([]float64, out.Len()/2)
	for i := range pcm {
		pcm[i] = float64(int16(binary.LittleEndian.Uint16(out.Bytes()[2*i:]))) / 32768
	}
	return pcm
}

// loudest returns the level of a frequency in dBFS in the window of 100 ms where
// it is loudest (Goertzel's algorithm with a Hann window).
func loudest(pcm []float64, hz float64) float64 {
	const window = sampleRate / 10
	best := 0.0
	for from := 0; from+window <= len(pcm); from += window / 2 {
		var s1, s2 float64
		k := 2 * math.Cos(2*math.Pi*hz/sampleRate)
		for i, x := range pcm[from : from+window] {
			x *= 0.5 - 0.5*math.Cos(2*math.Pi*float64(i)/window)
			s1, s2 = x+k*s1-s2, s1
		}
		power := s1*s1 + s2*s2 - k*s1*s2
		best = max(best, math.Sqrt(max(power, 0))/(window/4))
	}
	return 20 * math.Log10(best+1e-9)
}

func TestLoudest(t *testing.T) {
	pcm := make([]float64, sampleRate)
	for i := range pcm {
		pcm[i] = 0.1 * math.Sin(2*math.Pi*1000*float64(i)/sampleRate)
	}
	if got := loudest(pcm, 1000); math.Abs(got+20) > 0.5 {
		t.Errorf("a tone of -20 dBFS is measured as %.1f", got)
	}
	if got := loudest(pcm, 1700); got > -80 {
		t.Errorf("a tone that is not there is measured as %.1f", got)
	}
}
