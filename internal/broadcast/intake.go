package broadcast

import (
	"bytes"
	"context"
	"sync"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	// mendWithin is how long blocks that are missing are asked for. Listeners have no
	// more than a few seconds in hand: after that, a hole is better than nothing.
	mendWithin = 4 * time.Second
	mendEvery  = 200 * time.Millisecond // blocks that just came may not be written down yet
	// heldMost is how many blocks wait for others that come before them: 2 min.
	heldMost = 240
)

// intake is where blocks come in to a feed, in order. A block that comes too early is
// held while those before it are fetched; nobody but the feed's own listeners waits
// for that.
type intake struct {
	mu      sync.Mutex
	held    []*programme.Block // in order; they came while others are fetched
	mending bool               // a goroutine fetches, and it alone puts

	start state // what is known of the log before a block, if it was asked for; set before that is put
}

// take takes a block in: at once, if nothing is missing before it.
func (b *Broadcast) take(f *feed, block *programme.Block) {
	in := &f.intake
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.mending || (b.missing(f, block) || b.mayAsk(f, block)) && b.mendLater(f) {
		in.hold(block)
		return
	}
	b.accept(f, block)
}

// hold keeps a block for later. A duplicate is dropped, and so is the oldest of too
// many: it is missing then.
func (in *intake) hold(block *programme.Block) {
	if n := len(in.held); n > 0 && !follows(in.held[n-1], block) {
		return
	}
	if len(in.held) == heldMost {
		in.held = in.held[1:]
	}
	in.held = append(in.held, block)
}

// missing reports whether the feed lacks blocks that come before this one, or does
// not know the state that this one goes on from.
func (b *Broadcast) missing(f *feed, block *programme.Block) bool {
	if b.opts.Fetch == nil && b.opts.Snapshot == nil {
		return false
	}
	newest := f.newest()
	if newest == nil {
		return block.Seq > 0
	}
	return block.Epoch >= newest.block.Epoch && block.Seq > newest.block.Seq+1 ||
		block.Epoch > newest.block.Epoch && !beginsEpoch(block)
}

// mayAsk reports whether it may take asking others to believe a block: a new epoch may
// go back to what is durable. The goroutine that hears the bus can't wait for that.
func (b *Broadcast) mayAsk(f *feed, block *programme.Block) bool {
	newest := f.newest()
	return b.opts.Check != nil && newest != nil && block.Epoch > newest.block.Epoch
}

// beginsEpoch reports whether a block is the first of its epoch: its pulse is whole
// then, and says in which phase the space is.
func beginsEpoch(block *programme.Block) bool { return bytes.Contains(block.Pulse, []byte(`"phase"`)) }

// mendLater starts the goroutine that fetches, if the Broadcast runs. It is called
// with the intake's mu held.
func (b *Broadcast) mendLater(f *feed) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	ctx := b.running
	if ctx == nil {
		return false
	}
	f.intake.mending = true
	b.menders.Go(func() { b.mend(ctx, f) })
	return true
}

// accept puts the next block, if it is to be believed. Else the feed is given up: those
// who listen may find the programme elsewhere.
func (b *Broadcast) accept(f *feed, block *programme.Block) {
	if newest := f.newest(); newest != nil && !follows(newest.block, block) || b.feed(f.id) != f {
		return // it came before, or too late: what comes now is another feed's
	}
	if !b.believe(f, block) {
		return
	}
	took, err := f.put(block)
	if took {
		b.figures.blocks.Add(1)
	}
	if err != nil {
		b.log.Error("the pulse of a block can't be read: the one before it stays",
			"space", block.Space, "epoch", block.Epoch, "seq", block.Seq, "err", err)
	}
}

// believe reports whether a block is to be believed. What is wrong is told once, until
// blocks are good again.
func (b *Broadcast) believe(f *feed, block *programme.Block) bool {
	if b.opts.Check == nil {
		return true
	}
	err := b.opts.Check(block)
	b.mu.Lock()
	known := b.doubted[f.id]
	if err != nil {
		b.doubted[f.id] = true
	} else if known {
		delete(b.doubted, f.id)
	}
	b.mu.Unlock()
	if err == nil {
		return true
	}
	b.figures.doubted.Add(1)
	if !known {
		b.log.Error("a block is not to be believed: the space's listeners are let go",
			"space", f.id, "epoch", block.Epoch, "seq", block.Seq, "listeners", f.audience.Tally().Now, "err", err)
	}
	b.remove(f)
	f.close()
	return false
}

