package elastic_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/elastic"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newPolicy(t interface{ Fatal(...any) }, o elastic.Options) *elastic.Policy {
	p, err := elastic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIntervalsAndDepthsGoTogether(t *testing.T) {
	if got := elastic.IntervalAt(elastic.Calm); got != elastic.Shortest {
		t.Errorf("in calm there are %v between deliveries", got)
	}
	if got := elastic.IntervalAt(elastic.Deepest); got < 20*time.Second {
		t.Errorf("at the greatest depth the interval is %v, want 20 s or more", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.Int64Range(int64(elastic.Shortest), int64(time.Minute)).Draw(t, "interval"))
		depth := elastic.DepthFor(interval)
		if got := elastic.IntervalAt(depth); got < interval-time.Nanosecond {
			t.Fatalf("a depth of %v bears %v, but was asked for to bear %v", depth, got, interval)
		}
		if depth > elastic.Calm && elastic.IntervalAt(depth-elastic.Step) >= interval {
			t.Fatalf("%v would have been deep enough for %v, not %v", depth-elastic.Step, interval, depth)
		}
		if more := elastic.IntervalAt(depth + time.Millisecond); more < elastic.IntervalAt(depth) {
			t.Fatalf("more depth, shorter interval: %v at %v", more, depth)
		}
		// What the interval leaves covers a step and pages that rise at 1.03x.
		if left := depth - elastic.Step - interval*103/100; interval > elastic.Shortest && left < 400*time.Millisecond {
			t.Fatalf("only %v are left of %v after %v", left, depth, interval)
		}
	})
}

// TestAnIntervalIsNeverMoreThanTheDepthBears: whatever plans come, for those who follow
// them and for those who don't.
func TestAnIntervalIsNeverMoreThanTheDepthBears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := elastic.Plan{Depth: elastic.Calm, Interval: elastic.Shortest, Version: 1}
		now := time.Duration(0)
		follows := rapid.Bool().Draw(t, "follows")
		inHand := time.Duration(rapid.IntRange(1, 50).Draw(t, "steps")) * elastic.Step
		m := elastic.Seat(now, inHand, follows, plan)
		most := inHand
		for range rapid.IntRange(1, 60).Draw(t, "turns") {
			now += time.Duration(rapid.IntRange(0, 25_000).Draw(t, "ms")) * time.Millisecond
			if depth := time.Duration(rapid.IntRange(2, 48).Draw(t, "depth")) * elastic.Step; rapid.Bool().Draw(t, "changes") {
				if depth < plan.Depth {
					plan.Falls++
				}
				plan.Depth, plan.Interval, plan.Version = depth, elastic.IntervalAt(depth), plan.Version+1
			}
			interval := m.Interval(now, plan)
			depth := m.Depth(now, plan)
			if interval > elastic.IntervalAt(depth) || interval > max(plan.Interval, elastic.Shortest) || interval < elastic.Shortest {
				t.Fatalf("an interval of %v at a depth of %v, the plan's is %v", interval, depth, plan.Interval)
			}
			if follows && depth > plan.Depth+time.Millisecond && m.Depth(now, plan) > plan.Depth {
				t.Fatalf("a follower is believed to be %v deep, the plan says %v", depth, plan.Depth)
			}
			if !follows && depth > most {
				t.Fatalf("one who doesn't follow got from %v to %v", most, depth)
			}
			most = min(most, depth)
			m.Told(plan)
			if rapid.IntRange(0, 20).Draw(t, "skips") == 0 {
				m.Skipped(now)
				most = elastic.Step
			}
		}
	})
}

