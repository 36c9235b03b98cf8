package rehearse

import (
	"strings"
	"testing"
	"time"

	"hustings/internal/hearing"
	"hustings/internal/space"
)

func TestCountsOfProcessesAddUp(t *testing.T) {
	a := hearing.Figures{Arrived: 50, EverHeard: 50, Hearing: 40, Gaps: hearing.Gaps{Count: 3, Listeners: 2, Longest: 1}, Bytes: 10}
	b := hearing.Figures{Arrived: 50, EverHeard: 49, NeverHeard: 1, Hearing: 49, Dries: hearing.Gaps{Count: 1, Listeners: 1, Longest: 2}, Bytes: 20}
	team := &team{parts: []part{&fakePart{figures: a}, &fakePart{figures: b}}, sizes: []int{50, 50}, plan: testPlan}
	c := team.count()
	if c.Asked != 100 || c.Arrived != 100 || c.EverHeard != 99 || c.Hearing != 89 || c.Whole != 96 || c.Bytes != 30 || c.Dead != 0 || c.Gaps.Longest != 1 {
		t.Errorf("%+v", c)
	}
}

// courseOf makes a course of hearing and gaps, second by second, to which asked were
// to come.
func courseOf(asked int64, seconds ...[2]int64) *course {
	c := &course{}
	for i, s := range seconds {
		f := hearing.Figures{Asked: asked, Arrived: s[0], Hearing: s[0], EverHeard: s[0], Dries: hearing.Gaps{Count: s[1], Listeners: s[1]}}
		c.add(Sample{At: time.Duration(i) * time.Second, count: count{Figures: f, Whole: whole(f)}, Served: &space.Served{Hearing: int(s[0]), Rung: 48}})
	}
	return c
}

func TestCapacityEndsWithTheFirstFault(t *testing.T) {
	for name, c := range map[string]struct {
		course *course
		want   int64
	}{
		"no fault":          {courseOf(100, [2]int64{50, 0}, [2]int64{100, 0}, [2]int64{0, 0}), 100},
		"while they come":   {courseOf(200, [2]int64{10, 0}, [2]int64{80, 0}, [2]int64{70, 0}, [2]int64{100, 1}, [2]int64{200, 90}), 80},
		"all, and then all": {courseOf(100, [2]int64{60, 0}, [2]int64{100, 0}, [2]int64{100, 100}), 0},
		"all, and one":      {courseOf(100, [2]int64{60, 0}, [2]int64{100, 0}, [2]int64{100, 1}), 99},
		"from the start":    {courseOf(100, [2]int64{60, 1}, [2]int64{100, 1}), 0},
		"nothing":           {&course{}, 0},
	} {
		if got := c.course.together(); got != c.want {
			t.Errorf("%s: %d; want %d", name, got, c.want)
		}
	}
	if c := courseOf(10, [2]int64{10, 0}, [2]int64{5, 0}); c.most.hearing != 10 || c.served.Hearing != 10 || c.served.Rung != 48 {
		t.Errorf("most %+v, served %+v", c.most, c.served)
	}
}

func TestTheGeneratorIsSaidToBeTheLimit(t *testing.T) {
	for name, s := range map[string]Sample{
		"late arrivals": {count: count{Figures: hearing.Figures{Generator: hearing.Generator{WorstBehind: 2}}}},
		"processors":    {Generator: 0.99},
	} {
		var c course
		c.add(s)
		c.add(Sample{count: s.count})
		if c.limited() == "" {
			t.Errorf("%s: nothing is said", name)
		}
		if !c.crowdOf(testPlan, 1, false).Limited {
			t.Errorf("%s: not reported", name)
		}
	}
	var both course
	both.add(Sample{Served: &space.Served{Late: 4}, count: count{Figures: hearing.Figures{Generator: hearing.Generator{WorstLate: 0.7}}}})
	if why := both.limited(); why != "" {
		t.Errorf("the server was later than the crowd: %s", why)
	}
	var easy course
	easy.add(Sample{Generator: 0.5})
	if why := easy.limited(); why != "" {
		t.Errorf("an easy run: %s", why)
	}
}

