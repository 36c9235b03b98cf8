package ear

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"golang.org/x/sys/unix"

	"hustings/internal/mix"
	"hustings/internal/opus"
	"hustings/internal/programme"
)

// chain is the whole way of the sound on a stage without the network: ears,
// strips, the bus, the programme's three rungs, and a mix of their own for all.
type chain struct {
	now    time.Time
	mouths []*mouth
	ears   []*Ear
	strips []*mix.Strip
	bus    *mix.Bus
	own    []*opus.Encoder
	limits []*mix.Limiter // of the own mixes; the last one is the programme's
	rungs  []*opus.Encoder
	frame  []float32
	packet []byte
	tick   int
}

func newChain(b *testing.B, seats int) *chain {
	b.Helper()
	d := &chain{now: started, bus: mix.NewBus(1), frame: make([]float32, mix.FrameSamples), packet: make([]byte, opus.MaxBytes)}
	encoder := func(o opus.EncoderOptions) *opus.Encoder {
		enc, err := opus.NewEncoder(o)
		if err != nil {
			b.Fatal(err)
		}
		return enc
	}
	for range seats {
		d.mouths = append(d.mouths, babble(b, 5))
		e := newTestEar(b, 1)
		e.now = func() time.Time { return d.now }
		d.ears = append(d.ears, e)
		d.strips = append(d.strips, mix.NewStrip(1))
		d.own = append(d.own, encoder(opus.EncoderOptions{Bitrate: 48000}))
		d.limits = append(d.limits, mix.NewLimiter(1))
	}
	d.limits = append(d.limits, mix.NewLimiter(1))
	for r := programme.Rung48; r < programme.Rungs; r++ {
		d.rungs = append(d.rungs, encoder(opus.EncoderOptions{Bitrate: r.Bitrate(false), Complexity: opus.BestComplexity}))
	}
	return d
}

// babble is like speak, with harmonics and breath: as costly to code as speech is.
func babble(b *testing.B, seconds int) *mouth {
	b.Helper()
	enc, err := opus.NewEncoder(opus.EncoderOptions{Bitrate: 32000, FEC: true, LossPercent: 5})
	if err != nil {
		b.Fatal(err)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	m := &mouth{}
	frame, out := make([]float32, mix.FrameSamples), make([]byte, opus.MaxBytes)
	for n := range seconds * mix.FramesPerSec {
		for i := range frame {
			at := float64(n*mix.FrameSamples+i) / mix.SampleRate
			hz := 150 + 20*math.Sin(2*math.Pi*at)
			v := 0.01 * dice.NormFloat64()
			for h := 1.0; h <= 12; h++ {
				v += 0.1 / h * math.Sin(2*math.Pi*hz*h*at)
			}
			frame[i] = float32(v * math.Pow(math.Sin(math.Pi*3*at), 2))
		}
		size, err := enc.Encode(frame, out)
		if err != nil {
			b.Fatal(err)
		}
		m.packets = append(m.packets, &rtp.Packet{Header: rtp.Header{SSRC: 7}, Payload: append([]byte(nil), out[:size]...)})
	}
	return m
}

// step is one tick of 20 ms.
func (d *chain) step(b *testing.B) {
	d.bus.Begin()
	for i, e := range d.ears {
		p := *d.mouths[i].packets[d.tick%len(d.mouths[i].packets)]
		p.SequenceNumber, p.Timestamp = uint16(d.tick), uint32(d.tick*960)
		e.Push(&p, false, d.now)
		e.Pull(d.frame)
		d.strips[i].Process(d.frame)
		if d.strips[i].Audible() {
			d.bus.Add(i, d.frame)
		}
	}
	d.bus.Sum(d.frame)
	d.limits[len(d.own)].Process(d.frame)
	for _, enc := range d.rungs {
		d.encode(b, enc)
	}
	for i, enc := range d.own {
		if !d.bus.In(i) {
			continue
		}
		d.bus.Minus(i, d.frame)
		d.limits[i].Process(d.frame)
		d.encode(b, enc)
	}
	d.tick++
	d.now = d.now.Add(20 * time.Millisecond)
}

func (d *chain) encode(b *testing.B, enc *opus.Encoder) {
	if _, err := enc.Encode(d.frame, d.packet); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStage is the cost of a stage on which all speak at once and each
// hears a mix of one's own. "core" is the share of a core that it takes, by the
// process's own time, which other programs on the machine do not change much.
func BenchmarkStage(b *testing.B) {
	for _, seats := range []int{2, 5, 13} {
		b.Run(fmt.Sprintf("%d", seats), func(b *testing.B) {
			d := newChain(b, seats)
			for range 300 {
				d.step(b)
			}
			b.ReportAllocs()
			n, before := 0, processTime(b)
			for b.Loop() {
				d.step(b)
				n++
			}
			perTick := float64(processTime(b)-before) / float64(n)
			b.ReportMetric(perTick/float64(20*time.Millisecond), "core")
		})
	}
}

// processTime is how long this process has had a processor.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
