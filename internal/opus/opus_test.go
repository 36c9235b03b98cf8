package opus_test

import (
	"errors"
	"math"
	"testing"

	"hustings/internal/opus"
)

// chirp fills n samples with a sweep, which correlates with itself at one lag only.
func chirp(n int) []float32 {
	pcm := make([]float32, n)
	for i := range pcm {
		t := float64(i) / opus.SampleRate
		pcm[i] = float32(0.4 * math.Sin(2*math.Pi*(300*t+900*t*t)))
	}
	return pcm
}

func encodeAll(t testing.TB, o opus.EncoderOptions, pcm []float32) [][]byte {
	t.Helper()
	enc, err := opus.NewEncoder(o)
	if err != nil {
		t.Fatal(err)
	}
	size := opus.FrameSamples * max(o.Channels, 1)
	var packets [][]byte
	for ; len(pcm) >= size; pcm = pcm[size:] {
		out := make([]byte, opus.MaxBytes)
		n, err := enc.Encode(pcm[:size], out)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, out[:n])
	}
	return packets
}

func decodeAll(t testing.TB, channels int, packets [][]byte) []float32 {
	t.Helper()
	dec, err := opus.NewDecoder(channels)
	if err != nil {
		t.Fatal(err)
	}
	var out []float32
	pcm := make([]float32, opus.MaxSamples*channels)
	for _, p := range packets {
		n, err := dec.Decode(p, pcm)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pcm[:n*channels]...)
	}
	return out
}

// bestLag returns how many samples b comes after a, by correlation.
func bestLag(a, b []float32, most int) int {
	best, at := math.Inf(-1), 0
	for lag := range most {
		var sum float64
		for i := 0; i+lag < len(b) && i < len(a); i++ {
			sum += float64(a[i]) * float64(b[i+lag])
		}
		if sum > best {
			best, at = sum, lag
		}
	}
	return at
}

