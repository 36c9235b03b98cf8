package ear

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"

	"hustings/internal/mix"
	"hustings/internal/opus"
)

// mouth makes RTP packets of a tone, as a browser does.
type mouth struct {
	packets []*rtp.Packet
}

// speak encodes a tone that swells and fades three times a second, as syllables
// do, so that there is something to recover and somewhere to cut.
func speak(t testing.TB, seconds float64, o opus.EncoderOptions) *mouth {
	t.Helper()
	if o.Channels == 0 {
		o.Channels = 1
	}
	enc, err := opus.NewEncoder(o)
	if err != nil {
		t.Fatal(err)
	}
	m := &mouth{}
	frame := make([]float32, mix.FrameSamples*o.Channels)
	out := make([]byte, opus.MaxBytes)
	for n := range int(seconds * mix.FramesPerSec) {
		for i := range mix.FrameSamples {
			at := float64(n*mix.FrameSamples+i) / mix.SampleRate
			v := 0.3 * math.Sin(2*math.Pi*200*at) * math.Pow(math.Sin(math.Pi*3*at), 2)
			for c := range o.Channels {
				frame[i*o.Channels+c] = float32(v)
			}
		}
		size, err := enc.Encode(frame, out)
		if err != nil {
			t.Fatal(err)
		}
		m.packets = append(m.packets, &rtp.Packet{
			Header:  rtp.Header{SSRC: 7, SequenceNumber: uint16(65000 + n), Timestamp: uint32(1<<32 - 48000 + n*960)},
			Payload: append([]byte(nil), out[:size]...),
		})
	}
	return m
}

var started = time.Unix(1_700_000_000, 0)

// hear plays what deliver says of each packet to an ear: how often it comes and
// how much later than 20 ms times its number. It returns the sound.
func hear(t testing.TB, e *Ear, m *mouth, red bool, deliver func(i int) (times int, late time.Duration)) []float32 {
	t.Helper()
	type arrival struct {
		at time.Duration
		p  *rtp.Packet
	}
	var arrivals []arrival
	for i, p := range m.packets {
		times, late := deliver(i)
		for range times {
			arrivals = append(arrivals, arrival{time.Duration(i)*20*time.Millisecond + late, p})
		}
	}
	now := time.Duration(0)
	e.now = func() time.Time { return started.Add(now) }
	frame := make([]float32, mix.FrameSamples*e.channels)
	var out []float32
	for tick := range len(m.packets) + 5 {
		now = time.Duration(tick)*20*time.Millisecond + 5*time.Millisecond
		for i, a := range arrivals {
			if a.p != nil && a.at <= now {
				e.Push(a.p, red, started.Add(a.at))
				arrivals[i].p = nil
			}
		}
		e.Pull(frame)
		out = append(out, frame...)
	}
	return out
}

func inTime(int) (int, time.Duration) { return 1, 0 }

func newTestEar(t testing.TB, channels int) *Ear {
	t.Helper()
	e, err := New(channels)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// share returns how much of a sound's power is at a frequency, 0 to 1.
func share(pcm []float32, channels int, hz float64) float64 {
	var re, im, all float64
	n := len(pcm) / channels
	for i := range n {
		v := float64(pcm[i*channels])
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / mix.SampleRate)
		re, im, all = re+v*c, im+v*s, all+v*v
	}
	return 2 * (re*re + im*im) / (float64(n) * all)
}

func TestEarHearsWhateverChannelsAreSent(t *testing.T) {
	for _, channels := range []int{1, 2} {
		for _, sent := range []int{1, 2} {
			e := newTestEar(t, channels)
			out := hear(t, e, speak(t, 2, opus.EncoderOptions{Channels: sent, Bitrate: 48000}), false, inTime)
			if loud := meanSquare(out[len(out)/4 : len(out)*3/4]); loud < 0.01 || loud > 0.03 {
				t.Errorf("%d channels sent, %d heard: mean square %.4f", sent, channels, loud)
			}
			if s := e.Stats(); s.Received != 100 || s.Lost+s.Corrupt != 0 {
				t.Errorf("%d channels sent, %d heard: %+v", sent, channels, s)
			}
		}
	}
}

