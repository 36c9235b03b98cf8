//go:build linux

package broadcast

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hustings/internal/delivery"
	"hustings/internal/programme"
	"hustings/internal/space"
)

const benchSpace = space.ID("bench")

// BenchmarkDelivery measures what it costs to bring one block to one of many
// listeners on loopback, beside the yardstick: a bare loop of non-blocking
// write(2) of the same bytes to the same sockets, all at once and spread over the half
// second that a block lasts, as broadcast does. The listeners are in a process of
// their own, whose time is not counted. One op is one delivery.
//
//	us/delivery      by the clock: a block's deliveries are spread over half a second
//	cpu-us/delivery  processor time of this process, both cores together
//	B/listener       heap and stacks that a listener takes, its connection included
func BenchmarkDelivery(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("listeners=%d", n), func(b *testing.B) {
			empty := memory()
			crowd := newCrowd(b, n)
			station := newStation(b)
			b.Run("yardstick", func(b *testing.B) {
				piece := station.next().bytes(form{MP4, programme.Rung48})
				fds := crowd.descriptors(b)
				crowd.measure(b, int64(len(piece)), func() {
					for _, fd := range fds {
						if wrote, err := syscall.Write(fd, piece); wrote != len(piece) {
							b.Fatalf("wrote %d of %d bytes: %v", wrote, len(piece), err)
						}
					}
				})
			})
			b.Run("yardstick-spread", func(b *testing.B) {
				piece := station.next().bytes(form{MP4, programme.Rung48})
				fds := crowd.descriptors(b)
				crowd.measure(b, int64(len(piece)), func() { writeSpread(b, fds, piece) })
			})
			station.attach(b, crowd)
			perListener := float64(memory()-empty) / float64(n)
			b.Run("broadcast", func(b *testing.B) {
				size := int64(len(station.next().bytes(form{MP4, programme.Rung48})))
				station.settle(b)
				crowd.expect(b, crowd.before+size*int64(n))
				crowd.measure(b, size, func() {
					station.next()
					station.settle(b)
				})
				b.ReportMetric(perListener, "B/listener")
			})
			if skips := station.figures.skips.times.Load(); skips > 0 {
				b.Errorf("%d skips: the listeners did not keep up", skips)
			}
		})
	}
}

// writeSpread writes to all within half a second, some every 5 ms: the yardstick as a
// server has it that keeps the network from bursts.
func writeSpread(b *testing.B, fds []int, piece []byte) {
	const slots = 100
	began := time.Now()
	for slot := range slots {
		time.Sleep(time.Until(began.Add(time.Duration(slot) * blockTime / slots)))
		for _, fd := range fds[len(fds)*slot/slots : len(fds)*(slot+1)/slots] {
			if wrote, err := syscall.Write(fd, piece); wrote != len(piece) {
				b.Fatalf("wrote %d of %d bytes: %v", wrote, len(piece), err)
			}
		}
	}
}

// BenchmarkRender is what a block costs once in each form, whoever listens.
func BenchmarkRender(b *testing.B) {
	e, err := newEntry(0, state{}, benchBlock(0))
	if err != nil {
		b.Fatal(err)
	}
	for _, format := range []Format{Ogg, MP4} {
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.render(form{format, programme.Rung48})
			}
		})
	}
}

// benchBlock returns a block as it is at 48 kb/s with someone speaking.
func benchBlock(seq uint64) *programme.Block {
	b := &programme.Block{
		Space: benchSpace, Epoch: 1, Seq: seq, Start: int64(seq) * programme.BlockSamples,
		Pulse: fmt.Appendf(nil, `{"speaking":["a","b"],"tally":{"now":%d}}`, 1_000_000+seq),
	}
	for r := range b.Rungs {
		size := programme.Rung(r).Bitrate(false) / 8 / 50
		for range programme.PacketsPerBlock {
			b.Rungs[r] = append(b.Rungs[r], make([]byte, size))
		}
	}
	return b
}

// station is a Broadcast with one space, fed by hand.
type station struct {
	*Broadcast
	loops    *delivery.Loops
	seq      uint64
	attached int
	sent     int64 // bytes that listeners should have
}

func newStation(b *testing.B) *station {
	loops, err := delivery.New(delivery.Options{})
	if err != nil {
		b.Fatal(err)
	}
	broadcast, err := New(Options{Bus: noBus{}, Delivery: loops, Backlog: time.Second})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loops.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	s := &station{Broadcast: broadcast, loops: loops}
	s.next()
	return s
}

// next speaks one more block.
func (s *station) next() *entry {
	data, err := benchBlock(s.seq).AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	s.seq++
	s.hear(blockSubject+string(benchSpace), data)
	e := s.feed(benchSpace).newest()
	if s.attached > 0 {
		s.sent += int64(s.attached * len(e.bytes(form{MP4, programme.Rung48})))
	}
	return e
}

// attach attaches the whole crowd and waits until all have the backlog.
func (s *station) attach(b *testing.B, c *crowd) {
	door := s.feed(benchSpace).enter(doorKey{joining, programme.Rung48, form{MP4, programme.Rung48}}, s.limits.backlog, s.pacing.Load())
	for _, conn := range c.conns {
		if err := s.Attach(Listener{Space: benchSpace, Format: MP4, Conn: conn}); err != nil {
			b.Fatal(err)
		}
	}
	s.attached = len(c.conns)
	s.sent = int64(len(door.bytes) * s.attached)
	s.settle(b)
	c.expect(b, s.sent+c.before)
}

// settle waits until the listeners have been sent all.
func (s *station) settle(b *testing.B) {
	for deadline := time.Now().Add(20 * time.Second); int64(s.loops.Load().Bytes) < s.sent; {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d bytes after 20 s", int64(s.loops.Load().Bytes), s.sent)
		}
		time.Sleep(5 * time.Millisecond) // looking costs time too
	}
}

// measure calls deliver, which sends size bytes to each of the crowd, until there
// were b.N deliveries, and lets the crowd take all of it between two calls.
func (c *crowd) measure(b *testing.B, size int64, deliver func()) {
	var cpu, wall time.Duration
	deliveries := 0
	b.ReportAllocs()
	b.ResetTimer()
	for deliveries < b.N {
		began, used := time.Now(), cpuTime()
		deliver()
		wall += time.Since(began)
		cpu += cpuTime() - used
		deliveries += len(c.conns)
		b.StopTimer()
		c.expect(b, c.before+size*int64(len(c.conns)))
		b.StartTimer()
	}
	b.StopTimer()
	b.ReportMetric(float64(wall.Nanoseconds())/1000/float64(deliveries), "us/delivery")
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(deliveries), "cpu-us/delivery")
}

// cpuTime returns the processor time that this process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory returns the bytes of live heap and of stacks.
func memory() int64 {
	runtime.GC()
	runtime.GC() // the first may leave stacks to be shrunk and finalizers to run
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// descriptors returns the crowd's sockets, which Go has made non-blocking.
func (c *crowd) descriptors(b *testing.B) []int {
	fds := make([]int, len(c.conns))
	for i, conn := range c.conns {
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return fds
}
