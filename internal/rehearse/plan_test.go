package rehearse

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawPlan(t *rapid.T) Plan {
	return Plan{
		Shape:     rapid.SampledFrom(shapes).Draw(t, "shape"),
		Listeners: rapid.IntRange(1, 3000).Draw(t, "listeners"),
		Arrive:    time.Duration(rapid.Int64Range(0, int64(longest)).Draw(t, "arrive")),
		Hold:      time.Duration(rapid.Int64Range(int64(time.Second), int64(longest)).Draw(t, "hold")),
	}
}

// In every shape all arrive, in order, within the time of arrival.
func TestAllArriveInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		before := time.Duration(0)
		for i := range p.Listeners {
			at := p.At(i)
			if at < before || at > p.Arrive {
				t.Fatalf("listener %d of %+v at %v, after one at %v", i, p, at, before)
			}
			before = at
		}
	})
}

// However many processes, they have each listener once, and each process the shape
// of the whole.
func TestPartsMakeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		of := rapid.IntRange(1, p.Listeners).Draw(t, "of")
		seen := make([]bool, p.Listeners)
		for index := range of {
			part := Part{Index: index, Of: of}
			if err := part.check(p); err != nil {
				t.Fatal(err)
			}
			if size := part.Size(p); size != p.Listeners/of && size != p.Listeners/of+1 {
				t.Fatalf("part %+v has %d of %d", part, size, p.Listeners)
			}
			for k := range part.Size(p) {
				i := part.Listener(k)
				if seen[i] {
					t.Fatalf("listener %d is in two parts", i)
				}
				seen[i] = true
			}
		}
		for i, ok := range seen {
			if !ok {
				t.Fatalf("listener %d is in no part", i)
			}
		}
	})
}

// by returns the share of a crowd that has come by then.
func by(p Plan, at time.Duration) float64 {
	n := 0
	for i := range p.Listeners {
		if p.At(i) <= at {
			n++
		}
	}
	return float64(n) / float64(p.Listeners)
}

func TestEvenIsEven(t *testing.T) {
	p := Plan{Shape: Even, Listeners: 1000, Arrive: time.Minute}
	for _, share := range []float64{0.1, 0.25, 0.5, 0.9} {
		if got := by(p, time.Duration(share*float64(p.Arrive))); math.Abs(got-share) > 0.002 {
			t.Errorf("%v have come after %v of the time", got, share)
		}
	}
}

func TestARushComesAtTheMinute(t *testing.T) {
	for _, arrive := range []time.Duration{time.Minute, 5 * time.Minute, time.Hour} {
		p := Plan{Shape: Rush, Listeners: 10000, Arrive: arrive}
		if got := by(p, p.Minute()); math.Abs(got-early) > 0.001 {
			t.Errorf("%v: %v came early", arrive, got)
		}
		if got := by(p, p.Minute()+30*time.Second); got < 0.875 {
			t.Errorf("%v: %v are there 30 s after the minute", arrive, got)
		}
		if got := by(p, p.Minute()+10*time.Second) - by(p, p.Minute()); got > 0.6 {
			t.Errorf("%v: %v came within 10 s, all at once", arrive, got)
		}
	}
}

func TestUpsetsAreInMidHold(t *testing.T) {
	for _, shape := range shapes {
		p := Plan{Shape: shape, Listeners: 1000, Arrive: time.Minute, Hold: time.Minute}
		at, ok := p.Upset()
		if ok != (shape == Storm || shape == Exit) || at != 90*time.Second {
			t.Errorf("%s: %v, %v", shape, at, ok)
		}
		leave := 0
		for i := range p.Listeners {
			if p.Leaves(i) {
				leave++
			}
		}
		if want := map[Shape]int{Exit: 900}[shape]; leave != want {
			t.Errorf("%s: %d leave; want %d", shape, leave, want)
		}
	}
}

func TestPlansAreChecked(t *testing.T) {
	good := Plan{Shape: Even, Listeners: 1, Hold: time.Second}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, p := range []Plan{
		{Listeners: 0, Hold: time.Second}, {Listeners: 1, Arrive: -1, Hold: time.Second}, {Listeners: 1}, {Listeners: 1, Hold: 5 * time.Hour},
	} {
		if err := p.check(); err == nil {
			t.Errorf("%+v was taken", p)
		}
	}
	if _, err := ParseShape("crowd"); err == nil {
		t.Error("a shape that there is none of")
	}
	for _, part := range []Part{{1, 1}, {-1, 2}, {0, 2}} {
		if err := part.check(good); err == nil {
			t.Errorf("%+v was taken", part)
		}
	}
	for _, c := range []struct{ listeners, asked, each, want int }{
		{15000, 0, 15000, 1}, {15001, 0, 15000, 2}, {100, 3, 15000, 3}, {30000, 1, 15000, -1}, {2, 3, 15000, -1}, {10, -1, 15000, -1}, {10, 0, 0, -1},
	} {
		got, err := workersFor(c.listeners, c.asked, c.each)
		if (err != nil) != (c.want < 0) || err == nil && got != c.want {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}
