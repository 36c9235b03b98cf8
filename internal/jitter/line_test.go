package jitter_test

import (
	"sort"
	"time"

	"hustings/internal/jitter"
)

const rate = 48000

// sent is a packet on its way, with the number it really has.
type sent struct {
	index   int
	packet  jitter.Packet
	arrives time.Duration
}

// line is a simulated sender, network and receiver on one exact clock.
type line struct {
	buffer *jitter.Buffer
	queued int // samples that the receiver has pulled and not played

	played  []int // indexes in the order of playing
	kinds   map[jitter.Kind]int
	deepest time.Duration // after a pull
	cut     int
	put     int
}

// talk makes n packets of a length, spoken on a clock that runs faster than ours
// by ppm, from given starting numbers.
func talk(n int, length time.Duration, ppm float64, seq uint16, ts uint32) []sent {
	samples := int(length * rate / time.Second)
	out := make([]sent, n)
	for i := range out {
		at := time.Duration(float64(i+1) * float64(length) * (1 - ppm/1e6))
		out[i] = sent{index: i, arrives: at, packet: jitter.Packet{
			Source: 1, Seq: seq + uint16(i), Timestamp: ts + uint32(i*samples), Samples: samples,
			Payload: []byte{byte(i), byte(i >> 8), byte(i >> 16)},
		}}
	}
	return out
}

var origin = time.Unix(1_700_000_000, 0)

// run plays everything that was sent, at one pull in 20 ms, and a second more.
// The receiver follows advice as an ear does: some milliseconds at a time.
func (l *line) run(network []sent) {
	spoken := map[int]time.Duration{}
	sort.SliceStable(network, func(i, j int) bool { return network[i].arrives < network[j].arrives })
	for _, s := range network {
		if at, ok := spoken[s.index]; !ok || s.arrives < at {
			spoken[s.index] = s.arrives
		}
	}
	end := network[len(network)-1].arrives + time.Second
	for now := 7 * time.Millisecond; now < end; now += 20 * time.Millisecond {
		for len(network) > 0 && network[0].arrives <= now {
			l.buffer.Push(network[0].packet, origin.Add(network[0].arrives))
			network = network[1:]
		}
		l.tick(now)
	}
}

func (l *line) tick(now time.Duration) {
	for l.queued < 960 {
		r := l.buffer.Pull(origin.Add(now))
		l.deepest = max(l.deepest, l.buffer.Depth())
		l.kinds[r.Kind]++
		if r.Kind == jitter.Waiting {
			break
		}
		l.queued += r.Samples
		if r.Kind != jitter.Play {
			continue
		}
		p := r.Packet.Payload
		l.played = append(l.played, int(p[0])|int(p[1])<<8|int(p[2])<<16)
		l.follow()
	}
	l.queued = max(0, l.queued-960)
}

func (l *line) follow() {
	const step = 360
	switch l.buffer.Advice() {
	case jitter.Shrink:
		l.queued -= step
		l.cut += step
		l.buffer.Moved(-step)
	case jitter.Grow:
		l.queued += step
		l.put += step
		l.buffer.Moved(step)
	}
}

func newLine() *line {
	return &line{buffer: jitter.New(jitter.Options{}), kinds: map[jitter.Kind]int{}}
}