func TestEarBringsLostPacketsBackByFEC(t *testing.T) {
	m := speak(t, 4, opus.EncoderOptions{Bitrate: 24000, FEC: true, LossPercent: 20})
	e := newTestEar(t, 1)
	hear(t, e, m, false, func(i int) (int, time.Duration) {
		if i%6 == 4 {
			return 0, 0
		}
		return 1, 0
	})
	s := e.Stats()
	if s.Lost != 33 || s.FEC < 25 {
		t.Errorf("of %d lost packets %d came back by FEC: %+v", s.Lost, s.FEC, s)
	}
}

func TestEarBringsLostPacketsBackByRED(t *testing.T) {
	m := speak(t, 4, opus.EncoderOptions{Bitrate: 32000})
	plain := hear(t, newTestEar(t, 1), m, false, inTime)
	red := &mouth{}
	for i, p := range m.packets {
		blocks := []redBlock{{data: p.Payload}}
		if i > 0 {
			blocks = append([]redBlock{{offset: 960, data: m.packets[i-1].Payload}}, blocks...)
		}
		red.packets = append(red.packets, &rtp.Packet{Header: p.Header, Payload: makeRED(blocks...)})
	}
	e := newTestEar(t, 1)
	out := hear(t, e, red, true, func(i int) (int, time.Duration) {
		if i%4 == 2 {
			return 0, 0
		}
		return 1, 0
	})
	if s := e.Stats(); s.Lost != 0 || s.RED != 50 || s.Concealed > 5 {
		t.Errorf("%+v", s)
	}
	// Nothing is missing: it is the very sound of a line without loss.
	for i := range plain[:len(plain)-6*mix.FrameSamples] {
		if plain[i] != out[i] {
			t.Fatalf("sample %d is %g, without loss %g", i, out[i], plain[i])
		}
	}
}

func TestEarConcealsACorruptPacket(t *testing.T) {
	m := speak(t, 2, opus.EncoderOptions{Bitrate: 32000})
	m.packets[40].Payload = []byte{0x9b, 0}                                  // no frame
	m.packets[50].Payload = []byte{m.packets[50].Payload[0] | 3, 0xff, 0xff} // frames that are not there
	m.packets[60].Payload = nil                                              // padding alone
	e := newTestEar(t, 1)
	out := hear(t, e, m, false, inTime)
	if s := e.Stats(); s.Corrupt != 2 || s.Received < 97 {
		t.Errorf("%+v", s)
	}
	if loud := meanSquare(out[len(out)/4 : len(out)*3/4]); loud < 0.008 {
		t.Errorf("mean square %.4f", loud)
	}
}

func TestEarFadesToSilenceWhenTheSpeakerIsGone(t *testing.T) {
	m := speak(t, 1, opus.EncoderOptions{Bitrate: 32000})
	e := newTestEar(t, 1)
	hear(t, e, m, false, inTime)
	frame := make([]float32, mix.FrameSamples)
	now := started.Add(1200 * time.Millisecond)
	e.now = func() time.Time { return now }
	heard := 0
	for range 50 {
		if !e.Pull(frame) && meanSquare(frame) != 0 {
			t.Fatal("a frame of nothing is not silent")
		}
		if meanSquare(frame) > 0 {
			heard++
		}
		now = now.Add(20 * time.Millisecond)
	}
	if heard > 6 {
		t.Errorf("%d frames are heard after the end", heard)
	}
	if e.Pull(frame) {
		t.Error("a second after the end there is still something")
	}
}

// A voice that is cut and stretched to follow the network keeps its pitch.
func TestEarCatchesUpWithoutChangingThePitch(t *testing.T) {
	m := speak(t, 10, opus.EncoderOptions{Bitrate: 48000})
	e := newTestEar(t, 1)
	out := hear(t, e, m, false, func(i int) (int, time.Duration) {
		if i >= 100 && i < 115 { // all at once when the last one comes
			return 1, time.Duration(115-i) * 20 * time.Millisecond
		}
		return 1, 0
	})
	s := e.Stats()
	if s.Lost != 0 || s.Cut < 200*48 || s.Depth > 80*time.Millisecond {
		t.Errorf("%+v", s)
	}
	loud, pure := 0, 0
	for at := mix.SampleRate; at+2*mix.FrameSamples <= len(out); at += 2 * mix.FrameSamples {
		part := out[at : at+2*mix.FrameSamples]
		if meanSquare(part) > 0.01 {
			loud++
			if share(part, 1, 200) > 0.9 {
				pure++
			}
		}
	}
	if loud < 90 || pure < loud*95/100 {
		t.Errorf("%d of %d stretches of 40 ms are the tone", pure, loud)
	}
}

