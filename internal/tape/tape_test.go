package tape

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hustings/internal/ogg"
	"hustings/internal/opus"
)

// tone is n samples of a sine at -6 dBFS.
func tone(hz float64, rate, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = 0.5 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))
	}
	return s
}

// wav writes a WAV file whose channels all hold the samples.
func wav(format wavFormat, samples []float64) []byte {
	le := binary.LittleEndian
	var data []byte
	for _, s := range samples {
		for range format.channels {
			switch {
			case format.float && format.bits == 64:
				data = le.AppendUint64(data, math.Float64bits(s))
			case format.float:
				data = le.AppendUint32(data, math.Float32bits(float32(s)))
			case format.bits == 16:
				data = le.AppendUint16(data, uint16(int16(s*(1<<15))))
			case format.bits == 24:
				v := int32(s * (1 << 23))
				data = append(data, byte(v), byte(v>>8), byte(v>>16))
			default:
				data = le.AppendUint32(data, uint32(int32(s*(1<<31-1))))
			}
		}
	}
	tag := uint16(wavPCM)
	if format.float {
		tag = wavFloat
	}
	out := append([]byte("RIFF"), 0, 0, 0, 0)
	out = append(out, "WAVELIST"...)
	out = append(le.AppendUint32(out, 3), 1, 2, 3, 0) // an odd chunk, padded
	out = append(out, "fmt "...)
	out = le.AppendUint32(out, 16)
	out = le.AppendUint16(out, tag)
	out = le.AppendUint16(out, uint16(format.channels))
	out = le.AppendUint32(out, uint32(format.rate))
	out = le.AppendUint32(out, uint32(format.rate*format.frame()))
	out = le.AppendUint16(out, uint16(format.frame()))
	out = le.AppendUint16(out, uint16(format.bits))
	out = append(out, "data"...)
	out = le.AppendUint32(out, uint32(len(data)))
	return append(out, data...)
}

// decode returns all that a source says, as mono PCM.
func decode(t *testing.T, s Source) []float32 {
	t.Helper()
	d, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	var all []float32
	for {
		packet, samples, err := s.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]float32, samples)
		if _, err := d.Decode(packet, pcm); err != nil {
			t.Fatal(err)
		}
		all = append(all, pcm...)
	}
}

// power returns the power of one frequency in s, 0.5*amplitude^2 for a sine.
func power(s []float32, hz, rate float64) float64 {
	var re, im float64
	for i, v := range s {
		p := 2 * math.Pi * hz * float64(i) / rate
		re += float64(v) * math.Cos(p)
		im += float64(v) * math.Sin(p)
	}
	n := float64(len(s))
	return 2 * (re*re + im*im) / (n * n)
}

func TestEveryKindOfWAVIsSpokenAtItsOwnPitchAndLevel(t *testing.T) {
	for _, format := range []wavFormat{
		{bits: 16, channels: 1, rate: 48000},
		{bits: 16, channels: 2, rate: 44100},
		{bits: 24, channels: 2, rate: 96000},
		{bits: 32, channels: 1, rate: 8000},
		{bits: 32, channels: 1, rate: 22050, float: true},
		{bits: 64, channels: 6, rate: 11025, float: true},
	} {
		s, err := New(bytes.NewReader(wav(format, tone(1000, format.rate, format.rate))))
		if err != nil {
			t.Errorf("%+v: %v", format, err)
			continue
		}
		got := decode(t, s)
		if len(got) < 48000 || len(got) > 48000+2*frameSamples {
			t.Errorf("%+v: a second became %d samples", format, len(got))
		}
		middle := got[9600:38400] // a whole number of periods, past the codec's start
		if db := 10 * math.Log10(power(middle, 1000, 48000)/0.125); math.Abs(db) > 0.5 {
			t.Errorf("%+v: the tone comes out %.1f dB off", format, db)
		}
	}
}

func TestRawIsSpokenUntilItsEnd(t *testing.T) {
	var raw []byte
	for _, v := range tone(440, 48000, 4800+100) {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(int16(v*(1<<15))))
	}
	s, closer, err := Open("-", bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	if got := len(decode(t, s)); got != 6*frameSamples {
		t.Errorf("5 frames and a bit became %d samples, want 6 frames", got)
	}
}

