package programme

import (
	"encoding/binary"
	"errors"
	"fmt"

	"hustings/internal/space"
)

// Limits of the binary form. A block at all of them still fits a message of the
// bus (1 MiB).
const (
	MaxPacket     = 1276     // one Opus frame and its TOC byte (RFC 6716, 3.2.1)
	MaxPulse      = 64 << 10 // a whole pulse of a full stage has about 3 kB
	maxSpace      = 64
	maxCheckpoint = 4 << 10
)

// ErrBlock says that bytes are not a block, or that a block can't be written as bytes.
var ErrBlock = errors.New("not a block of the programme")

const (
	blockMagic   = 'h'
	blockVersion = 1

	flagFinal  = 1 << 0
	flagStereo = 1 << 1
	flagsKnown = flagFinal | flagStereo

	rungHead = 2 * PacketsPerBlock // the lengths of a rung's packets
)

// AppendBinary appends the block's binary form, version 1, all integers big-endian:
//
//	'h', version, flags (1 final, 2 stereo), length of space, space
//	epoch uint32, seq uint64, start int64
//	for each rung: 25 lengths uint16, then the packets one after the other
//	length uint32 of pulse, pulse
//	length uint16 of checkpoint, checkpoint
//
// Errors: ErrBlock, if the block breaks a limit or has not PacketsPerBlock
// packets in each rung; dst is then returned as it was.
func (b *Block) AppendBinary(dst []byte) ([]byte, error) {
	if err := b.check(); err != nil {
		return dst, err
	}
	var flags byte
	if b.Final {
		flags |= flagFinal
	}
	if b.Stereo {
		flags |= flagStereo
	}
	dst = append(dst, blockMagic, blockVersion, flags, byte(len(b.Space)))
	dst = append(dst, b.Space...)
	dst = binary.BigEndian.AppendUint32(dst, b.Epoch)
	dst = binary.BigEndian.AppendUint64(dst, b.Seq)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Start))
	for _, packets := range b.Rungs {
		dst = appendRung(dst, packets)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b.Pulse)))
	dst = append(dst, b.Pulse...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Checkpoint)))
	return append(dst, b.Checkpoint...), nil
}

// appendRung appends one rung: it is what a leaf's hash of a rung is taken of.
func appendRung(dst []byte, packets Packets) []byte {
	for _, p := range packets {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(p)))
	}
	for _, p := range packets {
		dst = append(dst, p...)
	}
	return dst
}

// headSize is where the first rung begins in the binary form.
func headSize(id space.ID) int { return 4 + len(id) + 4 + 8 + 8 }

func rungSize(packets Packets) int {
	n := rungHead
	for _, p := range packets {
		n += len(p)
	}
	return n
}

// check holds the rules that every block obeys, whether it is read or written.
func (b *Block) check() error {
	switch {
	case !validSpace(b.Space):
		return fmt.Errorf("%w: bad space id %.80q", ErrBlock, string(b.Space))
	case b.Start < 0 || b.Start%PacketSamples != 0:
		return fmt.Errorf("%w: start %d is not a multiple of %d samples", ErrBlock, b.Start, PacketSamples)
	case len(b.Pulse) > MaxPulse:
		return fmt.Errorf("%w: a pulse of %d bytes; at most %d", ErrBlock, len(b.Pulse), MaxPulse)
	case len(b.Checkpoint) > maxCheckpoint:
		return fmt.Errorf("%w: a checkpoint of %d bytes; at most %d", ErrBlock, len(b.Checkpoint), maxCheckpoint)
	}
	for r, packets := range b.Rungs {
		if len(packets) != PacketsPerBlock {
			return fmt.Errorf("%w: rung %d has %d packets, not %d", ErrBlock, r, len(packets), PacketsPerBlock)
		}
		for i, p := range packets {
			if len(p) == 0 || len(p) > MaxPacket {
				return fmt.Errorf("%w: packet %d of rung %d has %d bytes; 1 to %d", ErrBlock, i, r, len(p), MaxPacket)
			}
		}
	}
	return nil
}

func validSpace(id space.ID) bool {
	if len(id) == 0 || len(id) > maxSpace {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// ownedBlock keeps a block and the slices of its packets in one allocation.
type ownedBlock struct {
	Block
	packets [Rungs * PacketsPerBlock][]byte
}

// UnmarshalBlock reads a block's binary form. The block aliases data, which must
// not change afterwards.
//
// Errors: ErrBlock, if data is not exactly one block.
func UnmarshalBlock(data []byte) (*Block, error) {
	o := new(ownedBlock)
	c := cutter{rest: data}
	head := c.cut(4)
	if c.short {
		return nil, fmt.Errorf("%w: %d bytes", ErrBlock, len(data))
	}
	if head[0] != blockMagic || head[1] != blockVersion || head[2]&^flagsKnown != 0 {
		return nil, fmt.Errorf("%w: it begins with % x; this program reads version %d", ErrBlock, head, blockVersion)
	}
	o.Final, o.Stereo = head[2]&flagFinal != 0, head[2]&flagStereo != 0
	o.Space = space.ID(c.cut(int(head[3])))
	o.Epoch = uint32(c.uint(4))
	o.Seq = c.uint(8)
	o.Start = int64(c.uint(8))
	for r := range o.Rungs {
		o.Rungs[r] = c.cutRung(o.packets[r*PacketsPerBlock:][:0:PacketsPerBlock])
	}
	o.Pulse = c.cut(int(c.uint(4)))
	o.Checkpoint = string(c.cut(int(c.uint(2))))
	if c.short || len(c.rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes do not hold exactly one", ErrBlock, len(data))
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	return &o.Block, nil
}

// cutter takes fields off the front of bytes; once they run short it yields
// nothing more.
type cutter struct {
	rest  []byte
	short bool
}

func (c *cutter) cut(n int) []byte {
	if c.short || n < 0 || n > len(c.rest) {
		c.short = true
		return nil
	}
	field := c.rest[:n:n]
	c.rest = c.rest[n:]
	return field
}

func (c *cutter) uint(bytes int) uint64 {
	var v uint64
	for _, b := range c.cut(bytes) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (c *cutter) cutRung(packets Packets) Packets {
	lengths := c.cut(rungHead)
	if c.short {
		return nil
	}
	for i := range PacketsPerBlock {
		packets = append(packets, c.cut(int(binary.BigEndian.Uint16(lengths[2*i:]))))
	}
	return packets
}