// A sender whose clock is slow leaves us short of sound: a little is put in, from
// time to time, and nothing is ever missing.
func TestEarWaitsForASlowClock(t *testing.T) {
	m := speak(t, 20, opus.EncoderOptions{Bitrate: 48000, Complexity: 1, Music: true})
	e := newTestEar(t, 1)
	hear(t, e, m, false, func(i int) (int, time.Duration) {
		return 1, time.Duration(i) * 80 * time.Microsecond // 0.4% slow
	})
	s := e.Stats()
	if s.Lost != 0 || s.Stretched < 20*48 || s.Concealed > 8 { // five of them after the end
		t.Errorf("%+v", s)
	}
}

// What is spoken is heard some 20 to 45 ms later on a clean network.
func TestEarIsNear(t *testing.T) {
	m := speak(t, 1, opus.EncoderOptions{Bitrate: 48000})
	out := hear(t, newTestEar(t, 1), m, false, inTime)
	dec, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]float32, opus.MaxSamples)
	var plain []float32
	for _, p := range m.packets {
		n, err := dec.Decode(p.Payload, pcm)
		if err != nil {
			t.Fatal(err)
		}
		plain = append(plain, pcm[:n]...)
	}
	onset := func(pcm []float32) int {
		for i, v := range pcm {
			if v > 0.05 {
				return i
			}
		}
		return len(pcm)
	}
	// The first tick is 5 ms after the first packet.
	late := time.Duration(onset(out)-onset(plain))*time.Second/mix.SampleRate + 5*time.Millisecond
	if late < 0 || late > 45*time.Millisecond {
		t.Errorf("heard after %v", late)
	}
}

func TestCutAndStretchLeaveASmoothSound(t *testing.T) {
	for _, channels := range []int{1, 2} {
		for _, lag := range []int{120, 200, 240, 300, 600} {
			const n = mix.FrameSamples
			room := make([]float32, (n+stretchMost)*channels)
			fill := func() []float32 {
				for i := range n * channels {
					room[i] = float32(math.Sin(2 * math.Pi * float64(i/channels) / float64(lag)))
				}
				return room[:n*channels]
			}
			found, fit := pitch(fill(), channels)
			if !fit || found%lag != 0 {
				t.Errorf("a period of %d is taken for %d (fit %v)", lag, found, fit)
			}
			for name, pcm := range map[string][]float32{
				"cut":     append([]float32(nil), cut(fill(), lag, channels)...),
				"stretch": append([]float32(nil), stretch(fill(), room, lag, channels)...),
			} {
				want := (n - lag) * channels
				if name == "stretch" {
					want = (n + lag) * channels
				}
				if len(pcm) != want {
					t.Errorf("%s by %d: %d samples, want %d", name, lag, len(pcm), want)
				}
				for i, v := range pcm { // a whole period more or less: the same wave
					if d := float64(v) - math.Sin(2*math.Pi*float64(i/channels)/float64(lag)); math.Abs(d) > 1e-3 {
						t.Fatalf("%s by %d: sample %d is off by %g", name, lag, i, d)
					}
				}
			}
		}
	}
}

func TestEarSurvivesABadNetwork(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for _, o := range []opus.EncoderOptions{{Bitrate: 24000, FEC: true, LossPercent: 20}, {Channels: 2, Bitrate: 64000, Music: true}} {
		e := newTestEar(t, 2)
		out := hear(t, e, speak(t, 4, o), false, func(int) (int, time.Duration) {
			times := 1
			switch p := dice.Float64(); {
			case p < 0.15:
				times = 0
			case p < 0.2:
				times = 2
			}
			return times, time.Duration(dice.Float64()*80) * time.Millisecond
		})
		for i, v := range out {
			if v != v || v > 1.5 || v < -1.5 {
				t.Fatalf("sample %d is %v", i, v)
			}
		}
		if s := e.Stats(); s.Lost > 50 || s.Lost < 10 {
			t.Errorf("%+v", s)
		}
		if loud := meanSquare(out[len(out)/4:]); loud < 0.006 {
			t.Errorf("mean square %.4f", loud)
		}
	}
}

