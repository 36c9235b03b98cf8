package aac

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A head of 10 bytes of AAC-LC, 48 kHz, mono.
var goodFrame = []byte{0xff, 0xf1, 0x4c, 0x40, 0x01, 0x40, 0x00, 1, 2, 3}

func TestFrames(t *testing.T) {
	r := newFrames(bytes.NewReader(append(bytes.Clone(goodFrame), goodFrame...)))
	for range 2 {
		frame, config, err := r.next()
		if err != nil || !bytes.Equal(frame, []byte{1, 2, 3}) || config != "\x11\x88" {
			t.Fatalf("%x %x %v", frame, config, err)
		}
	}
	if _, _, err := r.next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for name, c := range map[string]struct {
		at   int
		with byte
	}{
		"no sync word": {0, 0xfe}, "a checksum": {1, 0xf0}, "a layer": {1, 0xf3}, "44.1 kHz": {2, 0x50}, "no channels": {3, 0},
		"an empty frame": {4, 0}, "several frames": {6, 1},
	} {
		bad := bytes.Clone(goodFrame)
		bad[c.at] = c.with
		if _, _, err := newFrames(bytes.NewReader(bad)).next(); !errors.Is(err, errADTS) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := newFrames(bytes.NewReader(goodFrame[:9])).next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
}

// FuzzFrames: whatever a process writes, reading it ends and takes no more memory than
// the largest frame.
func FuzzFrames(f *testing.F) {
	f.Add(goodFrame)
	f.Add(append(bytes.Clone(goodFrame), 0xff))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newFrames(bytes.NewReader(data))
		for total := 0; ; {
			frame, config, err := r.next()
			if err != nil {
				return
			}
			total += headSize + len(frame)
			if len(frame) == 0 || len(config) != 2 || total > len(data) {
				t.Fatalf("%d bytes of %d, config %x", total, len(data), config)
			}
		}
	})
}

// TestPartsTileTheGrid: whatever the start of an epoch, parts follow from one another,
// have their least and their most, and end where the log does.
func TestPartsTileTheGrid(t *testing.T) {
	for start := int64(0); start < 3*anchorStep; start += packetSamples {
		at := start / anchorStep * anchorStep
		p := newPacker(at, Block{Start: start}, false)
		const blocks = 30
		var parts []Part
		given, fed := at, start
		for seq := range uint64(blocks) {
			p.fed(Block{Seq: seq, Start: fed})
			fed += blockSamples
			// Beside the frame of its own, the encoder keeps back less than 3.5 of them.
			for ; given+9*FrameSamples/2 <= fed; given += FrameSamples {
				if part, frames, ok := p.take([]byte{1}); ok {
					if part.Samples != int64(len(frames))*FrameSamples {
						t.Fatalf("%d frames: %+v", len(frames), part)
					}
					parts = append(parts, part)
				}
			}
			if want := int(seq) + 1; len(parts) != want && !(seq == 0 && len(parts) == 0) {
				t.Fatalf("start %d: %d parts after %d blocks", start, len(parts), want)
			}
		}
		for range 10 { // what was kept back, and padding
			p.take([]byte{1})
		}
		tail, _, ok := p.tail()
		if !ok || tail.Seq != blocks || tail.Start+tail.Samples < fed || tail.Start+tail.Samples >= fed+FrameSamples {
			t.Fatalf("start %d: the tail is %+v, want up to %d", start, tail, fed)
		}
		next := start / FrameSamples * FrameSamples
		for i, part := range append(parts, tail) {
			frames := part.Samples / FrameSamples
			if part.Seq != uint64(i) || part.Start != next || frames > longest || i < blocks && frames < shortest {
				t.Fatalf("start %d: part %+v, want it at %d", start, part, next)
			}
			next += part.Samples
		}
	}
}
