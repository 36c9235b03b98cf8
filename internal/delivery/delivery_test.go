package delivery_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"hustings/internal/delivery"
)

// A listener hears the head and what there is at once, then what comes, in order and
// to the last byte; and it is told the end.
func TestFromTheHeadToTheEnd(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{})
		p := newProgramme(3, func(n int64) int { return 100 + int(n)*977%5000 })
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(5 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		got := listen(p, there)
		const pieces = 100
		for n := int64(4); n <= pieces; n++ {
			p.edge.Store(n)
			time.Sleep(time.Millisecond / 2)
		}
		until(t, "some turns are over", func() bool { return s.turns.Load() > 5 })
		p.final.Store(true)
		within(t, got, "the end").all(t, pieces)
		there.Close()
		s.wait(t, delivery.Ended)
		until(t, "it is counted out", func() bool { return d.Load().Listeners == 0 })
		if load := d.Load(); load.Taken != 1 || load.Closed[delivery.Ended] != 1 || load.Bytes < 1000 || load.Writes < 2 {
			t.Errorf("the load is %+v", load)
		}
	})
}

// A joiner's first turn is at once, however long T is.
func TestAJoinerDoesNotWait(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, stop := run(t, delivery.Options{})
		p := newProgramme(10, always(3000))
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(time.Hour)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		want := len(head) + 10*3000
		if n, err := io.CopyN(io.Discard, there, int64(want)); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		stop()
		s.wait(t, delivery.Cut)
		if err := d.Take(here, nil, s); !errors.Is(err, delivery.ErrClosed) {
			t.Errorf("Take behind the end: %v", err)
		}
	})
}

// Whoever is taken before the loops run is served when they do.
func TestTakenBeforeRun(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, err := delivery.New(delivery.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := newProgramme(2, always(1000))
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(10 * time.Millisecond)
		p.final.Store(true)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		within(t, listen(p, there), "the end").all(t, 2)
		there.Close()
		s.wait(t, delivery.Ended)
		cancel()
		if err := within(t, done, "the end of Run"); err != nil {
			t.Error(err)
		}
	})
}

// Whoever is taken and never served is cut by a drain that has no time.
func TestNeverRun(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, err := delivery.New(delivery.Options{})
		if err != nil {
			t.Fatal(err)
		}
		here, _, _ := newHouse(t).connect(k)
		p := newProgramme(1, always(4<<20))
		s := p.stream(time.Second)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := d.Drain(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Drain: %v", err)
		}
		s.wait(t, delivery.Cut)
	})
}

func TestAListenerLeaves(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{})
		p := newProgramme(1, always(500))
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(20 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, there, int64(len(head)+500)); err != nil {
			t.Fatal(err)
		}
		there.Close()
		for n := int64(1); ; n++ {
			p.edge.Store(n)
			select {
			case <-s.gone:
			case <-time.After(5 * time.Millisecond):
				continue
			}
			break
		}
		s.wait(t, delivery.Left)
	})
}

// A reader with a small window that takes its time gets all, to the byte, though
// most writes are partial.
func TestASlowReaderMissesNothing(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{SendBuffer: 8 << 10})
		p := newProgramme(0, func(n int64) int { return 1 + int(n*n*7919)%90_000 })
		h := newHouse(t)
		h.window = 16 << 10
		here, there, _ := h.connect(k)
		s := p.stream(10 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		got := listen(p, &sips{r: there, most: 9000})
		const pieces = 60
		for n := range int64(pieces) {
			until(t, "the last but one piece is under way", func() bool { return d.Load().Bytes > uint64(n) })
			p.edge.Store(n + 1)
		}
		p.final.Store(true)
		end := within(t, got, "the end")
		if s.stalls.Load() == 0 { // a loaded machine may take the reader for a stalled one
			end.all(t, pieces)
		} else if end.err != nil {
			t.Fatal(end.err)
		}
		there.Close()
		s.wait(t, delivery.Ended)
		if load := d.Load(); load.Partial == 0 && k.looped {
			t.Errorf("no write was partial: %+v", load)
		}
	})
}