func TestOggOpusIsPassedOnAsItIs(t *testing.T) {
	packets := [][]byte{opus.Silence(1), {0xFC, 1, 2, 3}, opus.Silence(2)}
	file := ogg.AppendHeaders(nil, 7, 1, 312, "test")
	file = ogg.AppendPage(file, ogg.Page{Flags: ogg.Last, Granule: 3 * frameSamples, Serial: 7, Sequence: 2, Packets: packets})
	s, err := New(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range packets {
		got, samples, err := s.Next()
		if err != nil || samples != frameSamples || !bytes.Equal(got, want) {
			t.Errorf("packet %d: %x of %d samples (%v), want %x", i, got, samples, err, want)
		}
	}
	if _, _, err := s.Next(); err != io.EOF {
		t.Errorf("after the last packet: %v", err)
	}
	repeated, err := NewLoop(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		got, _, err := repeated.Next()
		if err != nil || !bytes.Equal(got, packets[i%3]) {
			t.Errorf("round %d, packet %d: %x (%v)", i/3, i%3, got, err)
		}
	}
}

func TestWrongFilesAreRefusedWithWhatToDo(t *testing.T) {
	good := wav(wavFormat{bits: 16, channels: 1, rate: 48000}, tone(440, 48000, 10))
	with := func(offset int, value uint16) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint16(b[offset:], value)
		return b
	}
	const fmtBody = 12 + 12 + 8
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":          {nil, "empty"},
		"MP3":            {[]byte("ID3\x03rest"), "ffmpeg -i"},
		"A-law":          {with(fmtBody, 6), "not understood"},
		"8 bits":         {with(fmtBody+14, 8), "16, 24 or 32"},
		"no channel":     {with(fmtBody+2, 0), "0 channels"},
		"slow":           {with(fmtBody+4, 4000), "4000 samples"},
		"an odd rate":    {with(fmtBody+4, 44101), "no usual rate"},
		"no data":        {good[:fmtBody+16], "no samples"},
		"cut off":        {good[:fmtBody+3], "ends within"},
		"not really WAV": {[]byte("RIFF0000AVI 00000000"), "not a WAV"},
		"Ogg of nothing": {ogg.AppendPage(nil, ogg.Page{Flags: ogg.First, Packets: [][]byte{[]byte("\x01vorbis")}}), "no Opus"},
	} {
		_, err := New(bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want something about %q", name, err, c.want)
		}
	}
	missing := filepath.Join(t.TempDir(), "none.wav")
	if _, _, err := Open(missing, nil); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("a missing file: %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		next, ok := err.(interface{ Unwrap() error })
		if !ok || os.IsNotExist(err) {
			return err
		}
		err = next.Unwrap()
	}
}

func FuzzNew(f *testing.F) {
	f.Add(wav(wavFormat{bits: 24, channels: 2, rate: 44100}, tone(440, 44100, 900)))
	f.Add(wav(wavFormat{bits: 32, channels: 1, rate: 8000, float: true}, tone(440, 8000, 400)))
	f.Add(ogg.AppendHeaders(nil, 1, 1, 312, "x"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := New(bytes.NewReader(file))
		if err != nil {
			return
		}
		// However it lies about its length, a file gives out no more than it
		// holds: at worst 48 samples for each of its bytes (8 kHz, 16 bits: 3),
		// and one packet of 120 ms for every byte of Ogg.
		for n := 0; ; n++ {
			if n > len(file)+50 {
				t.Fatalf("%d bytes gave %d packets and no end", len(file), n)
			}
			packet, samples, err := s.Next()
			if err != nil {
				return
			}
			if len(packet) == 0 || samples <= 0 || samples > 5760 {
				t.Fatalf("a packet of %d bytes and %d samples", len(packet), samples)
			}
		}
	})
}

func TestResamplerKeepsWhatIsHeardAndNothingElse(t *testing.T) {
	run := func(hz float64, from int) []float32 {
		r := newResampler(from, 48000)
		var in, out []float32
		for i, v := range tone(hz, from, from) {
			in = append(in, float32(v))
			if len(in) == 441 || i == from-1 { // in uneven pieces
				out = r.process(out, in)
				in = in[:0]
			}
		}
		return r.flush(out)
	}
	for _, from := range []int{8000, 16000, 44100, 96000} {
		out := run(1000, from)
		if math.Abs(float64(len(out)-48000)) > 8 {
			t.Errorf("%d: a second became %d samples", from, len(out))
		}
		// The same tone at 48 kHz, sample by sample: the delay is none.
		want := tone(1000, 48000, 48000)
		var noise float64
		for i := 4800; i < 43200; i++ {
			d := float64(out[i]) - want[i]
			noise += d * d / 38400
		}
		if db := 10 * math.Log10(noise/0.125); db > -70 {
			t.Errorf("%d: noise and distortion at %.0f dB", from, db)
		}
	}
	// 30 kHz can't be said at 48 kHz: it must not come back as 18 kHz.
	if db := 10 * math.Log10(power(run(30000, 96000)[4800:43200], 18000, 48000)/0.125); db > -60 {
		t.Errorf("30 kHz at 96 kHz comes back as 18 kHz at %.0f dB", db)
	}
}
