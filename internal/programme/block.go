// Package programme is what the audience hears, as a log.
//
// The stage writes the programme as blocks of 500 ms, numbered without a gap
// from the moment the doors open. Everything else reads them: broadcast renders
// them for listeners, archive keeps them, watch listens for dead air. The blocks
// of one space form a Merkle tree in the manner of Certificate Transparency
// (RFC 6962), of which a signed checkpoint is published every five seconds, so
// that anyone can prove that what they hear, or a recording, or a clip of it, is
// what was said.
package programme

import (
	"hustings/internal/space"
)

// The programme's clock and sizes. All audio is Opus at 48 kHz in packets of 20 ms.
const (
	SampleRate      = 48000
	PacketSamples   = 960                             // 20 ms
	PacketsPerBlock = 25                              // 500 ms
	BlockSamples    = PacketSamples * PacketsPerBlock // 24000
)

// Rung is a step on the ladder of bit rates. Every block carries all rungs.
type Rung uint8

// The rungs, best first. Each is mono, but for the top rung of a stereo space.
const (
	Rung48 Rung = iota // 48 kb/s mono, or 96 kb/s stereo by the space's setting
	Rung24             // 24 kb/s
	Rung16             // 16 kb/s
	Rungs  = 3
)

// Bitrate returns the rung's nominal rate in bits a second.
func (r Rung) Bitrate(stereo bool) int {
	switch r {
	case Rung48:
		if stereo {
			return 96000
		}
		return 48000
	case Rung24:
		return 24000
	default:
		return 16000
	}
}

// Packets are the Opus packets of one rung of one block, in order: always
// PacketsPerBlock of them, 20 ms each.
type Packets [][]byte

// Block is 500 ms of the programme. It is immutable once published: whoever
// reads it may keep it but not change it.
type Block struct {
	Space space.ID
	Epoch uint32 // grows by one whenever the stage starts anew
	Seq   uint64 // 0 for the first block after the doors opened, then without a gap
	// Start is the time of the block's first sample in 48 kHz samples since the
	// doors opened: a multiple of PacketSamples. Within an epoch it is the end of
	// the block before; a new epoch goes on by wall clock, so there may be a hole
	// before its first block.
	Start  int64
	Final  bool // the last block of the programme
	Stereo bool // the top rung is stereo
	Rungs  [Rungs]Packets
	// Pulse is a JSON merge patch (RFC 7396) of space.Pulse against the state
	// before this block; whole (a patch against nothing) in the first block of an epoch.
	Pulse []byte
	// Checkpoint is the signed note of the tree up to and with this block, in every
	// CheckpointEvery-th block and in the final one; "" in the others. It is not
	// part of the leaf, since it signs the leaf. Listeners get it by a later pulse.
	Checkpoint string
}

// End returns the time of the first sample after the block.
func (b *Block) End() int64 { return b.Start + BlockSamples }
