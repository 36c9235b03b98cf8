package stage

import (
	"math"
	"slices"
	"testing"
	"time"

	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Whoever begins to speak is moved from the programme's packets to a mix of their
// own, and back a second after the last word. The other's voice must not click then.
func TestAMixOfOnesOwnBeginsAndEndsWithoutAClick(t *testing.T) {
	for _, phase := range []space.Phase{space.Open, space.Live} {
		sp := liveSpace("seam")
		sp.Phase = phase
		w := programme.NewWriter(programme.WriterOptions{Space: sp.ID, Publish: func([]byte) error { return nil }})
		a, err := newAir(sp, programme.Resume{}, nil, w, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		k, err := newConsole(1)
		if err != nil {
			t.Fatal(err)
		}
		var heard tape
		ann := &tone{hertz: 1000}
		c := &cast{phase: phase, air: a, seats: []part{
			{id: "ann", slot: 0, in: ann, out: &heard},
			{id: "bob", slot: 1, in: &tone{hertz: 440, level: 0.14}},
		}}
		for tick := range 400 {
			ann.level = 0
			if tick >= 200 && tick < 250 {
				ann.level = 0.14
			}
			k.mix(c)
			packet, err := a.tick(k.sum, phase == space.Live)
			if err == nil {
				err = k.listen(c, packet)
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.full() {
				if err := a.write(space.Pulse{}, time.Now(), false); err != nil {
					t.Fatal(err)
				}
			}
		}
		pcm := heard.play(t)
		steady := roughness(pcm[100*960 : 190*960])
		if own := roughness(pcm[195*960 : 310*960]); own > 10*steady {
			t.Errorf("%s: a step of %.4f in a tone that has none above %.4f", phase, own, steady)
		}
		if p := power(pcm[205*960:300*960], 1000); p > 1e-3 {
			t.Errorf("%s: one hears %.4f of oneself", phase, p)
		}
	}
}

// tape is a monitor that keeps its packets.
type tape struct{ packets [][]byte }

func (m *tape) Send(packet []byte) { m.packets = append(m.packets, slices.Clone(packet)) }

func (m *tape) play(t *testing.T) (pcm []float32) {
	t.Helper()
	dec, err := opus.NewDecoder(1)
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]float32, opus.MaxSamples)
	for _, p := range m.packets {
		n, err := dec.Decode(p, frame)
		if err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, frame[:n]...)
	}
	return pcm
}

// roughness is the greatest bend in a sound, which a click makes great.
func roughness(pcm []float32) (most float64) {
	for i := 2; i < len(pcm); i++ {
		most = max(most, math.Abs(float64(pcm[i]-2*pcm[i-1]+pcm[i-2])))
	}
	return most
}
