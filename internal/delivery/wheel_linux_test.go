package delivery

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drain takes out all who are due, and calls each with when they were.
func (w *wheel) drain(now time.Duration, each func(l *listener, due time.Duration)) {
	for {
		l, due := w.take(now)
		if l == nil {
			return
		}
		each(l, due)
	}
}

// Whatever is put, moved and removed: each comes up once, not before its time, and
// as soon after it as the grain allows.
func TestWheelKeepsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := wheel{grain: 1 << rapid.IntRange(0, 5).Draw(t, "grain")}
		want := map[*listener]time.Duration{}
		var all []*listener
		now := time.Duration(rapid.Int64Range(0, int64(100*time.Second)).Draw(t, "now"))
		w.drain(now, nil)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1: // a new one
				l := &listener{slot: -1}
				all = append(all, l)
				at := now + time.Duration(rapid.Int64Range(-int64(time.Second), int64(25*time.Second)).Draw(t, "in"))
				w.put(l, at, now)
				want[l] = max(at, now)
			case 2: // one is moved
				l := all[rapid.IntRange(0, max(0, len(all)-1)).Draw(t, "who"):]
				if len(l) > 0 {
					want[l[0]] = now + time.Duration(rapid.Int64Range(0, int64(25*time.Second)).Draw(t, "in"))
					w.put(l[0], want[l[0]], now)
				}
			case 3: // or removed
				l := all[rapid.IntRange(0, max(0, len(all)-1)).Draw(t, "who"):]
				if len(l) > 0 {
					w.remove(l[0])
					delete(want, l[0])
				}
			case 4: // time passes
				now += time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "later"))
				w.drain(now, func(l *listener, due time.Duration) {
					at, ok := want[l]
					delete(want, l)
					if !ok {
						t.Fatal("one came up whom nobody put")
					}
					if due < at || due > at+(coarsest+1)*slotTime || due > now {
						t.Fatalf("due at %v, put for %v", due, at)
					}
				})
				for _, at := range want {
					if at+(coarsest+1)*slotTime < now {
						t.Fatalf("it is %v, and one put for %v did not come up", now, at)
					}
				}
			}
			if at, ok := w.next(); ok != (len(want) > 0) || ok && at < now-slotTime {
				t.Fatalf("next is %v, %v with %d there at %v", at, ok, len(want), now)
			}
		}
	})
}

// Turns that are spread evenly stay so, at whatever grain.
func TestWheelSpreads(t *testing.T) {
	const listeners, every = 10_000, 4 * time.Second
	for grain := int64(1); grain <= coarsest; grain *= 4 {
		w := wheel{grain: grain}
		plan := map[*listener]time.Duration{}
		for range listeners {
			l := &listener{slot: -1}
			plan[l] = rand.N(every)
			w.put(l, plan[l], 0)
		}
		var turns int
		most := 0
		const step = coarsest * slotTime
		for now := time.Duration(0); now < 5*every; now += step {
			n := 0
			w.drain(now, func(l *listener, due time.Duration) {
				n++
				plan[l] += every
				w.put(l, plan[l], now)
			})
			if now > every { // the first turns come in closer steps
				most = max(most, n)
			}
			turns += n
		}
		if even := listeners * int(step) / int(every); most > even*3/2 {
			t.Errorf("grain %d: up to %d turns in %v, %d would be even", grain, most, step, even)
		}
		if want := 5 * listeners; turns < want*9/10 || turns > want*11/10 {
			t.Errorf("grain %d: %d turns, want about %d", grain, turns, want)
		}
	}
}

// A listener who is always due is not given two turns in a row.
func TestWheelAlwaysDue(t *testing.T) {
	w := wheel{grain: 1}
	a, b := &listener{slot: -1}, &listener{slot: -1}
	now := time.Second
	w.put(a, 0, now)
	w.put(b, now, now)
	for range 3 {
		got := map[*listener]int{}
		w.drain(now, func(l *listener, _ time.Duration) {
			if got[l]++; got[l] > 1 {
				t.Fatal("twice in one slot")
			}
			w.put(l, 0, now)
		})
		now += slotTime
	}
}

func TestWheelAdapts(t *testing.T) {
	w := wheel{grain: 1}
	for range 20 {
		w.adapt(spell / 10)
	}
	if w.grain != coarsest {
		t.Errorf("with little to do the grain is %d", w.grain)
	}
	if got := w.slotOf(time.Second, 20*time.Millisecond); got != int64(time.Second/slotTime) {
		t.Errorf("what is near is put off to slot %d", got)
	}
	if got := w.slotOf(10*time.Second+1, 10*time.Second); got%coarsest != 0 || time.Duration(got)*slotTime < 10*time.Second {
		t.Errorf("what is far is in slot %d", got)
	}
	for range 20 {
		w.adapt(10 * spell)
	}
	if w.grain != 1 {
		t.Errorf("with much to do the grain is %d", w.grain)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	now := time.Duration(0)
	work := func(share float64, late time.Duration, lasts time.Duration) {
		for end := now + lasts; now < end; {
			m.wake(now)
			m.turn(late)
			now += time.Duration(share * float64(10*time.Millisecond))
			m.work(now)
			now += time.Duration((1 - share) * float64(10*time.Millisecond))
		}
	}
	work(0.3, 7*time.Millisecond, 3*time.Second)
	if busy, late := m.read(); busy < 0.28 || busy > 0.32 || late != 7*time.Millisecond {
		t.Errorf("busy %v, late %v", busy, late)
	}
	if _, wake := m.until(); !wake {
		t.Error("the window must move on")
	}
	work(1, 20*time.Millisecond, 100*time.Millisecond)
	if _, late := m.read(); late != 20*time.Millisecond {
		t.Errorf("late %v: it is not seen at once", late)
	}
	work(0, 0, 3*time.Second)
	if busy, late := m.read(); busy != 0 || late != 0 {
		t.Errorf("when nothing is done: busy %v, late %v", busy, late)
	}
	if _, wake := m.until(); wake {
		t.Error("an idle loop wakes up for its window")
	}
}