// sips reads a little at a time, and rests in between.
type sips struct {
	r    io.Reader
	most int
	rest time.Duration
}

func (s *sips) Read(b []byte) (int, error) {
	time.Sleep(s.rest)
	return s.r.Read(b[:min(len(b), s.most)])
}

// TestAThreeMegabitReader: who has 3 Mb/s hears a delivery of 24 s, 144 kB, whole:
// the pieces that the socket had no room for are asked for again as soon as there is
// some, not at the next turn.
func TestAThreeMegabitReader(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		if testing.Short() {
			t.Skip("takes a second")
		}
		d, stop := run(t, delivery.Options{})
		const pieces = 48
		p := newProgramme(pieces, always(3000))
		h := newHouse(t)
		h.window = 16 << 10
		here, there, _ := h.connect(k)
		s := p.stream(time.Hour)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		const rate, sip = 3_000_000 / 8, 4 << 10
		slow := &sips{r: there, most: sip, rest: time.Second * sip / rate}
		got := make(chan heard, 1)
		go func() {
			numbers, err := hear(p, io.LimitReader(slow, int64(len(head)+pieces*3000)), false)
			got <- heard{numbers, err}
		}()
		within(t, got, "all pieces of one turn").all(t, pieces)
		if s.stalls.Load() > 0 {
			t.Error("a slow reader was taken for a stalled one")
		}
		if load := d.Load(); k.looped && load.Partial == 0 {
			t.Errorf("no write was partial: %+v", load)
		}
		stop()
		s.wait(t, delivery.Cut)
	})
}

// Who stalls is told to its Stream, goes on at the live edge on the boundary of a
// piece, and hears to the end.
func TestAStalledReaderSkips(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		if k.secure && !k.looped {
			t.Skip("a goroutine behind TLS can't tell: see the closing of who stalls")
		}
		d, _ := run(t, delivery.Options{SendBuffer: 8 << 10})
		p := newProgramme(1, always(50_000))
		h := newHouse(t)
		h.window = 16 << 10
		here, there, _ := h.connect(k)
		s := p.stream(30 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		for edge := int64(2); s.stalls.Load() < 5; edge++ {
			p.edge.Store(edge)
			time.Sleep(5 * time.Millisecond)
		}
		edge := p.edge.Load() + 1
		p.edge.Store(edge)
		p.final.Store(true)
		got := within(t, listen(p, there), "the end")
		if got.err != nil {
			t.Fatal(got.err)
		}
		if n := len(got.numbers); got.numbers[n-1] != edge-1 || n > int(edge)-3 {
			t.Errorf("heard %v, want some, then a gap, then %d", got.numbers, edge-1)
		}
		there.Close()
		s.wait(t, delivery.Ended)
		if d.Load().Stalls == 0 {
			t.Error("no stall was counted")
		}
	})
}

// Who takes nothing for long is closed.
func TestWhoTakesNothingIsClosed(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		const stall = 300 * time.Millisecond
		d, _ := run(t, delivery.Options{SendBuffer: 8 << 10, Stall: stall})
		p := newProgramme(1, always(6<<20))
		h := newHouse(t)
		h.window = 16 << 10
		here, _, _ := h.connect(k)
		s := p.stream(20 * time.Millisecond)
		began := time.Now()
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		s.wait(t, delivery.Stalled)
		if took := time.Since(began); took < stall {
			t.Errorf("closed after %v already", took)
		}
		if d.Load().Closed[delivery.Stalled] != 1 {
			t.Errorf("the load is %+v", d.Load())
		}
	})
}