func rms(pcm []float32) float64 {
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

func TestPreSkipIsTheDelayOfOurEncoders(t *testing.T) {
	in := chirp(20 * opus.FrameSamples)
	for name, o := range map[string]opus.EncoderOptions{
		"48 kb/s":  {Bitrate: 48000, Music: true},
		"24 kb/s":  {Bitrate: 24000},
		"16 kb/s":  {Bitrate: 16000},
		"with FEC": {Bitrate: 32000, FEC: true, LossPercent: 5},
	} {
		out := decodeAll(t, 1, encodeAll(t, o, in))
		lag := bestLag(in, out, 800)
		// SILK shifts the phase by a few samples beyond the codec's own figure.
		if lag < opus.PreSkip-6 || lag > opus.PreSkip+6 {
			t.Errorf("%s: a sample comes out %d samples later, want %d", name, lag, opus.PreSkip)
		}
	}
}

func TestStereoAndMonoMeet(t *testing.T) {
	mono := chirp(10 * opus.FrameSamples)
	stereo := make([]float32, 2*len(mono))
	for i, v := range mono {
		stereo[2*i], stereo[2*i+1] = v, v
	}
	want := rms(mono)
	for name, got := range map[string][]float32{
		"stereo heard in mono": decodeAll(t, 1, encodeAll(t, opus.EncoderOptions{Channels: 2, Bitrate: 96000}, stereo)),
		"mono heard in stereo": decodeAll(t, 2, encodeAll(t, opus.EncoderOptions{Bitrate: 48000}, mono)),
	} {
		if r := rms(got) / want; r < 0.8 || r > 1.2 {
			t.Errorf("%s: %.2f times as loud", name, r)
		}
	}
}

func TestFECBringsBackALostPacket(t *testing.T) {
	in := chirp(50 * opus.FrameSamples)
	packets := encodeAll(t, opus.EncoderOptions{Bitrate: 24000, FEC: true, LossPercent: 20}, in)
	dec, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	whole := decodeAll(t, 1, packets)
	pcm := make([]float32, opus.FrameSamples)
	const lost = 30
	for _, p := range packets[:lost] {
		if _, err := dec.Decode(p, pcm); err != nil {
			t.Fatal(err)
		}
	}
	if err := dec.DecodeFEC(packets[lost+1], pcm); err != nil {
		t.Fatal(err)
	}
	want := whole[lost*opus.FrameSamples : (lost+1)*opus.FrameSamples]
	diff := make([]float32, len(want))
	for i := range diff {
		diff[i] = pcm[i] - want[i]
	}
	if rms(diff) > rms(want)/2 {
		t.Errorf("what FEC brought back is off by %.3f of %.3f", rms(diff), rms(want))
	}
	if err := dec.Conceal(pcm); err != nil {
		t.Errorf("conceal: %v", err)
	}
}

func TestHasFECTellsPacketsWithACopyFromOthers(t *testing.T) {
	in := chirp(50 * opus.FrameSamples)
	count := func(o opus.EncoderOptions) (n int) {
		for _, p := range encodeAll(t, o, in) {
			if opus.HasFEC(p) {
				n++
			}
		}
		return n
	}
	if n := count(opus.EncoderOptions{Bitrate: 24000, FEC: true, LossPercent: 20}); n < 40 {
		t.Errorf("with FEC %d of 50 packets have a copy", n)
	}
	if n := count(opus.EncoderOptions{Bitrate: 24000}); n != 0 {
		t.Errorf("without FEC %d of 50 packets have a copy", n)
	}
	if n := count(opus.EncoderOptions{Bitrate: 96000, Music: true}); n != 0 {
		t.Errorf("of music %d of 50 packets have a copy", n)
	}
}

func TestSilenceIsSilence(t *testing.T) {
	for channels := 1; channels <= 2; channels++ {
		p := opus.Silence(channels)
		if d, err := opus.Duration(p); d != opus.FrameSamples || err != nil {
			t.Errorf("%d channels: duration %d, %v", channels, d, err)
		}
		if opus.Channels(p) != channels {
			t.Errorf("%d channels: packet says %d", channels, opus.Channels(p))
		}
		out := decodeAll(t, channels, [][]byte{p, p, p})
		if len(out) != 3*opus.FrameSamples*channels || rms(out) > 1e-5 {
			t.Errorf("%d channels: %d samples of rms %g", channels, len(out), rms(out))
		}
	}
}

func TestWrongSizesAreRefused(t *testing.T) {
	enc, err := opus.NewEncoder(opus.EncoderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dec, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := enc.Encode(make([]float32, 959), make([]byte, 100)); !errors.Is(err, opus.ErrBuffer) {
		t.Errorf("a frame of 959: %v", err)
	}
	// Room beyond the length is not the decoder's to write to.
	room := make([]float32, 100, 960)
	if _, err := dec.Decode(opus.Silence(1), room); !errors.Is(err, opus.ErrBuffer) {
		t.Errorf("a buffer of 100: %v", err)
	}
	if _, err := dec.Decode(nil, make([]float32, 960)); !errors.Is(err, opus.ErrPacket) {
		t.Errorf("an empty packet: %v", err)
	}
	if _, err := opus.NewEncoder(opus.EncoderOptions{Channels: 3}); err == nil {
		t.Error("an encoder of three channels was made")
	}
}

func TestDurationOfEachFrameSize(t *testing.T) {
	for _, c := range []struct {
		packet []byte
		want   int // 0: malformed
	}{
		{[]byte{0x00, 1}, 480}, {[]byte{0x08, 1}, 960}, {[]byte{0x10, 1}, 1920}, {[]byte{0x18, 1}, 2880},
		{[]byte{0x60, 1}, 480}, {[]byte{0x68, 1}, 960},
		{[]byte{0x80, 1}, 120}, {[]byte{0x88, 1}, 240}, {[]byte{0x90, 1}, 480}, {[]byte{0x98, 1}, 960},
		{[]byte{0x99, 1, 1}, 1920}, {[]byte{0x9b, 3}, 2880}, {[]byte{0x9b, 6}, 5760},
		{nil, 0}, {[]byte{0x9b}, 0}, {[]byte{0x9b, 0}, 0}, {[]byte{0x9b, 7}, 0},
	} {
		got, err := opus.Duration(c.packet)
		if got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("Duration(%x) = %d, %v, want %d", c.packet, got, err, c.want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	f.Add(opus.Silence(1))
	f.Add(opus.Silence(2))
	f.Add([]byte{0x9b, 3, 0, 0, 0})
	f.Add([]byte{0x18})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, packet []byte) {
		want, err := opus.Duration(packet)
		opus.HasFEC(packet)
		if err == nil && (want <= 0 || want > opus.MaxSamples) {
			t.Fatalf("Duration(%x) = %d", packet, want)
		}
		// What the codec makes of the same bytes is as long as Duration said.
		dec, newErr := opus.NewDecoder(2)
		if newErr != nil {
			t.Fatal(newErr)
		}
		got, decErr := dec.Decode(packet, make([]float32, 2*opus.MaxSamples))
		if decErr == nil && (err != nil || got != want) {
			t.Fatalf("Decode(%x) gave %d samples, Duration %d, %v", packet, got, want, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for name, o := range map[string]opus.EncoderOptions{
		"48k": {Bitrate: 48000, Music: true}, "24k": {Bitrate: 24000}, "16k": {Bitrate: 16000},
		"96k stereo": {Channels: 2, Bitrate: 96000, Music: true}, "32k FEC": {Bitrate: 32000, FEC: true, LossPercent: 5},
	} {
		b.Run(name, func(b *testing.B) {
			enc, err := opus.NewEncoder(o)
			if err != nil {
				b.Fatal(err)
			}
			size := opus.FrameSamples * max(o.Channels, 1)
			pcm, out := chirp(50*size), make([]byte, opus.MaxBytes)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				at := i % 50 * size
				if _, err := enc.Encode(pcm[at:at+size], out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	packets := encodeAll(b, opus.EncoderOptions{Bitrate: 32000, FEC: true, LossPercent: 5}, chirp(50*opus.FrameSamples))
	dec, err := opus.NewDecoder(1)
	if err != nil {
		b.Fatal(err)
	}
	pcm := make([]float32, opus.MaxSamples)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := dec.Decode(packets[i%len(packets)], pcm); err != nil {
			b.Fatal(err)
		}
	}
}
