package tally_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/tally"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// lane returns a lane with the shortest interval.
func lane() *tally.Lane {
	l := &tally.Lane{}
	l.Wait(500 * time.Millisecond)
	return l
}

func TestALaneHearsWhileItIsAcknowledged(t *testing.T) {
	var c tally.Count
	l := lane()
	c.Join(l, 0)
	expect := func(at time.Duration, want tally.Tally) {
		t.Helper()
		if got := c.Sweep(noon.Add(at)); got != want {
			t.Errorf("after %v: %+v, want %+v", at, got, want)
		}
	}
	expect(0, tally.Tally{}) // it has heard nothing yet
	l.Acked(noon)
	expect(0, tally.Tally{Now: 1, Peak: 1, Total: 1})
	expect(5400*time.Millisecond, tally.Tally{Now: 1, Peak: 1, Total: 1})
	expect(5500*time.Millisecond, tally.Tally{Peak: 1, Total: 1}) // half open: nobody says so
	l.Wait(20 * time.Second)
	expect(24*time.Second, tally.Tally{Now: 1, Peak: 1, Total: 1})
	expect(25*time.Second, tally.Tally{Peak: 1, Total: 1})
	l.Acked(noon.Add(26 * time.Second)) // it was only slow
	expect(27*time.Second, tally.Tally{Now: 1, Peak: 1, Total: 1})
	c.Part(l)
	expect(27*time.Second, tally.Tally{Peak: 1, Total: 1})
}

func TestATokenIsOneSeat(t *testing.T) {
	var c tally.Count
	ana := tally.Hash("town", "ana")
	if ana == tally.Hash("city", "ana") || ana == tally.Hash("tow", "nana") {
		t.Error("a token has the same name in two spaces")
	}
	var lanes []*tally.Lane
	for range 3 {
		l := lane()
		c.Join(l, ana)
		l.Acked(noon)
		lanes = append(lanes, l)
	}
	c.Pull(ana, noon)
	want := tally.Tally{Now: 1, Peak: 1, Total: 1}
	if got := c.Sweep(noon); got != want {
		t.Errorf("three connections of one token: %+v, want %+v", got, want)
	}
	for _, l := range lanes {
		c.Part(l)
	}
	if got := c.Sweep(noon.Add(14 * time.Second)); got != want {
		t.Errorf("it pulled 14 s ago: %+v, want %+v", got, want)
	}
	want.Now = 0
	if got := c.Sweep(noon.Add(15 * time.Second)); got != want {
		t.Errorf("it pulled 15 s ago: %+v, want %+v", got, want)
	}
	back := lane()
	c.Join(back, ana)
	back.Acked(noon.Add(20 * time.Second))
	if got := c.Sweep(noon.Add(20 * time.Second)); got.Now != 1 || got.Total != 1 {
		t.Errorf("it came back: %+v, want one in all", got)
	}
	gone := lane()
	c.Join(gone, tally.Hash("town", "ben"))
	gone.Acked(noon)
	c.Part(gone) // between two sweeps
	if got := c.Sweep(noon.Add(20 * time.Second)); got.Total != 2 {
		t.Errorf("one came and went between two sweeps: %+v, want two in all", got)
	}
}

