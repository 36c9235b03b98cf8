package programme

import (
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/space"
)

// Errors of a Follower.
var (
	// ErrForged says that what came is not what was signed.
	ErrForged = errors.New("not the programme that was signed")
	// ErrNotNext says that a block does not come after those that were followed.
	ErrNotNext = errors.New("not the next block")
)

// followed is how many leaves a Follower remembers, to tell a block that comes a
// second time from one that was put in its place: a minute.
const followed = 120

// Follower reads a log as it grows and holds it against the signed checkpoints in
// it. It needs no more of the past than the frontier of a Snapshot, which may be a
// lie: the first checkpoint finds that out.
//
// Blocks are believed for at most CheckpointEvery of them: then a signature has to
// bear them out. It is not safe for use by several goroutines at once.
type Follower struct {
	space    space.ID
	verifier string

	epoch    uint32
	size     uint64      // leaves so far: the next block's number
	frontier []tlog.Hash // of the subtrees that they make up, largest first
	recent   [followed]tlog.Hash
	since    uint64 // number of the first leaf that was added here
	signed   uint64 // leaves that a checkpoint has borne out, or that came with the snapshot
	over     bool
}

// NewFollower returns a follower of a space's log whose next block is the one with
// the number that the snapshot names.
//
// Errors: ErrForged, if the snapshot's frontier is none of a log of its size.
func NewFollower(id space.ID, verifierKey string, at Snapshot) (*Follower, error) {
	if len(at.Frontier) != bits.OnesCount64(at.Seq) {
		return nil, fmt.Errorf("%w: %d hashes are no frontier of %d leaves", ErrForged, len(at.Frontier), at.Seq)
	}
	return &Follower{
		space: id, verifier: verifierKey, epoch: at.Epoch, size: at.Seq, since: at.Seq, signed: at.Seq,
		frontier: append(make([]tlog.Hash, 0, 64), at.Frontier...),
	}, nil
}

// Next returns the number of the next block.
func (f *Follower) Next() uint64 { return f.size }

// Epoch returns the epoch of the newest block, or that of the snapshot.
func (f *Follower) Epoch() uint32 { return f.epoch }

// Unsigned returns how many of the newest blocks no checkpoint has borne out yet.
func (f *Follower) Unsigned() uint64 { return f.size - f.signed }

// Frontier returns the hashes of the subtrees that the blocks so far make up, as a
// Snapshot behind them has them.
func (f *Follower) Frontier() []tlog.Hash { return f.frontier }

// Follow takes the next block. One that was followed before is taken again if it is
// the very same. A block of a new epoch may be the next; one that goes back, since a
// crash took what was before it, needs a new Follower.
//
// Errors: ErrNotNext, and nothing has changed; ErrForged, and nothing that this
// follower says is worth anything any more.
func (f *Follower) Follow(b *Block) error {
	switch {
	case b.Space != f.space:
		return fmt.Errorf("%w: block %d is of space %s", ErrForged, b.Seq, b.Space)
	case b.Epoch < f.epoch:
		return fmt.Errorf("%w: it is of epoch %d, and epoch %d has begun", ErrNotNext, b.Epoch, f.epoch)
	case b.Epoch == f.epoch && b.Seq < f.size:
		return f.again(b)
	case b.Seq != f.size || f.over:
		return fmt.Errorf("%w: it is %d, the next would be %d", ErrNotNext, b.Seq, f.size)
	}
	f.add(b.Leaf().Hash())
	f.epoch, f.over = b.Epoch, b.Final
	return f.checkpoint(b)
}

// again looks at a block that has a number which was followed before.
func (f *Follower) again(b *Block) error {
	if b.Seq < f.since || f.size-b.Seq > followed {
		return fmt.Errorf("%w: block %d is old", ErrNotNext, b.Seq)
	}
	if f.recent[b.Seq%followed] != b.Leaf().Hash() {
		return fmt.Errorf("%w: there are two blocks %d", ErrForged, b.Seq)
	}
	return nil
}

// add grows the tree by a leaf: subtrees of one size become one.
func (f *Follower) add(leaf tlog.Hash) {
	f.recent[f.size%followed] = leaf
	sum := leaf
	for rest := f.size; rest&1 == 1; rest >>= 1 {
		last := len(f.frontier) - 1
		sum = tlog.NodeHash(f.frontier[last], sum)
		f.frontier = f.frontier[:last]
	}
	f.frontier = append(f.frontier, sum)
	f.size++
}

// root returns the root hash of the tree as it is.
func (f *Follower) root() tlog.Hash {
	sum := f.frontier[len(f.frontier)-1]
	for i := len(f.frontier) - 2; i >= 0; i-- {
		sum = tlog.NodeHash(f.frontier[i], sum)
	}
	return sum
}

// checkpoint holds the tree against the checkpoint of its newest block, which must
// be there when one is due.
func (f *Follower) checkpoint(b *Block) error {
	if b.Checkpoint == "" {
		if due := b.Final || (b.Seq+1)%CheckpointEvery == 0; due {
			return fmt.Errorf("%w: block %d has no checkpoint", ErrForged, b.Seq)
		}
		return nil
	}
	c, err := OpenCheckpoint([]byte(b.Checkpoint), f.verifier)
	switch {
	case err != nil:
		return fmt.Errorf("%w: block %d: %w", ErrForged, b.Seq, err)
	case c.Origin != Origin(b.Space, b.Epoch) || c.Size != b.Seq+1:
		return fmt.Errorf("%w: block %d has the checkpoint of %s at %d", ErrForged, b.Seq, c.Origin, c.Size)
	case c.Root != f.root():
		return fmt.Errorf("%w: the blocks up to %d are others than those that were signed", ErrForged, b.Seq)
	}
	f.signed = c.Size
	return nil
}
