package broadcast

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/delivery"
	"hustings/internal/elastic"
	"hustings/internal/programme"
)

// busyLoops tell whatever load a test wants, and deliver nothing.
type busyLoops struct {
	noDelivery
	load delivery.Load
}

func (b *busyLoops) Load() delivery.Load { return b.load }

// playback is a listener whose playback is followed: what it has been sent, and what
// it plays.
type playback struct {
	*listener
	turn time.Time
	goal time.Duration // the depth that it was told last
	lag  time.Duration // what it plays now was made so long ago
	has  int64         // the end of what it was sent, in samples
}

// play lets time pass and fails if the listener heard silence.
func (p *playback) play(t *testing.T, tick, made time.Duration) {
	t.Helper()
	if p.follows {
		most := time.Duration(0.03 * float64(tick))
		p.lag += max(-most, min(most, p.goal-p.lag))
	}
	if at := made - p.lag; at > time.Duration(p.has)*time.Second/programme.SampleRate {
		t.Fatalf("one (%v, follows: %v) ran dry: it plays %v, and has %v; its interval is %v, the plan %+v",
			p.own, p.follows, at, time.Duration(p.has)*time.Second/programme.SampleRate, p.interval, p.to.Pace())
	}
}

// serve gives the listener its turn if it is time.
func (p *playback) serve(now time.Time, pieces [][]byte) {
	if now.Before(p.turn) {
		return
	}
	pieces, turn := p.Next(now, false, pieces[:0])
	p.Begun(len(pieces))
	p.turn = turn.At
	p.has = p.feed.at(p.next - 1).block.End()
	if plan := p.to.Pace(); p.told == plan.Version {
		p.goal = plan.Depth
	}
}

// TestNobodyHearsAGapBecauseTheServerChangedItsPace: listeners of all kinds, while the
// load swings from nothing to far too much and back.
func TestNobodyHearsAGapBecauseTheServerChangedItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loops := &busyLoops{}
		b, err := New(Options{Bus: noBus{}, Delivery: loops})
		if err != nil {
			t.Fatal(err)
		}
		f := b.begin("s")
		began, seq := time.Now(), uint64(0)
		say := func() {
			block := benchBlock(seq)
			block.Space = "s"
			seq++
			b.take(f, block)
		}
		var all []*playback
		random := rand.New(rand.NewPCG(3, 4))
		join := func(n int) {
			for range n {
				as := form{MP4, programme.Rung(random.IntN(3))}
				follows := random.IntN(4) > 0
				if !follows && random.IntN(2) == 0 {
					as.Format = Ogg
				}
				p := &playback{listener: &listener{to: b, feed: f, own: as, follows: follows}, turn: time.Now()}
				p.serve(time.Now(), nil)
				if p.lag = p.goal; !follows {
					p.lag = time.Duration(p.offered.door.blocks)*blockTime + time.Since(began)%blockTime
				}
				all = append(all, p)
			}
		}
		for range 60 {
			say()
		}
		began = began.Add(-30 * time.Second)
		const tick = 50 * time.Millisecond
		pieces := make([][]byte, 0, 64)
		deepest := time.Duration(0)
		spell := 120 // seconds of the same load
		if testing.Short() {
			spell = 30
		}
		for i := range 20 * spell * 7 {
			time.Sleep(tick)
			now := time.Now()
			made := now.Sub(began)
			if made >= time.Duration(seq+1)*blockTime {
				say()
			}
			if i%20 == 0 {
				loops.load = delivery.Load{Busy: []float64{0.2, 0.95, 1, 0.1, 0.1, 0.8, 0.1}[i/20/spell], Listeners: len(all), Late: time.Duration(random.Int64N(int64(100 * time.Millisecond)))}
				b.conduct(now)
				deepest = max(deepest, b.Pace().Depth)
			}
			if i%(20*5) == 0 && len(all) < 300 {
				join(10)
			}
			for _, p := range all {
				p.play(t, tick, made)
				p.serve(now, pieces)
			}
		}
		if deepest < 8*time.Second || b.Pace().Depth > elastic.Deepest {
			t.Errorf("at most %v deep: the load made no difference", deepest)
		}
	})
}
