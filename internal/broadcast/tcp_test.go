package broadcast_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/elastic"
	"hustings/internal/fmp4"
	"hustings/internal/programme"
)

// dial returns both ends of a TCP connection.
func dial(t testing.TB, l net.Listener) (here, there net.Conn) {
	t.Helper()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if here, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return here, there
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A listener on TCP that reads nothing for a long time must not be fed from minutes
// of audio in the kernel, but from the live edge.
func TestASlowTCPListenerSkips(t *testing.T) {
	f := startTCP(t, broadcast.Options{})
	f.talk(0, 1)
	here, there := dial(t, listenTCP(t))
	defer there.Close()
	if err := f.Attach(broadcast.Listener{Space: town, Format: broadcast.MP4, Conn: here}); err != nil {
		t.Fatal(err)
	}
	const blocks = 400 // 200 s
	for seq := uint64(1); seq < blocks; seq++ {
		f.say(block(seq))
		if seq%10 == 0 {
			time.Sleep(time.Millisecond) // the pace of the stage, only faster
		}
	}
	all := listen(there)
	until(t, "the slow listener skips", func() bool { return f.figure("skips_total") > 0 })
	f.say(final(block(blocks)))
	h := parseMP4(t, within(t, all, "the end"))
	if !slices.IsSorted(h.blocks) || h.blocks[len(h.blocks)-1] != blocks {
		t.Errorf("heard %v", h.blocks)
	}
	if len(h.blocks) > blocks/2 {
		t.Errorf("heard %d of %d blocks: it was not moved to the live edge", len(h.blocks), blocks)
	}
}

// One who is connected and acknowledges nothing any more, as when its network went
// away without a word, is not counted for long, and not closed so soon either.
func TestWhoAcknowledgesNothingIsNotCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("takes T + 5 s")
	}
	f := startTCP(t, broadcast.Options{})
	f.talk(0, 6)
	l := listenTCP(t)
	deafHere, deaf := dial(t, l)
	defer deaf.Close()
	if err := deaf.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	here, there := dial(t, l)
	all := listen(there)
	for _, conn := range []net.Conn{deafHere, here} {
		f.join(broadcast.Listener{Format: broadcast.MP4, Conn: conn})
	}
	go func() { // it reads for a while, and then no more
		for began := time.Now(); time.Since(began) < 4*time.Second; {
			_, _ = deaf.Read(make([]byte, 4<<10))
		}
	}()
	seq := uint64(6)
	say := func(blocks int) { // as much as a better rung would be
		for range blocks {
			f.say(block(seq))
			seq++
		}
		time.Sleep(100 * time.Millisecond)
	}
	until(t, "both are counted", func() bool { say(1); return f.Tally(town).Now == 2 })
	began := time.Now()
	until(t, "the deaf one is not", func() bool { say(8); return f.Tally(town).Now == 1 })
	t.Logf("after %v", time.Since(began))
	if got := f.figure("listeners"); got != 2 {
		t.Errorf("%d are connected, want both", got)
	}
	f.say(final(block(seq)))
	if h := parseMP4(t, within(t, all, "the end")); h.blocks[len(h.blocks)-1] != seq {
		t.Errorf("the other one heard up to %d of %d", h.blocks[len(h.blocks)-1], seq)
	}
}

