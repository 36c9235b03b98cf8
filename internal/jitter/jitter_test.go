package jitter_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"hustings/internal/jitter"
)

const ms = time.Millisecond

// whole fails unless 0..n-1 were played in order, but for the ones given.
func whole(t *testing.T, l *line, n int, without ...int) {
	t.Helper()
	skip := map[int]bool{}
	for _, i := range without {
		skip[i] = true
	}
	at := 0
	for i := range n {
		if skip[i] {
			continue
		}
		if at >= len(l.played) || l.played[at] != i {
			t.Fatalf("packet %d was not played in its turn; %d of %d played, %+v, %v", i, len(l.played), n, l.buffer.Stats(), l.kinds)
		}
		at++
	}
	if at != len(l.played) {
		t.Fatalf("%d more were played", len(l.played)-at)
	}
}

func TestACleanLineIsPlayedWholeAndSoon(t *testing.T) {
	for _, length := range []time.Duration{10 * ms, 20 * ms, 40 * ms, 60 * ms} {
		l := newLine()
		l.run(talk(500, length, 0, 65500, 1<<32-48000)) // both numbers wrap
		whole(t, l, 500)
		s := l.buffer.Stats()
		if s.Delay > 45*ms || s.Target != 20*ms {
			t.Errorf("%v packets: delay %v, target %v", length, s.Delay, s.Target)
		}
		if s.Lost+s.Late+s.Dropped+s.Duplicate+s.Restarts != 0 || l.cut+l.put != 0 {
			t.Errorf("%v packets: %+v, cut %d, put %d", length, s, l.cut, l.put)
		}
	}
}

func TestALostPacketIsOneLostAndCostsNoDelay(t *testing.T) {
	l := newLine()
	packets := talk(200, 20*ms, 0, 10, 10)
	l.run(append(packets[:100:100], packets[101:]...))
	whole(t, l, 200, 100)
	if s := l.buffer.Stats(); s.Lost != 1 || s.Delay > 45*ms {
		t.Errorf("%+v", s)
	}
}

// The packet after a single loss is at hand for its copy of the lost one.
func TestALossComesWithThePacketAfterIt(t *testing.T) {
	b := jitter.New(jitter.Options{})
	packets := talk(6, 20*ms, 0, 0, 0)
	for _, i := range []int{0, 1, 3, 4} {
		b.Push(packets[i].packet, origin.Add(packets[i].arrives))
	}
	now := origin.Add(packets[4].arrives)
	var kinds []jitter.Kind
	for range 4 {
		r := b.Pull(now)
		kinds = append(kinds, r.Kind)
		if r.Kind == jitter.Lost && (r.Samples != 960 || len(r.Packet.Payload) == 0 || r.Packet.Seq != 3) {
			t.Errorf("lost: %+v", r)
		}
		now = now.Add(20 * ms)
	}
	want := []jitter.Kind{jitter.Play, jitter.Play, jitter.Lost, jitter.Play}
	for i := range want {
		if kinds[i] != want[i] {
			t.Fatalf("kinds %v, want %v", kinds, want)
		}
	}
}

func TestReorderedAndRepeatedPacketsArePlayedOnce(t *testing.T) {
	l := newLine()
	packets := talk(300, 20*ms, 0, 0, 0)
	var network []sent
	for i, p := range packets {
		network = append(network, p)
		if i%10 == 5 { // overtaken by the next, which comes 20 ms after
			network[i+i/10].arrives += 25 * ms
		}
		if i%10 == 9 {
			again := p
			again.arrives += 15 * ms
			network = append(network, again)
		}
	}
	l.run(network)
	s := l.buffer.Stats()
	if s.Duplicate+s.Late < 30 || s.Duplicate+s.Late > 32 {
		t.Errorf("%+v", s)
	}
	if n := len(l.played); n < 298 {
		t.Errorf("%d of 300 played, %+v", n, s)
	}
}

