package broadcast_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"hustings/internal/fmp4"
	"hustings/internal/ogg"
	"hustings/internal/programme"
)

// heard is what a listener got, taken apart.
type heard struct {
	blocks []uint64 // numbers, as its packets say
	times  []int64  // of the end (Ogg) or start (MP4) of each
	events []string // "state" or "patch"
	pulse  string   // after all of them
	depths []string // that the page was told to keep
	rungs  []int    // of each block
	ended  bool     // the stream said that it is over
}

// parseMP4 takes a stream apart. It must be whole to the byte, and its packets
// must be those of the log.
func parseMP4(t testing.TB, data []byte) (h heard) {
	t.Helper()
	var pulse []byte
	r := fmp4.NewReader(bytes.NewReader(data))
	for {
		part, err := r.Next()
		switch {
		case err == io.EOF:
			h.pulse = string(pulse)
			return h
		case err != nil:
			t.Fatalf("after %d blocks: %v", len(h.blocks), err)
		case part.Event != nil:
			if part.Event.Scheme == "urn:hustings:pace" && part.Event.Value == "depth" {
				h.depths = append(h.depths, string(part.Event.Data))
				continue
			}
			if part.Event.Scheme != "urn:hustings:pulse" {
				t.Fatalf("an event of scheme %q", part.Event.Scheme)
			}
			h.events = append(h.events, part.Event.Value)
			if part.Event.Value == "state" {
				pulse = nil
			}
			if pulse, err = programme.Apply(pulse, part.Event.Data); err != nil {
				t.Fatal(err)
			}
		case part.Fragment != nil:
			seq := uint64(part.Fragment.Sequence) - 1
			h.blocks = append(h.blocks, seq)
			h.times = append(h.times, int64(part.Fragment.Time))
			rung := 0
			for rung < programme.Rungs-1 && !bytes.Equal(part.Fragment.Packets[0], packet(seq, rung, 0)) {
				rung++
			}
			h.rungs = append(h.rungs, rung)
			for i, got := range part.Fragment.Packets {
				if want := packet(seq, rung, i); !bytes.Equal(got, want) {
					t.Fatalf("packet %d of block %d is %q, want %q", i, seq, got, want)
				}
			}
		}
	}
}

// parseOgg takes a stream apart, likewise.
func parseOgg(t testing.TB, data []byte) (h heard) {
	t.Helper()
	const pageHead = 27
	if title := []byte("TITLE=A town hall"); !bytes.Contains(data, title) {
		t.Error("the stream does not tell the title")
	}
	r := ogg.NewReader(bytes.NewReader(data))
	for i := 0; ; i++ {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("after %d packets: %v", i, err)
		}
		if i%programme.PacketsPerBlock == programme.PacketsPerBlock-1 {
			seq := uint64(p.Granule)/programme.BlockSamples - 1
			h.blocks = append(h.blocks, seq)
			h.times = append(h.times, p.Granule)
			h.ended = p.Last
			if want := packet(seq, 0, programme.PacketsPerBlock-1); !bytes.Equal(p.Data, want) {
				t.Fatalf("the last packet of block %d is %q, want %q", seq, p.Data, want)
			}
		}
	}
	if whole := bytes.LastIndex(data, []byte("OggS\x00")); whole < 0 || len(data) < whole+pageHead {
		t.Fatal("the last page is cut off")
	}
	return h
}

// run returns the numbers from up to but not to.
func run(from, to uint64) (numbers []uint64) {
	for n := from; n < to; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}