// newTestResult is a rehearsal of 100 that lasted for 20 s.
func newTestResult(t *testing.T, change func(*Sample)) *Result {
	t.Helper()
	c := &course{}
	var first hearing.Times
	for i := range 100 {
		first.Record(time.Duration(i+1) * 3 * time.Millisecond)
	}
	for i := range 21 {
		n := int64(min(100, i*10))
		s := Sample{At: time.Duration(i) * time.Second, Generator: 0.2, count: count{Whole: n, Figures: hearing.Figures{
			Asked: 100, Arrived: n, Joined: n, Hearing: n, EverJoined: n, EverHeard: n, Blocks: n * 40, Bytes: n * 3000, BytesPerSecond: float64(n) * 6000,
			Proven: 40, Compared: n*40 - 40, FirstSound: first, Depth: 1.1,
		}}, Served: &space.Served{Joined: uint64(n), Hearing: int(n), Nodes: 1, Processor: float64(n) / 200, Late: 0.004, Interval: 0.5, Depth: 1.1, Rung: 48}}
		if i == 7 {
			s.Served = nil // the server did not answer in time
		}
		if change != nil {
			change(&s)
		}
		c.add(s)
	}
	scene := Scene{Server: "https://talk.example.org", Plan: Plan{Shape: Storm, Listeners: 100, Arrive: 10 * time.Second, Hold: 10 * time.Second}, Workers: 2,
		Began: time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)}
	scene.Space.Title = "Town hall <script>alert(1)</script>"
	r := newResult(scene, space.Permit{Rehearsal: space.Rehearsal{ID: "abc", Space: "hall", Listeners: 100}}, c, false)
	r.Note = "hustings/rehearsal\nspace hall\ncapacity 100\nversion 1.0\nsettings 00ff\nsetting-backlog 3s\nprocessors 2\n\n— hustings.test abc=\n"
	return r
}

func TestTheVerdictComesFirst(t *testing.T) {
	lose := func(s *Sample) {
		s.Gaps = hearing.Gaps{Count: 4, Seconds: 2, Listeners: 3, Longest: 1}
		s.Whole = max(0, s.Whole-3)
	}
	for name, c := range map[string]struct {
		change      func(*Sample)
		interrupted bool
		ok          bool
		verdict     string
	}{
		"all":     {nil, false, true, "100 of 100 heard every block."},
		"gaps":    {lose, false, false, "97 of 100 heard every block; 3 heard a gap."},
		"silent":  {func(s *Sample) { s.Arrived, s.NeverHeard = s.Arrived+1, 1 }, false, false, "1 never heard sound"},
		"lost":    {func(s *Sample) { s.Dead, s.Lost, s.Whole = 1, 50, s.Whole/2 }, false, false, "50 of 100 heard every block; 50 were lost with their worker processes."},
		"nobody":  {func(s *Sample) { *s = Sample{At: s.At} }, false, false, "0 of 100"},
		"stopped": {func(s *Sample) { s.Whole, s.NeverHeard = min(s.Whole, 98), 2 }, true, true, "until it was stopped after 20 s with 100 of 100 there."},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestResult(t, c.change)
			r.Crowd.Interrupted = c.interrupted
			if got := r.Verdict(); r.OK() != c.ok || !strings.Contains(got, c.verdict) {
				t.Errorf("ok %v: %s", r.OK(), got)
			}
			var out strings.Builder
			if err := r.Write(&out); err != nil || !strings.HasPrefix(out.String(), r.Verdict()+"\n") {
				t.Errorf("%v: %s", err, &out)
			}
		})
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for got, want := range map[string]string{
		number(0): "0", number(999): "999", number(15000): "15,000", number(1234567): "1,234,567", number(-1234): "-1,234",
		short(0.0312): "31 ms", short(1.234): "1.23 s", short(12.34): "12.3 s", short(250): "250 s",
		plain(59 * time.Second): "59 s", plain(125 * time.Second): "2 min 05 s",
		size(512): "512 B", size(1500): "1.5 kB", size(2e9): "2 GB", size(3.5e12): "3.5 TB",
		brief(15000): "15k", brief(1.5e6): "1.5M", brief(900): "900", clockTime(65): "1:05", trim(2.50): "2.5",
	} {
		if got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
}