func TestOneWhoSkippedHasLittle(t *testing.T) {
	plan := elastic.Plan{Depth: 12 * time.Second, Interval: 10 * time.Second, Version: 1}
	m := elastic.Seat(0, 12*time.Second, true, plan)
	if got := m.Interval(0, plan); got != 10*time.Second {
		t.Errorf("the interval is %v, want 10 s", got)
	}
	m.Skipped(time.Second)
	if got := m.Interval(time.Second, plan); got != elastic.Shortest {
		t.Errorf("after a skip the interval is %v, want the shortest", got)
	}
	if got := m.Depth(101*time.Second, plan); got < 2900*time.Millisecond || got > 3100*time.Millisecond {
		t.Errorf("100 s after a skip it is %v deep, want 3 s", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	rung := 3
	for _, o := range []elastic.Options{
		{MaxDepth: time.Second}, {MaxEgress: -1}, {PinInterval: 100 * time.Millisecond}, {PinInterval: 24 * time.Second}, {PinRung: &rung},
	} {
		if _, err := elastic.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// looks lets a policy look at the same load for some seconds.
func looks(p *elastic.Policy, at *time.Time, seconds int, l elastic.Load) elastic.Plan {
	for range seconds {
		*at = at.Add(time.Second)
		p.Look(*at, l)
	}
	return p.Plan()
}

func TestUpFastAndDownSlow(t *testing.T) {
	p := newPolicy(t, elastic.Options{})
	at := noon
	if got := looks(p, &at, 60, elastic.Load{Busy: 0.5, Listeners: 100, Deliveries: 200}); got.Depth != elastic.Calm || got.Version != 1 {
		t.Errorf("half the time busy: %+v, want calm", got)
	}
	if got := looks(p, &at, 1, elastic.Load{Busy: 1, Listeners: 100, Deliveries: 200}); got.Version != 1 {
		t.Errorf("one bad second: %+v, want calm", got)
	}
	up := looks(p, &at, 1, elastic.Load{Busy: 1, Listeners: 100, Deliveries: 200})
	if up.Interval < time.Second || up.Depth > 5*time.Second || up.Why != "the loops are 100% busy" || up.Cause != elastic.Busy {
		t.Errorf("two bad seconds: %+v, want about 1.2 s between deliveries", up)
	}
	if got := looks(p, &at, 19, elastic.Load{Busy: 0.1, Listeners: 100, Deliveries: 100}); got != up {
		t.Errorf("after 19 s of calm: %+v, want %+v", got, up)
	}
	looks(p, &at, 2, elastic.Load{Busy: 0.1, Listeners: 100, Deliveries: 100})
	if got := p.Plan(); got.Depth != up.Depth-elastic.Step || got.Falls != 1 {
		t.Errorf("after 21 s of calm: %+v, want half a second less than %+v", got, up)
	}
	if got := looks(p, &at, 120, elastic.Load{Busy: 0.1, Listeners: 100, Deliveries: 200}); got.Depth != elastic.Calm || got.Interval != elastic.Shortest || got.Why != "calm" {
		t.Errorf("after two minutes: %+v, want calm", got)
	}
}

func TestLateDeliveriesAskForDepth(t *testing.T) {
	p := newPolicy(t, elastic.Options{})
	at := noon
	if got := looks(p, &at, 3, elastic.Load{Busy: 0.3, Late: time.Second, Listeners: 100, Deliveries: 200}); got.Depth != elastic.Calm {
		t.Errorf("one late delivery: %+v, want calm", got)
	}
	looks(p, &at, 1, elastic.Load{Busy: 0.3, Listeners: 100, Deliveries: 200})
	got := looks(p, &at, 4, elastic.Load{Busy: 0.3, Late: 400 * time.Millisecond, Listeners: 100, Deliveries: 200})
	if got.Depth <= elastic.Calm || got.Why != "deliveries are 400ms late" || got.Cause != elastic.Late {
		t.Errorf("%+v, want more depth", got)
	}
}

func TestRungsGoLastAndComeBackAfterLongCalm(t *testing.T) {
	p := newPolicy(t, elastic.Options{MaxDepth: 4 * time.Second})
	at := noon
	hot := elastic.Load{Busy: 1, Listeners: 1000, Deliveries: 400}
	if got := looks(p, &at, 5, hot); got.Depth != 4*time.Second || got.Rung != 0 {
		t.Errorf("%+v, want the greatest depth and the best rung", got)
	}
	if got := looks(p, &at, 10, hot); got.Rung != 1 {
		t.Errorf("after 10 s more: %+v, want the second rung", got)
	}
	if got := looks(p, &at, 60, hot); got.Rung != 2 {
		t.Errorf("a minute later: %+v, want the last rung", got)
	}
	calm := elastic.Load{Busy: 0.1, Listeners: 1000, Deliveries: 400}
	if got := looks(p, &at, 110, calm); got.Rung != 2 || got.Depth != 4*time.Second {
		t.Errorf("after 110 s of calm: %+v, want no change", got)
	}
	if got := looks(p, &at, 300, calm); got.Rung != 0 {
		t.Errorf("after minutes of calm: %+v, want the best rung", got)
	}
	if got := looks(p, &at, 300, calm); got.Depth != elastic.Calm {
		t.Errorf("and then: %+v, want calm", got)
	}
}

func TestTooMuchToSendIsNoMatterOfDepth(t *testing.T) {
	p := newPolicy(t, elastic.Options{MaxEgress: 1e6})
	at := noon
	got := looks(p, &at, 5, elastic.Load{Busy: 0.2, Listeners: 200, Deliveries: 400, Egress: 1.3e6})
	if got.Rung != 1 || got.Depth != elastic.Calm || got.Why != "1.3 MB are sent each second, of 1.0 at most" {
		t.Errorf("%+v, want the second rung in calm", got)
	}
	if got := looks(p, &at, 3600, elastic.Load{Busy: 0.1, Listeners: 200, Deliveries: 400, Egress: 0.65e6}); got.Rung != 1 {
		t.Errorf("%+v: the best rung would be too much again", got)
	}
	if got := looks(p, &at, 200, elastic.Load{Busy: 0.1, Listeners: 100, Deliveries: 200, Egress: 0.3e6}); got.Rung != 0 {
		t.Errorf("%+v: there is room for the best rung", got)
	}
}

func TestAnAnnouncedStartOpensDeep(t *testing.T) {
	p := newPolicy(t, elastic.Options{})
	at := noon
	got, changed := p.Open(at, 11800*time.Millisecond)
	if !changed || got.Depth != 12*time.Second || got.Interval < 9*time.Second {
		t.Errorf("%+v, want 12 s deep", got)
	}
	if _, changed := p.Open(at, 2*time.Second); changed {
		t.Error("opening less deep changed something")
	}
	if got, _ := p.Open(at, time.Hour); got.Depth != elastic.Deepest {
		t.Errorf("%+v, want the greatest depth", got)
	}
	if got := looks(p, &at, 20*60, elastic.Load{Busy: 0.1, Listeners: 10, Deliveries: 5}); got.Depth != elastic.Calm {
		t.Errorf("nobody came: %+v, want calm", got)
	}
}

func TestPinsHold(t *testing.T) {
	rung := 1
	p := newPolicy(t, elastic.Options{PinInterval: 4 * time.Second, PinRung: &rung})
	at := noon
	want := p.Plan()
	if want.Interval != 4*time.Second || want.Rung != 1 || elastic.IntervalAt(want.Depth) < 4*time.Second {
		t.Errorf("%+v, want what is pinned", want)
	}
	for _, busy := range []float64{1, 0} {
		if got := looks(p, &at, 600, elastic.Load{Busy: busy, Listeners: 10, Deliveries: 2, Egress: 1e9}); got != want {
			t.Errorf("busy %v: %+v, want %+v", busy, got, want)
		}
	}
	if got, changed := p.Open(at, 20*time.Second); changed {
		t.Errorf("opened to %+v in spite of the pin", got)
	}
}