// A phone on a bad network delivers nothing for 300 ms and then all at once.
func TestABurstIsPlayedWholeAndTheDelayComesBack(t *testing.T) {
	l := newLine()
	packets := talk(3000, 20*ms, 0, 0, 0)
	for i := 200; i < 215; i++ {
		packets[i].arrives = packets[215].arrives
	}
	l.run(packets)
	whole(t, l, 3000)
	if s := l.buffer.Stats(); s.Delay > 60*ms || s.Lost != 0 {
		t.Errorf("%+v, cut %d", s, l.cut)
	}
	if l.cut < 250*48 {
		t.Errorf("only %d samples were cut to catch up", l.cut)
	}
}

func TestRegularBurstsRaiseTheDelayUntilNothingStarves(t *testing.T) {
	l := newLine()
	packets := talk(3000, 20*ms, 0, 0, 0)
	for i := range packets { // five at a time
		packets[i].arrives = packets[min(i/5*5+4, len(packets)-1)].arrives
	}
	l.run(packets)
	whole(t, l, 3000)
	s := l.buffer.Stats()
	if s.Target < 80*ms || s.Target > 120*ms {
		t.Errorf("target %v", s.Target)
	}
	if s.Empty > 6 { // one or two at the start, one at the end
		t.Errorf("starved %d times", s.Empty)
	}
}

func TestDriftIsCorrectedBothWays(t *testing.T) {
	for _, ppm := range []float64{-500, -50, 50, 500} {
		l := newLine()
		const n = 15000 // five minutes
		l.run(talk(n, 20*ms, ppm, 0, 0))
		whole(t, l, n)
		s := l.buffer.Stats()
		if s.Delay > 60*ms || s.Empty > 2 || s.Dropped != 0 {
			t.Errorf("%+.0f ppm: %+v", ppm, s)
		}
		// What was corrected is what the clocks differ by, give or take what the
		// delay may vary by.
		drift := int(ppm * n * 960 / 1e6)
		if moved := l.cut - l.put; moved < drift-60*48 || moved > drift+60*48 {
			t.Errorf("%+.0f ppm: moved %d samples, the clocks %d", ppm, moved, drift)
		}
	}
}

// With discontinuous transmission the sequence goes on and the timestamp jumps.
func TestAPauseIsSilenceAndNoLoss(t *testing.T) {
	for _, pause := range []time.Duration{100 * ms, 400 * ms, 3 * time.Second, time.Minute} {
		l := newLine()
		packets := talk(200, 20*ms, 0, 0, 0)
		for i := 100; i < 200; i++ {
			packets[i].arrives += pause
			packets[i].packet.Timestamp += uint32(pause * rate / time.Second)
		}
		l.run(packets)
		whole(t, l, 200)
		if s := l.buffer.Stats(); s.Lost != 0 || s.Dropped != 0 || s.Restarts != 0 || s.Delay > 45*ms {
			t.Errorf("pause of %v: %+v", pause, s)
		}
	}
}

func TestASenderThatStartsOverIsHeardAtOnce(t *testing.T) {
	for name, change := range map[string]func(*jitter.Packet){
		"another source":            func(p *jitter.Packet) { p.Source, p.Seq, p.Timestamp = 2, p.Seq+30000, p.Timestamp+99 },
		"same source, new numbers":  func(p *jitter.Packet) { p.Seq, p.Timestamp = p.Seq+20000, p.Timestamp+1<<30 },
		"same source, a clock leap": func(p *jitter.Packet) { p.Timestamp += 1 << 28 },
	} {
		l := newLine()
		packets := talk(400, 20*ms, 0, 0, 0)
		for i := 200; i < 400; i++ {
			change(&packets[i].packet)
		}
		l.run(packets)
		s := l.buffer.Stats()
		if len(l.played) < 394 || s.Restarts != 1 || s.Delay > 45*ms {
			t.Errorf("%s: %d of 400 played, %+v", name, len(l.played), s)
		}
	}
}

func TestOneStrayPacketDoesNotDisturb(t *testing.T) {
	l := newLine()
	packets := talk(200, 20*ms, 0, 0, 0)
	stray := packets[100]
	stray.packet.Seq += 31000
	stray.packet.Timestamp += 1 << 30
	l.run(append(packets, stray))
	whole(t, l, 200)
}

