package broadcast

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"hustings/internal/delivery"
	"hustings/internal/elastic"
	"hustings/internal/fmp4"
	"hustings/internal/ogg"
	"hustings/internal/programme"
)

// drawBlock returns a block that may follow the one before: the next, or after a
// loss, or of a new epoch that repeats numbers and leaves a hole.
func drawBlock(t *rapid.T, before *programme.Block) *programme.Block {
	b := &programme.Block{Space: "s", Epoch: 1}
	if before != nil {
		lost := rapid.SampledFrom([]uint64{0, 0, 0, 0, 0, 3}).Draw(t, "lost")
		b.Epoch, b.Seq, b.Start = before.Epoch, before.Seq+1+lost, before.End()+int64(lost)*programme.BlockSamples
		if rapid.IntRange(0, 9).Draw(t, "epoch") == 0 {
			b.Epoch++
			b.Seq -= min(b.Seq, rapid.Uint64Range(0, 3).Draw(t, "repeated"))
			b.Start += 7 * programme.PacketSamples
		}
	}
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	b.Pulse = rapid.SampledFrom([][]byte{
		[]byte("{}"), fmt.Appendf(nil, `{%q:%d}`, key, b.Start), fmt.Appendf(nil, `{%q:null}`, key),
	}).Draw(t, "pulse")
	for r := range b.Rungs {
		for i := range programme.PacketsPerBlock {
			b.Rungs[r] = append(b.Rungs[r], fmt.Appendf(nil, "\x78%d/%d/%d/%d", b.Epoch, b.Seq, r, i))
		}
	}
	return b
}

// noBus is for a Broadcast that does not run.
type noBus struct{}

func (noBus) Subscribe(string, func(string, []byte)) (func(), error) { return func() {}, nil }
func (noBus) Publish(string, []byte) error                           { return nil }

// noDelivery is for a Broadcast whose listeners are served by hand.
type noDelivery struct{}

func (noDelivery) Take(net.Conn, []byte, delivery.Stream) error { return nil }
func (noDelivery) Load() delivery.Load                          { return delivery.Load{} }
func (noDelivery) Drain(context.Context) error                  { return nil }

func byHand(t interface{ Fatal(...any) }) *Broadcast {
	b, err := New(Options{Bus: noBus{}, Delivery: noDelivery{}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hand serves a listener as a loop does, only that a test says how much its socket
// takes.
type hand struct {
	l    *listener
	now  time.Time
	rest []byte
	got  bytes.Buffer
	left bool
}

// take gives the listener a turn, and its socket room for some bytes.
func (h *hand) take(most int, stalled bool) {
	if h.left {
		return
	}
	pieces, turn := h.l.Next(h.now, stalled, nil)
	begun := 0
	for most > 0 {
		if len(h.rest) == 0 {
			if begun == len(pieces) {
				break
			}
			h.rest = pieces[begun]
			begun++
		}
		n := min(most, len(h.rest))
		h.got.Write(h.rest[:n])
		h.rest, most = h.rest[n:], most-n
	}
	h.l.Begun(begun)
	h.left = turn.Leave && begun == len(pieces) && len(h.rest) == 0
}

// TestAListenerNeverBreaksTheStream: however blocks come and however a listener takes
// its bytes, what it gets can be taken apart to the last byte, moves forward in time
// only, and tells at each block the pulse that the log has there, through changes of
// rung and depth.
func TestAListenerNeverBreaksTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as := form{rapid.SampledFrom([]Format{Ogg, MP4}).Draw(t, "format"), programme.Rung(rapid.IntRange(0, 2).Draw(t, "rung"))}
		b := byHand(t)
		f := newFeed("s", limits{backlog: 3, deepest: 4, keep: 6, slack: 2 * time.Second})
		h := &hand{now: time.Now(), l: &listener{to: b, feed: f, own: as, follows: as.Format == MP4 && rapid.Bool().Draw(t, "follows")}}
		var newest *programme.Block
		pulses := make(map[int64]string) // by start of block
		put := func() {
			newest = drawBlock(t, newest)
			if took, err := f.put(newest); err != nil || !took {
				t.Fatalf("block %d of epoch %d: taken %v, %v", newest.Seq, newest.Epoch, took, err)
			}
			pulses[newest.Start] = string(f.newest().after)
		}
		put()
		t.Repeat(map[string]func(*rapid.T){
			"a block comes":     func(t *rapid.T) { put() },
			"many blocks come":  func(t *rapid.T) { put(); put(); put(); put() },
			"time passes":       func(t *rapid.T) { h.now = h.now.Add(time.Second) },
			"it takes a little": func(t *rapid.T) { h.take(rapid.IntRange(1, 300).Draw(t, "bytes"), false) },
			"it takes nothing":  func(t *rapid.T) { h.take(0, len(h.rest) > 0) },
			"it takes all":      func(t *rapid.T) { h.take(1<<20, false) },
			"the plan changes": func(t *rapid.T) {
				p := b.pacing.Load().plan
				p.Rung, p.Version = rapid.IntRange(0, 2).Draw(t, "cap"), p.Version+1
				p.Depth = time.Duration(rapid.IntRange(3, 48).Draw(t, "depth")) * elastic.Step
				b.pacing.Store(newPacing(p))
			},
		})
		f.close()
		for !h.left {
			h.take(1<<20, false)
		}
		if h.got.Len() == 0 {
			return // it never came in
		}
		if as.Format == MP4 {
			checkMP4(t, h.got.Bytes(), as.Rung, pulses, newest.Start)
		} else {
			checkOgg(t, h.got.Bytes(), newest.End())
		}
	})
}