// Whatever a client sends behind its request is not read, and does not spoil the end.
func TestGarbageBehindTheRequest(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{})
		p := newProgramme(20, always(3000))
		here, there, under := newHouse(t).connect(k)
		said := make(chan struct{})
		go func() { // the pipeline is full long before all is written: this ends with the connection
			defer close(said)
			garbage := make([]byte, 300_000)
			_, _ = under.Write(garbage)
		}()
		s := p.stream(10 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		until(t, "some turns", func() bool { return s.turns.Load() > 10 })
		p.final.Store(true)
		within(t, listen(p, there), "the end").all(t, 20)
		under.Close()
		<-said
		s.wait(t, delivery.Ended)
	})
}

// A client that never closes its side does not hold anything up.
func TestAClientThatDoesNotClose(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{Linger: 50 * time.Millisecond})
		p := newProgramme(2, always(3000))
		p.final.Store(true)
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(time.Second)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		within(t, listen(p, there), "the end").all(t, 2)
		s.wait(t, delivery.Ended)
	})
}

// A drain sends what there is and lets all go, however far away their turns are.
func TestDrain(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{})
		h := newHouse(t)
		p := newProgramme(1, always(3000))
		var streams []*stream
		var got []chan heard
		for range 10 {
			here, there, under := h.connect(k)
			s := p.stream(time.Hour)
			if err := d.Take(here, []byte(head), s); err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
			c := make(chan heard, 1)
			got = append(got, c)
			go func() {
				numbers, err := hear(p, there, false)
				under.Close()
				c <- heard{numbers, err}
			}()
		}
		for _, s := range streams {
			until(t, "the first turn", func() bool { return s.turns.Load() == 1 })
		}
		p.edge.Store(4)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := d.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		for i, s := range streams {
			within(t, got[i], "the end").all(t, 4)
			s.wait(t, delivery.Ended)
		}
		here, there, _ := h.connect(k)
		if err := d.Take(here, []byte(head), p.stream(time.Second)); !errors.Is(err, delivery.ErrClosed) {
			t.Errorf("Take behind a drain: %v", err)
		}
		// And the connection is still ours.
		go func() { _, _ = io.WriteString(here, "no"); here.Close() }()
		if answer, err := io.ReadAll(there); err != nil || string(answer) != "no" {
			t.Errorf("read %q, %v", answer, err)
		}
	})
}

// A drain finishes what was begun, and cuts who does not take it in time.
func TestDrainOfWhoDoesNotTake(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		d, _ := run(t, delivery.Options{})
		p := newProgramme(3, always(5<<20))
		here, _, _ := newHouse(t).connect(k)
		s := p.stream(10 * time.Millisecond)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		until(t, "it is under way", func() bool { return d.Load().Bytes > 0 })
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if err := d.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v", err)
		}
		s.wait(t, delivery.Cut)
	})
}

// Acknowledgements are told, soon enough for a tally.
func TestAcknowledged(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		if testing.Short() {
			t.Skip("takes 5 s")
		}
		d, stop := run(t, delivery.Options{})
		p := newProgramme(1, always(3000))
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(100 * time.Millisecond)
		began := time.Now()
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, there)
		until(t, "two acknowledgements", func() bool {
			p.edge.Add(1)
			return s.acks.Load() >= 2
		})
		if at := time.Unix(0, s.acked.Load()); at.Before(began) || at.After(time.Now()) {
			t.Errorf("acknowledged up to %v, between %v and now", at, began)
		}
		stop()
		s.wait(t, delivery.Cut)
	})
}

// Who has joined is not told of only at its next turn, which may be far away.
func TestAJoinerIsAcknowledgedBeforeItsSecondTurn(t *testing.T) {
	each(t, func(t *testing.T, k kind) {
		if testing.Short() {
			t.Skip("takes 2 s")
		}
		d, stop := run(t, delivery.Options{})
		p := newProgramme(3, always(3000))
		here, there, _ := newHouse(t).connect(k)
		s := p.stream(time.Hour)
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, there)
		until(t, "an acknowledgement", func() bool { return s.acks.Load() >= 1 })
		if n := s.turns.Load(); n != 1 {
			t.Errorf("%d turns, want the first alone", n)
		}
		stop()
		s.wait(t, delivery.Cut)
	})
}

