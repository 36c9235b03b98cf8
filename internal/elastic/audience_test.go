package elastic_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/elastic"
)

// tick is the grain of the simulation.
const tick = 50 * time.Millisecond

// audience is a crowd whose playback is followed to the sample, and the policy that
// it is served by. What it costs is a model of a loop's work: something for each
// delivery and something for each step of sound in it.
type audience struct {
	t        interface{ Fatalf(string, ...any) }
	random   *rand.Rand
	policy   *elastic.Policy
	now      time.Duration
	members  []*member
	each     float64 // cost of a delivery, as a share of a second
	step     float64 // and of a step in it
	rungCost []float64

	deliveries int
	work       float64
	busy       float64 // over the last minute
}

// member is one who listens.
type member struct {
	model    elastic.Model
	turn     time.Duration
	interval time.Duration

	follows bool
	told    elastic.Plan
	error   time.Duration // of a page's steering
	lag     time.Duration // what is played at t is what was made at t - lag
	has     time.Duration // the end of what it has
	speed   float64       // of a player's clock against ours
}

func newAudience(t interface{ Fatalf(string, ...any) }, o elastic.Options, seed uint64) *audience {
	p, err := elastic.New(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &audience{t: t, random: rand.New(rand.NewPCG(seed, 7)), policy: p, rungCost: []float64{1, 0.6, 0.45}}
}

// edge is the end of the newest step.
func (a *audience) edge() time.Duration { return a.now / elastic.Step * elastic.Step }

func (a *audience) join(n int) {
	plan := a.policy.Plan()
	for range n {
		m := &member{follows: a.random.IntN(4) > 0, told: plan, speed: 1 + (a.random.Float64()*2-1)*100e-6}
		run := max(3*time.Second, (plan.Depth+elastic.Step-1)/elastic.Step*elastic.Step+elastic.Step)
		m.has = a.edge()
		m.model = elastic.Seat(a.now, run, m.follows, plan)
		if m.follows {
			m.error = time.Duration(a.random.Int64N(int64(700*time.Millisecond))) - 400*time.Millisecond
			m.lag = m.goal()
		} else {
			m.lag = run + a.now - a.edge()
		}
		m.interval = m.model.Interval(a.now, plan)
		m.turn = a.now + time.Duration(a.random.Int64N(int64(m.interval))) + 1
		a.members = append(a.members, m)
	}
}

// goal is the lag that a page steers to. In calm it sees each block that comes, and
// keeps to what it needs.
func (m *member) goal() time.Duration {
	if m.told.Depth == elastic.Calm {
		return m.told.Depth + m.error/10
	}
	return m.told.Depth + m.error
}

func (a *audience) leave(n int) {
	for range min(n, len(a.members)) {
		i, last := a.random.IntN(len(a.members)), len(a.members)-1
		a.members[i] = a.members[last]
		a.members = a.members[:last]
	}
}

// play lets a tick pass for a listener.
func (m *member) play() {
	most := time.Duration(0.03 * float64(tick))
	if m.follows {
		m.lag += max(-most, min(most, m.goal()-m.lag))
		return
	}
	m.lag -= time.Duration((m.speed - 1) * float64(tick))
}

// run lets the crowd listen for a while.
func (a *audience) run(d time.Duration) {
	for end := a.now + d; a.now < end; {
		a.now += tick
		for _, m := range a.members {
			m.play()
			if a.now >= m.turn {
				a.deliver(m)
			} else if a.now-m.lag > m.has {
				a.t.Fatalf("after %v one ran dry %v before its turn: it follows: %v, lags by %v, interval %v, plan %+v",
					a.now, m.turn-a.now, m.follows, m.lag, m.interval, a.policy.Plan())
			}
		}
		if a.now%time.Second == 0 {
			a.look()
		}
	}
}

// deliver gives a listener all that there is, as broadcast does.
func (a *audience) deliver(m *member) {
	plan := a.policy.Plan()
	if played := a.now - tick - m.lag; played > m.has {
		a.t.Fatalf("after %v one ran dry by %v: it follows: %v, lags by %v, interval %v, plan %+v",
			a.now, played-m.has, m.follows, m.lag, m.interval, plan)
	}
	steps := (a.edge() - m.has) / elastic.Step
	if steps == 0 {
		m.turn = a.now + tick // it comes any moment
		return
	}
	a.deliveries++
	a.work += a.each + a.step*float64(steps)*a.rungCost[plan.Rung]
	m.has = a.edge()
	interval := m.model.Interval(a.now, plan)
	if interval > m.interval*5/4 {
		m.turn = a.now + max(elastic.Shortest, time.Duration(a.random.Int64N(int64(interval))))
	} else {
		m.turn += interval
	}
	m.interval = interval
	m.model.Told(plan)
	m.told = plan
}

func (a *audience) look() {
	a.busy += (min(1, a.work) - a.busy) / 60
	a.policy.Look(noon.Add(a.now), elastic.Load{Busy: min(1, a.work), Listeners: len(a.members), Deliveries: float64(a.deliveries)})
	a.work, a.deliveries = 0, 0
}

// TestNobodyRunsDryBecauseThePlanChanged: thousands of pages and players, some that
// come in a rush, some that come and go, while the machine has now more and now less
// for them.
func TestNobodyRunsDryBecauseThePlanChanged(t *testing.T) {
	a := newAudience(t, elastic.Options{}, 1)
	size, minutes := 3000, 12
	if testing.Short() {
		size, minutes = 800, 8
	}
	deepest := time.Duration(0)
	for minute := range minutes {
		if minute%3 == 0 {
			a.join(size / (minute + 1))
		} else {
			a.leave(len(a.members) / 5)
		}
		load := []float64{0.3, 4, 12, 0.2}[minute%4] // of what the loops can do at the shortest interval
		a.each, a.step = load*0.4/float64(size), load*0.1/float64(size)
		a.run(time.Minute)
		deepest = max(deepest, a.policy.Plan().Depth)
	}
	if deepest < 5*time.Second {
		t.Errorf("at most %v deep: the load made no difference", deepest)
	}
}

func TestNobodyRunsDryWhateverTheLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAudience(t, elastic.Options{}, rapid.Uint64().Draw(t, "seed"))
		a.join(20)
		for range rapid.IntRange(1, 8).Draw(t, "spells") {
			load := rapid.Float64Range(0.05, 30).Draw(t, "load")
			a.each, a.step = load*0.4/20, load*0.1/20
			a.join(rapid.IntRange(0, 10).Draw(t, "join"))
			a.leave(rapid.IntRange(0, 10).Draw(t, "leave"))
			if rapid.IntRange(0, 9).Draw(t, "opens") == 0 {
				a.policy.Open(noon.Add(a.now), 12*time.Second)
			}
			a.run(time.Duration(rapid.IntRange(1, 200).Draw(t, "seconds")) * time.Second)
		}
	})
}