func TestWhatCouldNotBeToldIsToldLater(t *testing.T) {
	var c tally.Count
	const n = 1<<15 + 10 // more than one message takes
	for i := range n {
		c.Pull(tally.Hash("town", fmt.Sprint(i)), noon)
	}
	c.Sweep(noon)
	broken := errors.New("no bus")
	if err := c.Messages("a", 0, func(tally.Message) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want that the bus is broken", err)
	}
	var sum tally.Sum
	sent := 0
	send := func(m tally.Message) error {
		data, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if len(data) > 400_000 {
			t.Errorf("a message of %d bytes", len(data))
		}
		var got tally.Message
		if err := errors.Join(json.Unmarshal(data, &got), got.Check()); err != nil {
			return err
		}
		if sent++; sent > 2 && len(got.Fresh) > 0 {
			t.Errorf("%d tokens are told again", len(got.Fresh))
		}
		sum.Add(got, noon)
		return nil
	}
	for range 2 {
		if err := c.Messages("a", 7, send); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := sum.At(noon), (tally.Tally{Now: n, Peak: n, Total: n}); got != want || sent != 3 {
		t.Errorf("the sum is %+v after %d messages, want %+v after 3", got, sent, want)
	}
	if got := sum.Rehearsing(noon); got != 7 {
		t.Errorf("%d rehearse, want 7", got)
	}
}

func TestTheSumForgetsSilentNodesButNotTheirListeners(t *testing.T) {
	var sum tally.Sum
	ana, ben, eva := tally.Hash("t", "ana"), tally.Hash("t", "ben"), tally.Hash("t", "eva")
	sum.Add(tally.Message{Node: "a", Now: 30, Anonymous: 28, Fresh: tally.Hashes{ana, ben}}, noon)
	sum.Add(tally.Message{Node: "b", Now: 20, Anonymous: 18, Fresh: tally.Hashes{ben, eva}}, noon.Add(time.Second))
	want := tally.Tally{Now: 50, Peak: 50, Total: 28 + 18 + 3}
	if got := sum.At(noon.Add(2 * time.Second)); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	want.Now = 20
	if got := sum.At(noon.Add(tally.Silence)); got != want {
		t.Errorf("without node a: %+v, want %+v", got, want)
	}
	want.Now = 0
	if got := sum.At(noon.Add(time.Minute)); got != want {
		t.Errorf("without both: %+v, want %+v", got, want)
	}
	for i := range 5000 { // nodes that start again and again, each under another name
		sum.Add(tally.Message{Node: fmt.Sprint(i), Now: 1, Anonymous: 1}, noon.Add(time.Hour+time.Duration(i)*time.Second))
	}
	if got := sum.At(noon.Add(3 * time.Hour)); got.Total != want.Total+5000 {
		t.Errorf("%d in total, want %d", got.Total, want.Total+5000)
	}
}

func TestASumGoesOnFromAnother(t *testing.T) {
	var sum tally.Sum
	sum.GoOn(tally.Tally{Now: 9, Peak: 40, Total: 100})
	say := func(after time.Duration, node string, anonymous int, total int) {
		t.Helper()
		sum.Add(tally.Message{Node: node, Now: 5, Anonymous: anonymous}, noon.Add(after))
		if got := sum.At(noon.Add(after)); got.Total != total || got.Peak != 40 {
			t.Errorf("after %v: %+v, want %d in total and a peak of 40", after, got, total)
		}
	}
	say(0, "a", 28, 100) // it was there before: they are among the 100
	say(time.Second, "a", 30, 102)
	say(time.Minute, "b", 7, 109) // a new one
}

// A node that is started again, or begins a space anew, counts from nothing.
func TestTheTotalNeverFalls(t *testing.T) {
	var sum tally.Sum
	for i, c := range []struct{ anonymous, total int }{{28, 28}, {30, 30}, {0, 30}, {4, 34}, {2, 36}, {3, 37}} {
		at := noon.Add(time.Duration(i) * time.Second)
		sum.Add(tally.Message{Node: "a", Now: 1, Anonymous: c.anonymous}, at)
		if got := sum.At(at).Total; got != c.total {
			t.Errorf("%d anonymous: %d in total, want %d", c.anonymous, got, c.total)
		}
	}
}

// The listeners of a node that was killed come back through another one before that
// node is given up. There never were as many as it then seems.
func TestADeadNodeMakesNoPeak(t *testing.T) {
	var sum tally.Sum
	say := func(after time.Duration, node string, now, peak int) {
		t.Helper()
		sum.Add(tally.Message{Node: node, Now: now}, noon.Add(after))
		if got := sum.At(noon.Add(after)).Peak; got != peak {
			t.Errorf("after %v: a peak of %d, want %d", after, got, peak)
		}
	}
	say(0, "a", 100, 100)
	say(0, "b", 100, 200)
	say(time.Second, "a", 100, 200)
	for after := 2 * time.Second; after < 10*time.Second; after += time.Second {
		say(after, "a", 200, 200)
	}
	say(10*time.Second, "a", 250, 250)
}

// Whoever makes up tokens can have the lowest bits of their hashes as they like.
func TestASetOfChosenHashesIsBounded(t *testing.T) {
	s := tally.NewSet(10)
	for i := range uint64(100) {
		s.Add((i + 1) << 32)
	}
	if got := s.Len() >> s.Level(); got != 10 {
		t.Errorf("it holds %d, want 10", got)
	}
}

func TestMessagesFromOutsideAreChecked(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"node":"a","now":-1}`, `{"node":"a","total":9e18}`, `{"node":"a","level":33}`, `{"node":"a","anonymous":-5}`,
		`{"node":"a","fresh":"????"}`, `{"node":"a","fresh":"AAAA"}`, `{"node":"a","now":1.5}`,
	} {
		var m tally.Message
		if err := json.Unmarshal([]byte(text), &m); err == nil && m.Check() == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func FuzzMessage(f *testing.F) {
	good, err := json.Marshal(tally.Message{Node: "a", Now: 1, Fresh: tally.Hashes{1, 1 << 63}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"node":"a","level":32,"fresh":"AAAAAAAAAAA="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m tally.Message
		if json.Unmarshal(data, &m) != nil || m.Check() != nil {
			return
		}
		var sum tally.Sum
		sum.Add(m, noon)
		if got := sum.At(noon); got.Now != m.Now || got.Total < m.Anonymous || got.Total < 0 {
			t.Fatalf("%s sums up to %+v", data, got)
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back tally.Message
		if err := json.Unmarshal(again, &back); err != nil || !slices.Equal(back.Fresh, m.Fresh) {
			t.Fatalf("%s came back as %s (%v)", data, again, err)
		}
	})
}

func TestASetIsBoundedAndItsEstimateIsGood(t *testing.T) {
	s := tally.NewSet(20_000)
	const n = 300_000
	random := rand.New(rand.NewPCG(1, 2))
	var all []uint64
	for range n {
		all = append(all, random.Uint64())
	}
	for i, hash := range all {
		if s.Add(hash); i == 15_000 && s.Len() != 15_001 {
			t.Errorf("%d of 15001: it should be exact while it is not full", s.Len())
		}
		if i%3 == 0 {
			s.Add(all[random.IntN(i+1)]) // again
		}
	}
	// One standard deviation is 1.2/sqrt(10,000) at worst; this is four of them.
	if off := math.Abs(float64(s.Len())/n - 1); off > 0.048 {
		t.Errorf("%d of %d: off by %.2f%%", s.Len(), n, 100*off)
	}
	if s.Level() == 0 {
		t.Error("it is larger than it may be")
	}
}

// TestTheTallyIsTheTruth puts an audience of thousands on three nodes, with several
// tabs, reconnect storms, moves from node to node, a node that dies and half-open
// connections, and compares what is told with what is.
func TestTheTallyIsTheTruth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rapid.Uint64().Draw(rt, "seed"))
		for range rapid.IntRange(20, 40).Draw(rt, "seconds") {
			switch rapid.IntRange(0, 9).Draw(rt, "event") {
			case 0: // a storm: half of all connect again, through any node
				w.each(0.5, func(p *person) { w.leave(p, false); w.join(p) })
			case 1: // a storm in which the old connections are left half open
				w.each(0.2, func(p *person) { w.leave(p, true); w.join(p) })
			case 2: // a mass exit
				w.each(0.3, func(p *person) { w.leave(p, false) })
			case 3:
				w.kill()
			case 4: // second tabs
				w.each(0.1, func(p *person) { w.join(p) })
			default:
				w.arrive(300)
			}
			w.second()
		}
		for range 7 { // what is half open drops out after T + 5 s and a sweep
			w.second()
		}
		if now, total := w.truth(); now != w.sum.At(w.now).Now || total != w.sum.At(w.now).Total {
			rt.Fatalf("told %+v, but %d hear and %d have heard", w.sum.At(w.now), now, total)
		}
	})
}

// world is an audience and the nodes that it listens through.
type world struct {
	now    time.Time
	random *rand.Rand
	nodes  []*node
	made   int
	people []*person
	sum    tally.Sum
}

type node struct {
	name string
	tally.Count
	up bool
}

type person struct {
	hash        uint64
	connections []*connection
	heard       bool
}

type connection struct {
	*tally.Lane
	node *node
}

func newWorld(seed uint64) *world {
	w := &world{now: noon, random: rand.New(rand.NewPCG(seed, 1))}
	for range 3 {
		w.start()
	}
	return w
}

func (w *world) start() {
	w.made++
	w.nodes = append(w.nodes, &node{name: fmt.Sprint("node-", w.made), up: true})
}

func (w *world) arrive(n int) {
	for range n {
		p := &person{hash: tally.Hash("town", fmt.Sprint(len(w.people)))}
		w.people = append(w.people, p)
		w.join(p)
	}
}

// join connects a person; all tabs of one are at one node.
func (w *world) join(p *person) {
	at := w.nodes[w.random.IntN(len(w.nodes))]
	if len(p.connections) > 0 {
		at = p.connections[0].node
	}
	c := &connection{lane(), at}
	at.Join(c.Lane, p.hash)
	p.connections = append(p.connections, c)
}

func (w *world) leave(p *person, halfOpen bool) {
	for _, c := range p.connections {
		if !halfOpen { // else the node doesn't know
			c.node.Part(c.Lane)
		}
	}
	p.connections = nil
}

func (w *world) each(share float64, do func(*person)) {
	for _, p := range w.people {
		if w.random.Float64() < share {
			do(p)
		}
	}
}

// kill ends a node; its listeners go elsewhere, and another one comes up.
func (w *world) kill() {
	dead := w.nodes[0]
	dead.up = false
	w.nodes = w.nodes[1:]
	w.start()
	for _, p := range w.people {
		if len(p.connections) > 0 && p.connections[0].node == dead {
			p.connections = nil
			w.join(p)
		}
	}
}

// second lets everybody acknowledge two deliveries, and the nodes tell what they count.
func (w *world) second() {
	for _, p := range w.people {
		for _, c := range p.connections {
			c.Acked(w.now)
			p.heard = true
		}
	}
	w.now = w.now.Add(time.Second)
	for _, n := range w.nodes {
		n.Sweep(w.now)
		_ = n.Messages(n.name, 0, func(m tally.Message) error { w.sum.Add(m, w.now); return nil })
	}
}

func (w *world) truth() (now, total int) {
	for _, p := range w.people {
		if len(p.connections) > 0 {
			now++
		}
		if p.heard {
			total++
		}
	}
	return now, total
}

// BenchmarkSweep is what 100,000 listeners cost once a second.
func BenchmarkSweep(b *testing.B) {
	var c tally.Count
	for i := range 100_000 {
		l := lane()
		c.Join(l, tally.Hash("town", fmt.Sprint(i)))
		l.Acked(noon)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Sweep(noon)
	}
}