// mend fetches what is missing and puts it, and all blocks that came meanwhile.
func (b *Broadcast) mend(ctx context.Context, f *feed) {
	in := &f.intake
	for {
		in.mu.Lock()
		if len(in.held) == 0 {
			in.mending = false
			in.mu.Unlock()
			return
		}
		next := in.held[0]
		in.mu.Unlock()
		for _, block := range b.before(ctx, f, next) {
			b.accept(f, block)
		}
		b.release(f)
	}
}

// release puts the first of the blocks that are held, whatever is still missing, and
// those after it up to the next gap.
func (b *Broadcast) release(f *feed) {
	for first := true; ; first = false {
		block := f.intake.shift(func(block *programme.Block) bool { return first || !b.missing(f, block) })
		if block == nil {
			return
		}
		b.accept(f, block)
	}
}

// shift takes the first of the blocks that are held, if it is ready; else it is nil.
func (in *intake) shift(ready func(*programme.Block) bool) *programme.Block {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.held) == 0 || !ready(in.held[0]) {
		return nil
	}
	block := in.held[0]
	in.held = in.held[1:]
	return block
}

// before returns the blocks that are missing before one, or what can be had of them; of
// many, those that are kept. If the first of all these goes on from a state that the
// feed does not know, it asks for that too.
func (b *Broadcast) before(ctx context.Context, f *feed, next *programme.Block) []*programme.Block {
	ctx, cancel := context.WithTimeout(ctx, mendWithin)
	defer cancel()
	newest := f.newest()
	since := next.Seq - min(next.Seq, f.limits.deepest)
	if newest != nil {
		since = newest.block.Seq + 1
	}
	blocks := b.fetch(ctx, f, since, next)
	first := next
	if len(blocks) > 0 {
		first = blocks[0]
	}
	if newest == nil || first.Seq > since || newest.block.Epoch < first.Epoch && !beginsEpoch(first) {
		if s, ok := b.snapshot(ctx, f.id, first.Seq); ok {
			f.intake.start = state{known: true, epoch: s.Epoch, seq: s.Seq, pulse: s.Pulse}
		}
	}
	return blocks
}

// fetch returns the blocks from since up to next, or the last of them that can be had
// in time.
func (b *Broadcast) fetch(ctx context.Context, f *feed, since uint64, next *programme.Block) (got []*programme.Block) {
	if b.opts.Fetch == nil || since >= next.Seq {
		return nil
	}
	began := f.newest() == nil
	from := max(since, next.Seq-min(next.Seq, f.limits.keep)) // more would be thrown away again
	for {
		blocks, err := b.opts.Fetch(ctx, f.id, from, next.Seq)
		if err == nil {
			got = lastRun(blocks, from, next)
		}
		enough := uint64(len(got)) == next.Seq-from || began && len(got) > 0
		if enough || !pause(ctx, mendEvery) {
			b.fetched(f.id, since, next.Seq, len(got), err)
			return got
		}
	}
}

// fetched tells how fetching went.
func (b *Broadcast) fetched(id space.ID, from, to uint64, n int, err error) {
	b.figures.fetched.Add(int64(n))
	if lack := to - from - uint64(n); lack > 0 {
		b.figures.missed.Add(int64(lack))
		b.log.Warn("some blocks can't be had", "space", id, "from", from, "to", to, "missing", lack, "err", err)
	}
}

// lastRun returns the blocks of an answer that run without a gap up to next, none of
// them of a later epoch than what comes behind it.
func lastRun(blocks []*programme.Block, from uint64, next *programme.Block) []*programme.Block {
	first, behind := len(blocks), next
	for ; first > 0; first-- {
		block := blocks[first-1]
		if block.Space != next.Space || block.Seq < from || block.Seq+1 != behind.Seq || block.Epoch > behind.Epoch {
			break
		}
		behind = block
	}
	return blocks[first:]
}

func (b *Broadcast) snapshot(ctx context.Context, id space.ID, seq uint64) (programme.Snapshot, bool) {
	if b.opts.Snapshot == nil {
		return programme.Snapshot{}, false
	}
	for {
		s, err := b.opts.Snapshot(ctx, id, seq)
		if err == nil && s.Seq == seq {
			return s, true
		}
		if !pause(ctx, mendEvery) {
			b.log.Warn("the state before a block can't be had: listeners learn it bit by bit", "space", id, "seq", seq, "err", err)
			return programme.Snapshot{}, false
		}
	}
}

// pause waits; false, if ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