// TestTheSameLoadLeadsToOnePlan: under a constant load the plan settles; it does not go
// up and down in turn.
func TestTheSameLoadLeadsToOnePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newAudience(t, elastic.Options{}, rapid.Uint64().Draw(t, "seed"))
		load := rapid.Float64Range(0.05, 20).Draw(t, "load")
		fixed := rapid.Float64Range(0.3, 0.98).Draw(t, "fixed") // share of the cost that is each delivery's own
		const size = 40
		a.each, a.step = load*fixed/2/size, load*(1-fixed)/2/size
		a.join(size)
		rises, last := 0, a.policy.Plan()
		fell := false
		for range 40 * 60 {
			a.run(time.Second)
			now := a.policy.Plan()
			switch {
			case now.Depth < last.Depth || now.Rung < last.Rung:
				fell = true
			case (now.Depth > last.Depth || now.Rung > last.Rung) && fell:
				rises++
				fell = false
			}
			last = now
		}
		if rises > 1 {
			t.Fatalf("load %.2f, %.2f fixed: it went up again %d times after coming down; it is %+v now", load, fixed, rises, last)
		}
		if a.busy > 0.85 && last.Rung < 2 { // players can't be made to wait: a quarter of the load stays
			t.Fatalf("load %.2f, %.2f fixed: still %.0f%% busy at %+v", load, fixed, 100*a.busy, last)
		}
	})
}
