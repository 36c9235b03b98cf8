package broadcast_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/broadcast"
	"hustings/internal/delivery"
	"hustings/internal/elastic"
	"hustings/internal/programme"
	"hustings/internal/space"
)

const town = space.ID("town-hall")

// bus is a bus that hands messages over within the call of send.
type bus struct {
	mu        sync.Mutex
	handle    func(subject string, data []byte)
	published map[string][]string
	told      chan struct{} // closed once handle is there
}

func newBus() *bus {
	return &bus{published: make(map[string][]string), told: make(chan struct{})}
}

func (b *bus) Subscribe(subject string, handle func(subject string, data []byte)) (func(), error) {
	if subject != "hustings.block.*" {
		return nil, fmt.Errorf("a subscription to %s", subject)
	}
	b.handle = handle
	close(b.told)
	return func() {}, nil
}

func (b *bus) Publish(subject string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published[subject] = append(b.published[subject], string(data))
	return nil
}

func (b *bus) messages(subject string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.published[subject]...)
}

// fixture is a Broadcast that runs until the test ends, and the stage that speaks to it.
type fixture struct {
	*broadcast.Broadcast
	t       testing.TB
	bus     *bus
	loops   *delivery.Loops
	metrics *prometheus.Registry
	stop    func() // ends Run, lets the listeners go and waits for all of it
}

// start starts a Broadcast to listeners on pipes, who are served without a loop. It
// works in a bubble of synctest too.
func start(t testing.TB, o broadcast.Options) *fixture {
	t.Helper()
	f := &fixture{t: t, bus: newBus(), metrics: prometheus.NewRegistry()}
	var err error
	if f.loops, err = delivery.New(delivery.Options{}); err != nil {
		t.Fatal(err)
	}
	o.Bus, o.Metrics, o.Node, o.Delivery = f.bus, f.metrics, "here", f.loops
	if f.Broadcast, err = broadcast.New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	<-f.bus.told
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_ = f.loops.Drain(ctx) // who does not go is cut
	})
	t.Cleanup(f.stop)
	return f
}

// startTCP is start for listeners on TCP, who are served by loops. The machine that it
// runs on may be so busy with other things that an audience would be slowed for it, so
// the interval is pinned.
func startTCP(t testing.TB, o broadcast.Options) *fixture {
	t.Helper()
	o.Elastic.PinInterval = elastic.Shortest
	f := start(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.loops.Run(ctx) }()
	stop := f.stop
	f.stop = sync.OnceFunc(func() {
		stop()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the loops: %v", err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

// say publishes a block.
func (f *fixture) say(b *programme.Block) {
	f.t.Helper()
	data, err := b.AppendBinary(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	f.bus.handle("hustings.block."+string(b.Space), data)
}

// block returns block seq of the first epoch, whose packets tell it from all others
// and whose pulse says its number.
func block(seq uint64) *programme.Block {
	b := &programme.Block{
		Space: town, Epoch: 1, Seq: seq, Start: int64(seq) * programme.BlockSamples,
		Pulse: fmt.Appendf(nil, `{"seq":%d}`, seq),
	}
	if seq == 0 {
		b.Pulse = []byte(`{"phase":"open","seq":0,"title":"A town hall"}`)
	}
	for r := range b.Rungs {
		for i := range programme.PacketsPerBlock {
			b.Rungs[r] = append(b.Rungs[r], packet(seq, r, i))
		}
	}
	return b
}

// packet returns bytes that are like no other packet's, 20 ms long by their TOC.
func packet(seq uint64, rung, i int) []byte {
	text := fmt.Sprintf("\x78 block %d rung %d packet %d ", seq, rung, i)
	return []byte(text + strings.Repeat(".", 40/(rung+1)))
}

// final makes b the last block.
func final(b *programme.Block) *programme.Block {
	b.Final = true
	b.Pulse = []byte(`{"phase":"ended"}`)
	return b
}

// talk publishes blocks from up to but not to.
func (f *fixture) talk(from, to uint64) {
	f.t.Helper()
	for seq := from; seq < to; seq++ {
		f.say(block(seq))
	}
}

// live publishes blocks from up to but not to, at the pace of the stage.
func (f *fixture) live(from, to uint64) {
	f.t.Helper()
	for seq := from; seq < to; seq++ {
		f.say(block(seq))
		time.Sleep(500 * time.Millisecond)
	}
}

// attach attaches one end of a pipe and returns the other, and a channel that is
// closed when the listener is gone.
func (f *fixture) attach(format broadcast.Format, head string) (net.Conn, <-chan struct{}) {
	f.t.Helper()
	here, there := f.pipe()
	done := make(chan struct{})
	f.join(broadcast.Listener{Format: format, Conn: here, Head: []byte(head), Done: func() { close(done) }})
	return there, done
}

// join attaches a listener to the town hall.
func (f *fixture) join(l broadcast.Listener) {
	f.t.Helper()
	l.Space = town
	if err := f.Attach(l); err != nil {
		f.t.Fatal(err)
	}
}

// pipe returns our end and the listener's of a pipe.
func (f *fixture) pipe() (here, there net.Conn) {
	here, there = net.Pipe()
	f.t.Cleanup(func() { there.Close() })
	return here, there
}

// listen reads from conn until it ends, and then sends all of it.
func listen(conn io.Reader) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		data, _ := io.ReadAll(conn) // how it ended shows in what was read
		all <- data
	}()
	return all
}

// figure returns a metric of the broadcast, of several that of a label.
func (f *fixture) figure(name string, label ...string) int {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "hustings_broadcast_"+name {
			for _, m := range family.GetMetric() {
				if len(label) == 0 || m.GetLabel()[0].GetValue() == label[0] {
					return int(m.GetGauge().GetValue() + m.GetCounter().GetValue())
				}
			}
		}
	}
	f.t.Fatalf("there is no metric %s", name)
	return 0
}

// equalJSON reports whether two texts are the same value.
func equalJSON(t testing.TB, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatalf("%q, %q: %v", a, b, err)
	}
	return reflect.DeepEqual(x, y)
}

// within fails the test if c yields nothing for a while.
func within[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing for 20 s", what)
	}
	return v
}