// Connections that are not TCP at all are served too.
func TestAPipe(t *testing.T) {
	t.Parallel()
	d, _ := run(t, delivery.Options{})
	p := newProgramme(5, always(3000))
	p.final.Store(true)
	here, there := net.Pipe()
	s := p.stream(10 * time.Millisecond)
	if err := d.Take(here, []byte(head), s); err != nil {
		t.Fatal(err)
	}
	within(t, listen(p, there), "the end").all(t, 5)
	s.wait(t, delivery.Ended)
}

// TestComeAndGo has a crowd join and leave at random, in the middle of whatever is
// under way.
func TestComeAndGo(t *testing.T) {
	joins := 1000
	if testing.Short() {
		joins = 100
	}
	eachAlone(t, func(t *testing.T, k kind) {
		if !k.looped || k.secure {
			joins := min(joins, 200)
			comeAndGo(t, k, joins)
			return
		}
		comeAndGo(t, k, joins)
	})
}

func comeAndGo(t *testing.T, k kind, joins int) {
	before := descriptors(t)
	d, stop := run(t, delivery.Options{SendBuffer: 16 << 10, Linger: time.Second})
	p := newProgramme(2, func(n int64) int { return 50 + int(n*7919)%5000 })
	h := newHouse(t)
	streams := make([]*stream, joins)
	var there sync.WaitGroup
	for i := range streams {
		here, client, under := h.connect(k)
		streams[i] = p.stream(time.Duration(1+rand.IntN(20)) * time.Millisecond)
		if err := d.Take(here, []byte(head), streams[i]); err != nil {
			t.Fatal(err)
		}
		there.Go(func() {
			defer under.Close()
			if i%4 == 0 { // stays to the end
				if _, err := hear(p, client, false); err != nil {
					t.Errorf("listener %d: %v", i, err)
				}
				return
			}
			if _, err := hear(p, io.LimitReader(client, 1000+rand.Int64N(100_000)), true); err != nil {
				t.Errorf("listener %d: %v", i, err)
			}
		})
		p.edge.Add(1)
	}
	p.final.Store(true)
	there.Wait()
	until(t, "all are gone", func() bool { return d.Load().Listeners == 0 })
	for _, s := range streams {
		<-s.gone
		s.sound(t)
		if s.why != delivery.Left && s.why != delivery.Ended {
			t.Errorf("a listener is gone: %v", s.why)
		}
	}
	stop()
	h.port.Close()
	until(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
}

// The turns of many are spread evenly when their Streams spread them.
func TestTurnsAreSpread(t *testing.T) {
	t.Parallel()
	const listeners, slices = 200, 10
	const every = 250 * time.Millisecond
	d, _ := run(t, delivery.Options{})
	h := newHouse(t)
	p := newProgramme(1, always(100))
	began := time.Now()
	var mu sync.Mutex
	var counts [slices]int
	for i := range listeners {
		here, there, _ := h.connect(kinds[0])
		go io.Copy(io.Discard, there)
		s := p.stream(every)
		s.first = every * time.Duration(i) / listeners
		s.on = func(now time.Time) {
			mu.Lock()
			defer mu.Unlock()
			if s.begun { // not the first
				counts[now.Sub(began)%every*slices/every]++
			}
		}
		if err := d.Take(here, []byte(head), s); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "three rounds", func() bool {
		mu.Lock()
		defer mu.Unlock()
		total := 0
		for _, n := range counts {
			total += n
		}
		return total > 3*listeners
	})
	mu.Lock()
	defer mu.Unlock()
	// Even would be a tenth each. The joining itself took time, and the machine may be
	// busy; bursts would be all in one.
	for _, n := range counts {
		if n > 4*listeners*3/slices {
			t.Fatalf("turns come in bursts: %v", counts)
		}
	}
}
