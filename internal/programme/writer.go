package programme

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"hustings/internal/space"
)

// CheckpointEvery is the number of blocks between two signed checkpoints: 5 s.
const CheckpointEvery = 10

// Errors of Writer.Append, beside those of Publish and ErrBlock.
var (
	ErrFinal = errors.New("the programme has ended")
	ErrStart = errors.New("a block can't begin before the end of the one before it")
)

// Resume is where a log goes on. Its zero value is a fresh log.
type Resume struct {
	Epoch uint32 // the new epoch to use
	Seq   uint64 // the next block's
	End   int64  // end of the last durable block, in samples
	Tree  *Tree  // of the durable blocks, Seq of them; nil for a fresh log
	// Tally is the last one that the log tells of: peak and total go on from it.
	Tally space.Tally
}

// WriterOptions configure a Writer.
type WriterOptions struct {
	Space  space.ID
	Stereo bool
	Resume Resume
	Signer *Signer // nil: no checkpoints
	// Publish hands the binary form of a block to its readers. It must not wait for
	// them, and may keep data.
	Publish func(data []byte) error
}

// Writer writes the log of one space. Append is for one goroutine, Checkpoint for
// any.
type Writer struct {
	opts  WriterOptions
	tree  *Tree
	seq   uint64
	end   int64
	final bool
	note  atomic.Pointer[string]

	size int    // of the last block in bytes: the next will be about as large
	text []byte // scratch: the text of a leaf
}

// NewWriter returns a writer that goes on where Resume says. It takes the tree over.
func NewWriter(o WriterOptions) *Writer {
	w := &Writer{opts: o, tree: o.Resume.Tree, seq: o.Resume.Seq, end: o.Resume.End, size: 12 << 10}
	if w.tree == nil {
		w.tree = new(Tree)
	}
	return w
}

// Append writes the next block and publishes it. It copies the packets and the
// pulse, so the caller may use their memory again. The block is part of the log
// if and only if it was handed to Publish without an error; after an error the
// caller may append the same audio again, or what comes after it.
//
// Errors: ErrFinal after the final block, ErrStart, ErrBlock, and what Publish
// and the signer return.
func (w *Writer) Append(start int64, rungs [Rungs]Packets, pulse []byte, final bool) (*Block, error) {
	switch {
	case w.final:
		return nil, ErrFinal
	case start < w.end:
		return nil, fmt.Errorf("block %d at sample %d, not %d: %w", w.seq, start, w.end, ErrStart)
	case w.tree.Size() != w.seq:
		return nil, fmt.Errorf("block %d can't follow a tree of %d", w.seq, w.tree.Size())
	}
	draft := Block{
		Space: w.opts.Space, Epoch: w.opts.Resume.Epoch, Seq: w.seq, Start: start,
		Final: final, Stereo: w.opts.Stereo, Rungs: rungs, Pulse: pulse,
	}
	data, err := draft.AppendBinary(make([]byte, 0, w.size))
	if err != nil {
		return nil, err
	}
	data, err = w.addLeaf(data, &draft)
	if err != nil {
		return nil, err
	}
	block, err := UnmarshalBlock(data)
	if err == nil {
		err = w.opts.Publish(data)
	}
	if err != nil {
		w.tree.Truncate(w.seq)
		return nil, fmt.Errorf("block %d: %w", draft.Seq, err)
	}
	w.size = len(data) + 256
	w.seq, w.end, w.final = w.seq+1, block.End(), final
	if block.Checkpoint != "" {
		w.note.Store(&block.Checkpoint)
	}
	return block, nil
}

// addLeaf grows the tree by the block and puts the checkpoint at the end of its
// binary form when one is due.
func (w *Writer) addLeaf(data []byte, b *Block) ([]byte, error) {
	leaf := b.leafOf(data)
	w.text = leaf.appendText(append(w.text[:0], 0))
	w.tree.Append(sha256.Sum256(w.text))
	due := b.Final || (b.Seq+1)%CheckpointEvery == 0
	if !due || w.opts.Signer == nil {
		return data, nil
	}
	note, err := w.opts.Signer.Sign(Origin(b.Space, b.Epoch), w.tree.Size(), w.tree.Root())
	if err == nil && len(note) > maxCheckpoint {
		err = fmt.Errorf("%w: a checkpoint of %d bytes", ErrBlock, len(note))
	}
	if err != nil {
		w.tree.Truncate(b.Seq)
		return nil, err
	}
	data = slices.Grow(data, len(note))
	data[len(data)-2], data[len(data)-1] = byte(len(note)>>8), byte(len(note))
	return append(data, note...), nil
}

// Checkpoint returns the newest signed checkpoint, "" while there is none.
func (w *Writer) Checkpoint() string {
	if note := w.note.Load(); note != nil {
		return *note
	}
	return ""
}

// Seq returns the number of the next block. It belongs to the goroutine of Append.
func (w *Writer) Seq() uint64 { return w.seq }

// End returns the end of the last block in samples. It belongs to the goroutine of Append.
func (w *Writer) End() int64 { return w.end }
