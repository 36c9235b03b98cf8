package programme

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Range asks for blocks From up to, but not with, To.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// AppendFramed appends the binary form of a block with its length (uint32,
// big-endian) before it: answers to a Range are such blocks one after the other.
func AppendFramed(dst, block []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
	return append(dst, block...)
}

// SplitFramed takes framed blocks apart, without looking into them. They alias data.
//
// Errors: ErrBlock, if data ends within one.
func SplitFramed(data []byte) ([][]byte, error) {
	var blocks [][]byte
	c := cutter{rest: data}
	for len(c.rest) > 0 {
		block := c.cut(int(c.uint(4)))
		if c.short {
			return nil, fmt.Errorf("%w: %d bytes end within one", ErrBlock, len(data))
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}

// Proof shows that blocks are in a log whose checkpoint was signed. A leaf has the
// hash of each rung, so that packets of a single rung can be held against it by
// HashPackets.
type Proof struct {
	Checkpoint string             `json:"checkpoint"` // signed note
	Leaves     []Leaf             `json:"leaves"`
	Proofs     []tlog.RecordProof `json:"proofs"` // of each leaf (RFC 6962, 2.1.1)
}

// ErrProof says that a proof does not hold.
var ErrProof = errors.New("the proof does not hold")

// Verify checks the signature by the verifier key, that the checkpoint is one of
// the leaves' space, and that each leaf is in its log.
//
// Errors: ErrProof, ErrCheckpoint.
func (p Proof) Verify(verifierKey string) error {
	c, err := OpenCheckpoint([]byte(p.Checkpoint), verifierKey)
	if err != nil {
		return err
	}
	if len(p.Leaves) != len(p.Proofs) || len(p.Leaves) == 0 {
		return fmt.Errorf("%w: %d leaves, %d proofs", ErrProof, len(p.Leaves), len(p.Proofs))
	}
	id, _, err := ParseOrigin(c.Origin)
	if err != nil {
		return err
	}
	for i, leaf := range p.Leaves {
		if leaf.Space != id {
			return fmt.Errorf("%w: block %d is of %s, the checkpoint of %s", ErrProof, leaf.Seq, leaf.Space, c.Origin)
		}
		if leaf.Seq >= c.Size {
			return fmt.Errorf("%w: block %d is newer than the checkpoint", ErrProof, leaf.Seq)
		}
		if err := tlog.CheckRecord(p.Proofs[i], int64(c.Size), c.Root, int64(leaf.Seq), leaf.Hash()); err != nil {
			return fmt.Errorf("%w: block %d: %w", ErrProof, leaf.Seq, err)
		}
	}
	return nil
}
