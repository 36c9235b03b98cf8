package aac

import (
	"time"

	"hustings/internal/fmp4"
)

const (
	packetSamples = 960                // of an Opus packet
	blockSamples  = 25 * packetSamples // of a block
	// anchorStep is the least that is a multiple of both a packet and a frame: where
	// it may begin, a process makes frames that lie on the grid.
	anchorStep = 15360
	// shortest is how many frames a part has at least that is not the last one. Parts
	// have 23 or 24; RFC 8216bis asks for 85% of that.
	shortest = 21
	// longest is how many it has at most.
	longest = 24
)

// PartTarget is the duration of the longest part.
const PartTarget = longest * FrameSamples * time.Second / 48000

// frameAt returns the number of the first frame that begins at or after a time. A
// frame's number is its time in units of FrameSamples.
func frameAt(samples int64) int64 { return (samples + FrameSamples - 1) / FrameSamples }

// packer sorts the frames of one process into parts.
type packer struct {
	next   int64    // number of the frame that comes next
	from   int64    // number of the first frame of the next part
	held   [][]byte // frames from there on
	blocks []Block  // that were fed, and whose parts are not made
	last   Block    // the newest that was fed
}

// newPacker returns a packer for a process that hears its first sample at an anchor.
// With a block before the first one, it is to go on where the part of that one ends;
// without, nothing is heard before the first block.
func newPacker(at int64, first Block, goesOn bool) *packer {
	from := first.Start / FrameSamples
	if goesOn {
		from = frameAt(first.Start - Lag)
	}
	// The first frame that comes out is the encoder's own: it stands for what was
	// before the first sample that it was given.
	return &packer{next: at/FrameSamples - 1, from: from}
}

// fed says that a block went in.
func (p *packer) fed(b Block) {
	p.blocks, p.last = append(p.blocks, b), b
}

// take takes a frame, and returns the part that is complete with it, if any.
func (p *packer) take(frame []byte) (Part, [][]byte, bool) {
	p.next++
	if p.next-1 < p.from {
		return Part{}, nil, false // before the first part
	}
	p.held = append(p.held, frame)
	if len(p.blocks) == 0 {
		return Part{}, nil, false
	}
	b := p.blocks[0]
	// The first of all would have too few, and waits for some of the next block.
	if end := max(frameAt(b.Start+blockSamples-Lag), p.from+shortest); p.next < end {
		return Part{}, nil, false
	}
	part, frames := p.cut(b.Epoch, b.Seq)
	p.blocks = p.blocks[1:]
	return part, frames, true
}

// cut makes a part of all that is held.
func (p *packer) cut(epoch uint32, seq uint64) (Part, [][]byte) {
	frames := p.held
	part := Part{Epoch: epoch, Seq: seq, Start: p.from * FrameSamples, Samples: int64(len(frames)) * FrameSamples, Came: time.Now()}
	p.from, p.held = p.next, nil
	return part, frames
}

// tail returns what is left when the process has ended in good order: what the
// encoder had kept back, up to the end of the last block.
func (p *packer) tail() (Part, [][]byte, bool) {
	if len(p.blocks) > 0 || len(p.held) == 0 {
		return Part{}, nil, false
	}
	if most := frameAt(p.last.Start+blockSamples) - p.from; int64(len(p.held)) > most {
		p.held = p.held[:max(0, most)] // the rest is padding
	}
	part, frames := p.cut(p.last.Epoch, p.last.Seq+1)
	return part, frames, len(frames) > 0
}

// render makes a fragment of a part. Its number has to grow, and is not to be one of
// another part.
func render(p Part, frames [][]byte) []byte {
	return fmp4.AppendFragment(nil, fmp4.Fragment{Sequence: uint32(p.Seq) + 1, Time: uint64(p.Start), Packets: frames})
}
