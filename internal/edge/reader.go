package edge

import (
	"context"
	"encoding/json"
	"fmt"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// Asks is what can be asked by the bus.
type Asks interface {
	Request(ctx context.Context, subject string, request []byte) ([]byte, error)
}

// Reader asks the archive for what was broadcast before. What it gets is as good as
// the bus: whoever must be sure checks it (Edge.Check).
type Reader struct{ Bus Asks }

// Fetch returns the blocks from up to, but not with, to that there are, in order.
// What one answer does not hold is asked for again.
//
// Errors: those of the bus, with the blocks that came before.
func (r Reader) Fetch(ctx context.Context, id space.ID, from, to uint64) ([]*programme.Block, error) {
	var blocks []*programme.Block
	for from < to {
		request, err := json.Marshal(programme.Range{From: from, To: to})
		if err != nil {
			return blocks, err
		}
		data, err := r.ask(ctx, blocksSubject+string(id), request)
		if err != nil {
			return blocks, err
		}
		some, err := readBlocks(data, id, from, to)
		if err != nil {
			return blocks, err
		}
		if len(some) == 0 {
			return blocks, nil
		}
		blocks = append(blocks, some...)
		from = some[len(some)-1].Seq + 1
	}
	return blocks, nil
}

// ask bounds how long one answer may take: who has none is silent.
func (r Reader) ask(ctx context.Context, subject string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return r.Bus.Request(ctx, subject, request)
}

// readBlocks reads an answer: blocks of the space and the range, in order.
func readBlocks(data []byte, id space.ID, from, to uint64) ([]*programme.Block, error) {
	parts, err := programme.SplitFramed(data)
	if err != nil {
		return nil, err
	}
	blocks := make([]*programme.Block, len(parts))
	for i, part := range parts {
		b, err := programme.UnmarshalBlock(part)
		if err != nil {
			return nil, err
		}
		if b.Space != id || b.Seq < from || b.Seq >= to {
			return nil, fmt.Errorf("%w: asked for %d to %d of %s, and got %d of %s", programme.ErrBlock, from, to, id, b.Seq, b.Space)
		}
		blocks[i], from = b, b.Seq+1
	}
	return blocks, nil
}

// Snapshot returns what a reader must know who begins with block seq.
//
// Errors: those of the bus.
func (r Reader) Snapshot(ctx context.Context, id space.ID, seq uint64) (programme.Snapshot, error) {
	request, err := json.Marshal(map[string]uint64{"seq": seq})
	if err != nil {
		return programme.Snapshot{}, err
	}
	data, err := r.ask(ctx, snapshotSubject+string(id), request)
	if err != nil {
		return programme.Snapshot{}, err
	}
	var at programme.Snapshot
	if err := json.Unmarshal(data, &at); err != nil {
		return programme.Snapshot{}, fmt.Errorf("the snapshot of %s at %d: %w", id, seq, err)
	}
	if at.Seq != seq {
		return programme.Snapshot{}, fmt.Errorf("the snapshot of %s at %d is one at %d", id, seq, at.Seq)
	}
	return at, nil
}
