package delivery_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hustings/internal/delivery"
)

// block is what half a second of the top rung is as a fragment of MP4, with a pulse.
const block = 3000

// BenchmarkDeliver measures what a delivery costs by loops, beside its yardstick: a
// bare loop of non-blocking write(2) of the same bytes to as many sockets; behind TLS
// that loop with AES-GCM of the same bytes. One op is one delivery.
//
//	yardstick  round after round, as fast as it goes
//	rounds     the loops in the same shape: all turns at once, then none for a while
//	spread     as it is meant to be: a turn each T, all turns spread evenly; with few
//	           listeners the price of waking up is in this
//
//	cpu-us/delivery  processor time of this process; the crowd that reads is another
//	B/listener       heap and stacks that a listener takes
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		for _, every := range []time.Duration{time.Second / 2, 4 * time.Second} {
			for _, secure := range []bool{false, true} {
				name := map[bool]string{false: "plain", true: "TLS"}[secure]
				b.Run(fmt.Sprintf("listeners=%d/T=%v/%s/yardstick", n, every, name), func(b *testing.B) {
					benchYardstick(b, n, every, secure)
				})
				b.Run(fmt.Sprintf("listeners=%d/T=%v/%s/rounds", n, every, name), func(b *testing.B) {
					benchLoops(b, n, blocksIn(every), time.Duration(n)*100*time.Microsecond, 0, secure)
				})
				b.Run(fmt.Sprintf("listeners=%d/T=%v/%s/spread", n, every, name), func(b *testing.B) {
					benchLoops(b, n, blocksIn(every), every, every, secure)
				})
			}
		}
	}
}

// blocksIn returns what is sent every T, block by block.
func blocksIn(every time.Duration) [][]byte {
	pieces := make([][]byte, every/(time.Second/2))
	for i := range pieces {
		pieces[i] = make([]byte, block)
		for j := range pieces[i] {
			pieces[i][j] = byte(i + j*j)
		}
	}
	return pieces
}

func benchYardstick(b *testing.B, n int, every time.Duration, secure bool) {
	c := newCrowd(b, n)
	defer c.close(b)
	fds := make([]int, n)
	ciphers := make([]cipher.AEAD, n)
	for i, conn := range c.conns {
		raw, err := conn.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			b.Fatal(err)
		}
		key, _ := aes.NewCipher(make([]byte, 16))
		ciphers[i], _ = cipher.NewGCM(key)
	}
	piece := slices.Concat(blocksIn(every)...)
	room := make([]byte, 0, len(piece)+1024)
	var sent uint64
	var used time.Duration
	b.ResetTimer()
	for done := 0; done < b.N; {
		began := cpuTime()
		round := min(n, b.N-done)
		for i, fd := range fds[:round] {
			out := piece
			if secure {
				out = seal(ciphers[i], room, piece)
			}
			if wrote, err := syscall.Write(fd, out); wrote != len(out) {
				b.Fatalf("wrote %d of %d bytes: %v", wrote, len(out), err)
			}
			sent += uint64(len(out))
		}
		used += cpuTime() - began
		done += round
		c.expect(b, sent)
	}
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-us/delivery")
}

// seal encrypts in records, as TLS must, without their heads.
func seal(to cipher.AEAD, room, text []byte) []byte {
	var nonce [12]byte
	out := room[:0]
	for len(text) > 0 {
		n := min(len(text), 16<<10)
		out = to.Seal(out, nonce[:], text[:n], nil)
		text = text[n:]
	}
	return out
}

// steady is a Stream that is sent the same pieces every T.
type steady struct {
	pieces [][]byte
	every  time.Duration
	at     time.Time
	turns  *atomic.Int64
	idle   *atomic.Bool // nothing is sent
}

func (s *steady) Next(now time.Time, _ bool, pieces [][]byte) ([][]byte, delivery.Turn) {
	for s.at = s.at.Add(s.every); s.at.Before(now); {
		s.at = s.at.Add(s.every)
	}
	if s.idle.Load() || s.turns.Add(-1) < 0 {
		return pieces, delivery.Turn{At: s.at}
	}
	return append(pieces, s.pieces...), delivery.Turn{At: s.at}
}

func (s *steady) Begun(int)            {}
func (s *steady) Acked(time.Time)      {}
func (s *steady) Gone(delivery.Reason) {}

// benchLoops lets loops deliver pieces to n listeners at an interval, their turns
// being spread over a time.
func benchLoops(b *testing.B, n int, pieces [][]byte, every, over time.Duration, secure bool) {
	empty := memory()
	c := newCrowd(b, n)
	defer c.close(b)
	d, err := delivery.New(delivery.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	var turns atomic.Int64
	var idle atomic.Bool
	idle.Store(true)
	config := &tls.Config{Certificates: certificates(), CurvePreferences: []tls.CurveID{tls.X25519}}
	began := time.Now()
	for i, conn := range c.conns {
		taken := net.Conn(conn)
		if secure {
			taken = handshake(b, conn, config)
		}
		first := began.Add(time.Duration(i) * over / time.Duration(n))
		s := &steady{pieces: pieces, every: every, at: first, turns: &turns, idle: &idle}
		if err := d.Take(taken, nil, s); err != nil {
			b.Fatal(err)
		}
	}
	c.conns = nil
	until(b, "all are in", func() bool { return d.Load().Listeners == n })
	perListener := float64(memory()-empty) / float64(n)
	turns.Store(int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuTime()
	var late time.Duration
	var busy float64
	for idle.Store(false); turns.Load() > 0; {
		time.Sleep(100 * time.Millisecond)
		load := d.Load()
		late, busy = max(late, load.Late), max(busy, load.Busy)
	}
	used = cpuTime() - used
	b.StopTimer()
	c.expect(b, d.Load().Bytes)
	b.ReportMetric(float64(used.Nanoseconds())/1000/float64(b.N), "cpu-us/delivery")
	b.ReportMetric(perListener, "B/listener")
	b.ReportMetric(float64(d.Load().Partial)/float64(d.Load().Writes), "partial/write")
	b.ReportMetric(busy, "busy")
	b.ReportMetric(float64(late.Microseconds())/1000, "late-ms")
}

// diverted is a TCP connection over which TLS has been agreed on by somebody else:
// the crowd only counts bytes.
type diverted struct {
	*net.TCPConn
	agreed net.Conn  // where the handshake goes
	to     io.Writer // once it is over
}

func (d *diverted) Read(p []byte) (int, error) { return d.agreed.Read(p) }

func (d *diverted) Write(p []byte) (int, error) {
	if d.to != nil {
		return d.to.Write(p)
	}
	return d.agreed.Write(p)
}

func (d *diverted) NetConn() net.Conn { return d.TCPConn }

func (d *diverted) Divert(to io.Writer) error {
	d.to, d.agreed = to, nil
	return d.TCPConn.Close()
}

func handshake(b *testing.B, conn *net.TCPConn, config *tls.Config) net.Conn {
	here, there := net.Pipe()
	client := tls.Client(there, &tls.Config{InsecureSkipVerify: true})
	said := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte(request))
		said <- err
	}()
	server := tls.Server(&diverted{TCPConn: conn, agreed: here}, config)
	got := make([]byte, len(request))
	if _, err := io.ReadFull(server, got); err != nil {
		b.Fatal(err)
	}
	if err := <-said; err != nil {
		b.Fatal(err)
	}
	return server
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
