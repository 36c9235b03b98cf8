package delivery

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fixed is a Stream that always sends the same.
type fixed struct{ pieces [][]byte }

func (f *fixed) Next(now time.Time, _ bool, pieces [][]byte) ([][]byte, Turn) {
	return append(pieces, f.pieces...), Turn{At: now.Add(time.Second)}
}
func (f *fixed) Begun(int)       {}
func (f *fixed) Acked(time.Time) {}
func (f *fixed) Gone(Reason)     {}

// A delivery allocates nothing, nor does a turn that looks at acknowledgements.
func TestADeliveryAllocatesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	fd, err := duplicate(here.(*net.TCPConn), &o)
	if err != nil {
		t.Fatal(err)
	}
	here.Close()
	defer unix.Close(fd)
	p := newLoop(&o, &crowd{})
	who := &listener{stream: &fixed{[][]byte{make([]byte, 3000), make([]byte, 2000)}}, fd: int32(fd), slot: -1}
	buffer := make([]byte, 5000)
	turn := func() {
		now := p.clock()
		who.looked, who.at = now-ackedEvery, 0
		p.wheel.remove(who)
		p.turn(who, now, now)
		for got := 0; got < len(buffer); {
			n, err := there.Read(buffer[got:])
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	turn() // the loop's own room is made
	if n := testing.AllocsPerRun(200, turn); n > 0 {
		t.Errorf("%v allocations a delivery", n)
	}
	if got := p.counts.bytes.Load(); got != 202*5000 {
		t.Errorf("%d bytes counted", got)
	}
}

// What several are sent is joined once, and never taken for something else.
func TestJoined(t *testing.T) {
	var j joiner
	blocks := make([][]byte, 40)
	for i := range blocks {
		blocks[i] = []byte{byte(i), byte(i >> 4), 7}
	}
	for round := range 3 {
		for from := range 30 {
			for to := from + 2; to < from+5; to++ {
				got := j.of(blocks[from:to])
				if want := bytes.Join(blocks[from:to], nil); !bytes.Equal(got, want) {
					t.Fatalf("round %d: blocks %d to %d are %x, not %x", round, from, to, got, want)
				}
			}
		}
	}
	first := j.of(blocks[:8])
	if again := j.of(blocks[:8]); &again[0] != &first[0] {
		t.Error("the same pieces are joined twice")
	}
	if n := testing.AllocsPerRun(100, func() { j.of(blocks[:8]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if got := j.of([][]byte{make([]byte, joinedMost), {1}}); got != nil {
		t.Errorf("%d bytes joined", len(got))
	}
}
