package broadcast

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

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

// TestACursorNeverBreaksTheStream: however blocks come and however a listener
// takes its bytes, what it gets can be taken apart to the last byte, moves forward
// in time only, and tells at each block the pulse that the log has there.
func TestACursorNeverBreaksTheStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as := form{rapid.SampledFrom([]Format{Ogg, MP4}).Draw(t, "format"), programme.Rung(rapid.IntRange(0, 2).Draw(t, "rung"))}
		f := newFeed("s", limits{backlog: 3, behind: 5, keep: 6})
		var skips atomic.Int64
		c := newCursor(f, as, nil, &skips)
		var got bytes.Buffer
		var newest *programme.Block
		pulses := make(map[int64]string) // by start of block
		put := func() {
			newest = drawBlock(t, newest)
			if took, err := f.put(newest); err != nil || !took {
				t.Fatalf("block %d of epoch %d: taken %v, %v", newest.Seq, newest.Epoch, took, err)
			}
			pulses[newest.Start] = string(f.newest().after)
		}
		take := func(most int) (more bool) {
			if what, _ := c.advance(); what != send {
				return false
			}
			n := min(most, len(c.pending()))
			got.Write(c.pending()[:n])
			c.sent(n)
			return true
		}
		put()
		t.Repeat(map[string]func(*rapid.T){
			"a block comes":     func(t *rapid.T) { put() },
			"many blocks come":  func(t *rapid.T) { put(); put(); put(); put() },
			"it takes a little": func(t *rapid.T) { take(rapid.IntRange(1, 300).Draw(t, "bytes")) },
			"it takes all":      func(t *rapid.T) { take(1 << 20) },
		})
		for take(1 << 20) {
		}
		if as.Format == MP4 {
			checkMP4(t, got.Bytes(), as.Rung, pulses, newest.Start)
		} else {
			checkOgg(t, got.Bytes(), newest.End())
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
			if want := fmt.Sprintf("/%d/0", rung); !bytes.HasSuffix(part.Fragment.Packets[0], []byte(want)) {
				t.Fatalf("packet %q is not of rung %d", part.Fragment.Packets[0], rung)
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

// TestADeliveryAllocatesNothing: what a block costs for each listener beside its
// write is no memory.
func TestADeliveryAllocatesNothing(t *testing.T) {
	f := newFeed("s", limits{backlog: 6, behind: 14, keep: 120})
	var skips atomic.Int64
	c := newCursor(f, form{MP4, programme.Rung48}, nil, &skips)
	b := &programme.Block{Space: "s", Epoch: 1, Pulse: []byte(`{"a":1}`)}
	for r := range b.Rungs {
		for range programme.PacketsPerBlock {
			b.Rungs[r] = append(b.Rungs[r], []byte{0x78, 1})
		}
	}
	if _, err := f.put(b); err != nil {
		t.Fatal(err)
	}
	c.advance()
	c.sent(len(c.pending()))
	f.newest().bytes(c.form) // by the first of all listeners
	allocations := testing.AllocsPerRun(100, func() {
		c.next = 0
		if what, _ := c.advance(); what != send {
			t.Fatal("nothing to send")
		}
		c.sent(len(c.pending()))
	})
	if allocations != 0 {
		t.Errorf("%v allocations, want none", allocations)
	}
}