func checkMP4(t *rapid.T, data []byte, rung programme.Rung, pulses map[int64]string, newest int64) {
	var pulse []byte
	last := int64(-1)
	r := fmp4.NewReader(bytes.NewReader(data))
	for {
		part, err := r.Next()
		switch {
		case err == io.EOF:
			if last != newest {
				t.Fatalf("the last block heard is at %d, not %d", last, newest)
			}
			return
		case err != nil:
			t.Fatalf("after sample %d: %v", last, err)
		case part.Event != nil && part.Event.Scheme == PaceScheme:
		case part.Event != nil:
			if part.Event.Value == "state" {
				pulse = nil
			}
			if pulse, err = programme.Apply(pulse, part.Event.Data); err != nil {
				t.Fatal(err)
			}
		case part.Fragment != nil:
			at := int64(part.Fragment.Time)
			if at <= last {
				t.Fatalf("sample %d after %d", at, last)
			}
			last = at
			if want := pulses[at]; string(pulse) != want && want != "{}" {
				t.Fatalf("at sample %d the pulse is %s, want %s", at, pulse, want)
			}
			parts := bytes.Split(part.Fragment.Packets[0], []byte("/"))
			if got, err := strconv.Atoi(string(parts[2])); err != nil || got < int(rung) {
				t.Fatalf("packet %q is of a better rung than %d", part.Fragment.Packets[0], rung)
			}
		}
	}
}

func checkOgg(t *rapid.T, data []byte, end int64) {
	r := ogg.NewReader(bytes.NewReader(data))
	last := int64(0)
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after sample %d: %v", last, err)
		}
		if p.Granule == ogg.NoGranule {
			continue
		}
		if p.Granule <= last {
			t.Fatalf("sample %d after %d", p.Granule, last)
		}
		last = p.Granule
	}
	if last != end {
		t.Fatalf("the last page ends at %d, not %d", last, end)
	}
}

