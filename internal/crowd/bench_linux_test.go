package crowd

import (
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hustings/internal/fmp4"
	"hustings/internal/hearing"
	"hustings/internal/reach"
)

// BenchmarkRead is what it costs to read a delivery from each of many sockets: by a
// loop that throws away what it reads, and by the crowd's, which looks at all of it.
// Both do what epoll tells them with the same buffer; the writing is not counted.
func BenchmarkRead(b *testing.B) {
	for _, way := range []struct {
		name string
		take func(c *Crowd, e *engine, i int32)
	}{
		{"bare", func(c *Crowd, e *engine, i int32) {
			if _, err := receive(int(c.listeners[i].fd), e.buffer); err != nil {
				b.Fatal(err)
			}
		}},
		{"crowd", func(c *Crowd, e *engine, i int32) { e.read(i, c.time(), e.buffer, false) }},
	} {
		b.Run(way.name, func(b *testing.B) { benchmarkRead(b, way.take) })
	}
}

func benchmarkRead(b *testing.B, take func(c *Crowd, e *engine, i int32)) {
	const n = 1000
	c, e, ours := benchCrowd(b, n)
	opening := append(begin(), blocks(0, 6)...)
	at := 6
	deliver := func(data []byte) {
		for _, conn := range ours {
			if _, err := conn.Write(data); err != nil {
				b.Fatal(err)
			}
		}
	}
	deliver(opening)
	for i := range int32(n) {
		e.read(i, c.time(), e.buffer, false)
	}
	if c.now[joined] != n || c.figures.Blocks != 6*n {
		b.Fatalf("%d have joined and heard %d blocks", c.now[joined], c.figures.Blocks)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for done := 0; done < b.N; done += n {
		one := soundOf(at)
		at++
		deliver(one)
		b.StartTimer()
		for i := range int32(min(n, b.N-done)) {
			take(c, e, i)
		}
		b.StopTimer()
		for i := int32(min(n, b.N-done)); i < n; i++ {
			take(c, e, i)
		}
	}
	if c.failed != [reasons]int64{} || c.figures.Gaps.Count > 0 {
		b.Fatalf("failed: %v, gaps: %+v", c.failed, c.figures.Gaps)
	}
}

// soundOf is a block of 48 kb/s with its pulse.
func soundOf(n int) []byte {
	packets := make([][]byte, 25)
	for i := range packets {
		packets[i] = make([]byte, 120)
		packets[i][0], packets[i][1], packets[i][2] = byte(n), byte(n>>8), byte(i)
	}
	out := fmp4.AppendEvent(nil, fmp4.Event{Scheme: hearing.PulseScheme, Value: "patch", Time: uint64(n) * blockSamples, Data: []byte(`{"tally":{"now":1000}}`)})
	return fmp4.AppendFragment(out, fmp4.Fragment{Sequence: uint32(n + 1), Time: uint64(n) * blockSamples, Packets: packets})
}

// benchCrowd is a crowd of n who have connected and asked, and the other ends.
func benchCrowd(b *testing.B, n int) (*Crowd, *engine, []net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	c, err := New(Options{URL: "http://" + l.Addr().String() + "/s/talk", Listeners: n, Opens: OpensNothing, Proofs: 1e6})
	if err != nil {
		b.Fatal(err)
	}
	var helpers sync.WaitGroup
	if err := c.open(b.Context(), reach.Page{Link: c.link, Edges: reach.NewEdges(c.link.Server)}, &helpers, newCarrier); err != nil {
		b.Fatal(err)
	}
	e := c.carrier.(*engine)
	b.Cleanup(func() { unix.Close(e.poll) })
	var ours []net.Conn
	for i := range int32(n) {
		c.arrive(i, c.time())
		conn, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close(); e.hangup(i) })
		ours = append(ours, conn)
	}
	for c.now[asking] < int64(n) {
		got, err := unix.EpollWait(e.poll, e.events, int(time.Second/time.Millisecond))
		if err != nil || got == 0 {
			b.Fatalf("%d have asked: %v", c.now[asking], err)
		}
		for _, event := range e.events[:got] {
			e.happened(event, c.time())
		}
	}
	return c, e, ours
}

// BenchmarkDelivery is what a crowd does with a delivery once it is read.
func BenchmarkDelivery(b *testing.B) {
	for _, way := range []struct {
		name string
		cut  int // in two pieces, cut here; 0 is whole
	}{{"whole", 0}, {"in pieces", 1448}} {
		b.Run(way.name, func(b *testing.B) {
			c, _, _ := benchCrowd(b, 2) // the first proves all by itself
			c.data(1, 0, append(begin(), blocks(0, 6)...))
			const each = 64
			var deliveries [each][]byte
			for i := range deliveries {
				deliveries[i] = soundOf(6 + i)
			}
			b.SetBytes(int64(len(deliveries[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%each == 0 { // the same blocks again, as if new
					c.listeners[1].here, c.listeners[1].end = 0, 0
				}
				d := deliveries[i%each]
				if way.cut > 0 {
					c.data(1, c.time(), d[:way.cut])
					d = d[way.cut:]
				}
				c.data(1, c.time(), d)
			}
		})
	}
}