func TestSilenceOfTheSenderEndsInWaiting(t *testing.T) {
	l := newLine()
	l.run(talk(50, 20*ms, 0, 0, 0))
	if l.kinds[jitter.Waiting] < 5 || l.kinds[jitter.Empty] < 20 || l.kinds[jitter.Empty] > 26 {
		t.Errorf("%v", l.kinds)
	}
}

// Copies of packets from other packets fill in for lost ones.
func TestACopyFillsInForALostPacket(t *testing.T) {
	l := newLine()
	packets := talk(200, 20*ms, 0, 0, 0)
	var network []sent
	for i, p := range packets {
		if i%7 != 3 {
			network = append(network, p)
		}
		if i+1 < len(packets) { // its copy rides in the packet after
			again := p
			again.packet.Repeat = true
			again.arrives = packets[i+1].arrives
			network = append(network, again)
		}
	}
	l.run(network)
	whole(t, l, 200, 199) // the last one's copy was never sent
	if s := l.buffer.Stats(); s.Lost != 0 || s.Duplicate != 0 {
		t.Errorf("%+v", s)
	}
}

// Whatever the network does: packets are played in order and once, what was
// taken is played unless it had to make room, no more is kept than agreed, and
// what was not played was lost on the way or came after its time.
func TestAnyNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			length  = rapid.SampledFrom([]time.Duration{10 * ms, 20 * ms, 40 * ms, 60 * ms}).Draw(t, "length")
			ppm     = rapid.Float64Range(-1000, 1000).Draw(t, "ppm")
			spread  = time.Duration(rapid.IntRange(0, 250).Draw(t, "jitter in ms")) * ms
			loss    = rapid.Float64Range(0, 0.4).Draw(t, "loss")
			doubles = rapid.Float64Range(0, 0.3).Draw(t, "duplicates")
			stall   = rapid.Float64Range(0, 0.05).Draw(t, "stalls")
			dice    = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "dice"), 1))
		)
		const n = 400
		packets := talk(n, length, ppm, rapid.Uint16().Draw(t, "seq"), rapid.Uint32().Draw(t, "ts"))
		var network []sent
		until := time.Duration(0)
		for _, p := range packets {
			if dice.Float64() < stall {
				until = p.arrives + time.Duration(dice.IntN(400))*ms
			}
			p.arrives = max(p.arrives+time.Duration(dice.Float64()*float64(spread)), until)
			if dice.Float64() >= loss {
				network = append(network, p)
			}
			if dice.Float64() < doubles {
				p.arrives += time.Duration(dice.IntN(50)) * ms
				network = append(network, p)
			}
		}
		if len(network) == 0 {
			return
		}
		l := newLine()
		l.run(network)
		for i := 1; i < len(l.played); i++ {
			if l.played[i] <= l.played[i-1] {
				t.Fatalf("played %d after %d", l.played[i], l.played[i-1])
			}
		}
		s := l.buffer.Stats()
		left := l.buffer.Depth() > 0
		if got := uint64(len(l.played)) + s.Dropped; got != s.Received && !left {
			t.Fatalf("%d taken, %d played, %d dropped", s.Received, len(l.played), s.Dropped)
		}
		if arrived := uint64(len(network)); s.Received+s.Late+s.Duplicate != arrived {
			t.Fatalf("%d arrived, %+v", arrived, s)
		}
		if l.deepest > 400*ms {
			t.Fatalf("%v kept", l.deepest)
		}
	})
}

func TestNothingIsAllocatedPerPacket(t *testing.T) {
	b := jitter.New(jitter.Options{})
	packets := talk(2000, 20*ms, 0, 0, 0)
	i := 0
	step := func() {
		now := origin.Add(packets[i].arrives)
		b.Push(packets[i].packet, now)
		b.Pull(now)
		i++
	}
	for range 300 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkPacket(b *testing.B) {
	buffer := jitter.New(jitter.Options{})
	packets := talk(1, 20*ms, 0, 0, 0)
	p := packets[0].packet
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now := origin.Add(time.Duration(i) * 20 * ms)
		p.Seq, p.Timestamp = uint16(i), uint32(i*960)
		buffer.Push(p, now)
		buffer.Pull(now)
	}
}