func TestEarTakesPacketsOfAnyDuration(t *testing.T) {
	one := opus.Silence(1)
	for frames := 1; frames <= 6; frames++ { // code 3 packets of CELT frames of 20 ms
		e := newTestEar(t, 1)
		now := started
		e.now = func() time.Time { return now }
		payload := []byte{one[0] | 3, byte(frames)}
		for range frames {
			payload = append(payload, one[1:]...)
		}
		frame, got := make([]float32, mix.FrameSamples), 0
		for tick := range 120 {
			if tick%frames == 0 {
				e.Push(&rtp.Packet{
					Header:  rtp.Header{SSRC: 1, SequenceNumber: uint16(tick / frames), Timestamp: uint32(tick * 960)},
					Payload: payload,
				}, false, now)
			}
			now = now.Add(20 * time.Millisecond)
			if e.Pull(frame) {
				got++
			}
		}
		if s := e.Stats(); s.Lost != 0 || s.Concealed > 1 || got < 120-frames-2 {
			t.Errorf("packets of %d ms: %d frames of 120, %+v", frames*20, got, s)
		}
	}
}

// The track's goroutine, the loop and whoever wants figures meet in an ear.
func TestEarIsSharedByThree(t *testing.T) {
	m := speak(t, 2, opus.EncoderOptions{Bitrate: 32000, Complexity: 1})
	e := newTestEar(t, 1)
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		for i, p := range m.packets {
			e.Push(p, false, started.Add(time.Duration(i)*20*time.Millisecond))
		}
	}()
	go func() {
		for {
			select {
			case <-pushed:
				return
			default:
				e.Stats()
			}
		}
	}()
	e.now = func() time.Time { return started.Add(3 * time.Second) }
	frame := make([]float32, mix.FrameSamples)
	for done := false; !done; {
		select {
		case <-pushed:
			done = true
		default:
			e.Pull(frame)
		}
	}
	for range 200 {
		e.Pull(frame)
	}
	s := e.Stats()
	if s.Received == 0 || s.Received > 100 {
		t.Errorf("%+v", s)
	}
	if e.Pull(frame) {
		t.Error("after the last packet there is still something")
	}
}

func TestEarAllocatesNothingInSteadyState(t *testing.T) {
	m := speak(t, 4, opus.EncoderOptions{Bitrate: 32000})
	e := newTestEar(t, 1)
	now := started
	e.now = func() time.Time { return now }
	frame := make([]float32, mix.FrameSamples)
	i := 0
	step := func() {
		if i%5 != 3 {
			e.Push(m.packets[i], false, now)
		}
		e.Pull(frame)
		now = now.Add(20 * time.Millisecond)
		i++
	}
	for range 90 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func FuzzEar(f *testing.F) {
	f.Add([]byte{0xfc, 0xff, 0xfe}, false)
	f.Add(makeRED(redBlock{offset: 960, data: opus.Silence(1)}, redBlock{data: opus.Silence(1)}), true)
	f.Add([]byte{0x9b, 3, 1, 2, 3}, false)
	f.Fuzz(func(t *testing.T, payload []byte, red bool) {
		e := newTestEar(t, 1)
		now := started
		e.now = func() time.Time { return now }
		frame := make([]float32, mix.FrameSamples)
		for i := range 12 {
			p := &rtp.Packet{Header: rtp.Header{SSRC: 1, SequenceNumber: uint16(i * 2), Timestamp: uint32(i * 1920)}, Payload: payload}
			e.Push(p, red, now)
			for range 2 {
				now = now.Add(20 * time.Millisecond)
				e.Pull(frame)
			}
		}
		if len(e.queue) > cap(e.held) {
			t.Fatalf("%d samples queued", len(e.queue))
		}
	})
}