// Behind TLS the end is told in good order too: else a client would have to take
// it for an attack that cut the stream.
func TestATLSListenerHearsTheEnd(t *testing.T) {
	f := startTCP(t, broadcast.Options{})
	f.talk(0, 10)
	server := httptest.NewTLSServer(handler(t, f))
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/live.mp4")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	f.say(final(block(10)))
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("the body ended with %v", err)
	}
	if h := parseMP4(t, data); !slices.Equal(h.blocks, run(4, 11)) && !slices.Equal(h.blocks, run(5, 11)) {
		t.Errorf("heard %v, want the backlog and the last block", h.blocks)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// descriptors returns how many this process has open; 0 where that is not to be known.
func descriptors() int {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(open)
}

// TestManyComeAndGo: listeners join and leave while blocks come; each hears a
// stream that is whole, and in the end nothing is left of them.
func TestManyComeAndGo(t *testing.T) {
	listeners := 1000
	if testing.Short() {
		listeners = 150
	}
	f := startTCP(t, broadcast.Options{Backlog: time.Second})
	f.talk(0, 3)
	l := listenTCP(t)
	var done atomic.Int64
	here, there := dial(t, l)
	f.join(broadcast.Listener{Format: broadcast.Ogg, Conn: here, Done: func() { done.Add(1) }})
	there.Close()
	until(t, "the loops run", func() bool { return done.Swap(0) == 1 })
	before := descriptors()
	var crowd sync.WaitGroup
	for i := range listeners {
		here, there := dial(t, l)
		as := broadcast.Listener{
			Format: []broadcast.Format{broadcast.Ogg, broadcast.MP4}[i%2], Rung: programme.Rung(i % 3), Follows: i%5 < 2,
			Conn: here, Done: func() { done.Add(1) },
		}
		f.join(as)
		crowd.Go(func() { visit(t, there, as, i%3 == 0, uint64(listeners)+3) })
		f.say(block(uint64(i) + 3))
	}
	if !testing.Short() { // acknowledgements are looked at every few seconds
		until(t, "those who stay are counted", func() bool { return f.Tally(town).Total >= listeners*2/3 })
	}
	f.say(final(block(uint64(listeners) + 3)))
	crowd.Wait()
	until(t, "all are gone", func() bool { return done.Load() == int64(listeners) })
	if n := f.figure("listeners"); n != 0 {
		t.Errorf("%d listeners are left", n)
	}
	until(t, "nobody is counted any more", func() bool { return f.Tally(town).Now == 0 })
	until(t, "no descriptor is left", func() bool { return descriptors() <= before })
}

// visit listens to the end, or leaves in the middle of a block.
func visit(t *testing.T, conn net.Conn, as broadcast.Listener, leaves bool, last uint64) {
	defer conn.Close()
	if leaves {
		_, _ = io.CopyN(io.Discard, conn, rand.Int64N(20000))
		return
	}
	data, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("a listener to %s: %v", as.Format, err)
	}
	if as.Format == broadcast.Ogg {
		if !bytes.HasPrefix(data, []byte("OggS")) || !bytes.Contains(data, []byte(fmt.Sprintf(" block %d rung %d packet 24 ", last, as.Rung))) {
			t.Errorf("a listener to Ogg did not hear the end")
		}
		return
	}
	h := parseMP4(t, data)
	if h.blocks[len(h.blocks)-1] != last || slices.Min(h.rungs) != int(as.Rung) || slices.Max(h.rungs) != int(as.Rung) {
		t.Errorf("a listener to MP4 at rung %d heard up to block %d of %d, at rungs %d to %d",
			as.Rung, h.blocks[len(h.blocks)-1], last, slices.Min(h.rungs), slices.Max(h.rungs))
	}
	if (len(h.depths) > 0) != as.Follows {
		t.Errorf("told the depths %v; it follows: %v", h.depths, as.Follows)
	}
}

// A line that is a little faster than the programme is enough, however rarely and
// however much at once it is sent: nothing is skipped, and nobody is closed.
func TestANarrowLineIsEnough(t *testing.T) {
	for _, rate := range []int{375_000, 8_000} { // bytes a second: 3 Mb/s, and 64 kb/s
		synctest.Test(t, func(t *testing.T) {
			f := start(t, broadcast.Options{Elastic: elastic.Options{PinInterval: 20 * time.Second}})
			whole := func(seq uint64) *programme.Block {
				b := block(seq)
				for i, p := range b.Rungs[0] {
					b.Rungs[0][i] = append(p, make([]byte, 120-len(p))...)
				}
				return b
			}
			for seq := range uint64(60) {
				f.say(whole(seq))
			}
			here, there := f.pipe()
			f.join(broadcast.Listener{Format: broadcast.MP4, Conn: here, Follows: true})
			got := make(chan []byte, 1)
			go func() {
				var all []byte
				for some := make([]byte, rate/100); ; time.Sleep(10 * time.Millisecond) {
					n, err := io.ReadFull(there, some)
					if all = append(all, some[:n]...); err != nil {
						got <- all
						return
					}
				}
			}()
			const last = 60 + 240 // two minutes
			for seq := uint64(60); seq < last; seq++ {
				f.say(whole(seq))
				time.Sleep(500 * time.Millisecond)
			}
			f.say(final(whole(last)))
			var blocks []uint64
			r := fmp4.NewReader(bytes.NewReader(<-got))
			for {
				part, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if part.Fragment != nil {
					blocks = append(blocks, uint64(part.Fragment.Sequence)-1)
				}
			}
			if want := run(blocks[0], last+1); !slices.Equal(blocks, want) || len(blocks) < 240+45 {
				t.Errorf("at %d bytes a second: heard %v", rate, blocks)
			}
		})
	}
}