// TestWhoComesFromElsewhereIsAsDeepAsItWas: a page that lost its edge goes on where
// it was, however deep joiners begin, and has to be sent its sound as often as before.
func TestWhoComesFromElsewhereIsAsDeepAsItWas(t *testing.T) {
	b, err := New(Options{Bus: noBus{}, Delivery: noDelivery{}, Elastic: elastic.Options{PinInterval: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed("s", b.limits)
	fill(t, f, 0, 60)
	deep := b.pacing.Load().plan.Depth
	for had, want := range map[time.Duration]time.Duration{0: deep, 2 * time.Second: 2 * time.Second, time.Hour: deep} {
		now := time.Now()
		l := &listener{to: b, feed: f, own: form{MP4, programme.Rung48}, follows: true, had: had}
		l.Next(now, false, nil)
		at := now.Sub(b.began)
		plan := b.pacing.Load().plan
		if got := l.model.Depth(at, plan); got != want {
			t.Errorf("one that was %v deep is believed to be %v deep, want %v", had, got, want)
		}
		if got := l.model.Interval(at, plan); got > max(elastic.Shortest, want-500*time.Millisecond) {
			t.Errorf("one that was %v deep is to wait for %v", had, got)
		}
	}
}

// fill puts blocks from up to but not to.
func fill(t *testing.T, f *feed, from, to uint64) {
	t.Helper()
	for seq := from; seq < to; seq++ {
		block := &programme.Block{Space: "s", Epoch: 1, Seq: seq, Start: int64(seq) * programme.BlockSamples, Pulse: []byte(`{}`)}
		for r := range block.Rungs {
			block.Rungs[r] = slices.Repeat([][]byte{{0x78, 1}}, programme.PacketsPerBlock)
		}
		if _, err := f.put(block); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhoWasMovedToTheLiveEdgeIsSentSoundAtOnce: it has half a second there, and not
// the depth that it had before, whenever its socket has room again.
func TestWhoWasMovedToTheLiveEdgeIsSentSoundAtOnce(t *testing.T) {
	for name, blocked := range map[string]bool{"at its turn": false, "between two turns": true} {
		b, err := New(Options{Bus: noBus{}, Delivery: noDelivery{}, Elastic: elastic.Options{PinInterval: 10 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		f := newFeed("s", b.limits)
		fill(t, f, 0, 60)
		l := &listener{to: b, feed: f, own: form{MP4, programme.Rung48}, follows: true}
		now := time.Now()
		next := func(stalled bool, begun int) time.Duration {
			_, turn := l.Next(now, stalled, nil)
			l.Begun(begun)
			return turn.At.Sub(now)
		}
		now = now.Add(next(false, 1))
		fill(t, f, 60, 62)
		now = now.Add(next(false, 2)) // it has 10 s and more in hand
		fill(t, f, 62, 82)
		if blocked {
			next(true, 0)
			now = now.Add(100 * time.Millisecond)
		}
		if wait := next(!blocked, 1); l.next != 82 || wait > elastic.Shortest {
			t.Errorf("%s: moved to %d of 82, and sent something again after %v", name, l.next, wait)
		}
		now = now.Add(elastic.Shortest)
		fill(t, f, 82, 83)
		if wait := next(false, 1); l.next != 83 || wait > elastic.Shortest {
			t.Errorf("%s: then sent %d of 83, and something again after %v", name, l.next, wait)
		}
	}
}

// TestAHoleInTheProgrammeTakesFromWhatIsInHand: who plays on over it would wait for too
// long for the next delivery.
func TestAHoleInTheProgrammeTakesFromWhatIsInHand(t *testing.T) {
	b, err := New(Options{Bus: noBus{}, Delivery: noDelivery{}, Elastic: elastic.Options{PinInterval: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed("s", b.limits)
	fill(t, f, 0, 60)
	l := &listener{to: b, feed: f, own: form{MP4, programme.Rung48}, follows: true}
	now := time.Now()
	_, turn := l.Next(now, false, nil)
	l.Begun(1)
	fill(t, f, 68, 70) // 4 s are missing
	now = turn.At
	_, turn = l.Next(now, false, nil)
	l.Begun(2)
	deep := b.pacing.Load().plan.Depth
	if got, most := l.model.Depth(now.Sub(b.began), b.pacing.Load().plan), deep-4*time.Second; got > most {
		t.Errorf("it is believed to be %v deep, want %v at most", got, most)
	}
	if wait, most := turn.At.Sub(now), elastic.IntervalAt(deep-4*time.Second); wait > most {
		t.Errorf("its next turn is after %v, want %v at most", wait, most)
	}
}

// TestADeliveryAllocatesNothing: what a block costs for each listener beside its
// write is no memory.
func TestADeliveryAllocatesNothing(t *testing.T) {
	b := byHand(t)
	f := newFeed("s", b.limits)
	l := &listener{to: b, feed: f, own: form{MP4, programme.Rung48}, follows: true}
	block := &programme.Block{Space: "s", Epoch: 1, Pulse: []byte(`{"a":1}`)}
	for r := range block.Rungs {
		for range programme.PacketsPerBlock {
			block.Rungs[r] = append(block.Rungs[r], []byte{0x78, 1})
		}
	}
	if _, err := f.put(block); err != nil {
		t.Fatal(err)
	}
	pieces := make([][]byte, 0, 8)
	now := time.Now()
	l.Next(now, false, pieces)
	l.Begun(1)
	f.newest().bytes(l.own) // by the first of all listeners
	allocations := testing.AllocsPerRun(100, func() {
		l.next, l.told = 0, 0
		now = now.Add(time.Second)
		got, _ := l.Next(now, false, pieces)
		if len(got) != 2 {
			t.Fatalf("%d pieces, want the depth and a block", len(got))
		}
		l.Begun(2)
		l.Acked(now)
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
	if size := unsafe.Sizeof(*l); size > 256 {
		t.Errorf("a listener takes %d bytes", size)
	}
}
