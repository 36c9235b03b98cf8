package programme

import "sync/atomic"

// Ring holds the newest blocks of one space. One goroutine puts, any number may
// read; none waits for another.
type Ring struct {
	slots  []atomic.Pointer[Block]
	newest atomic.Pointer[Block]
}

// NewRing returns a ring for n blocks, at least one.
func NewRing(n int) *Ring {
	return &Ring{slots: make([]atomic.Pointer[Block], max(n, 1))}
}

// Put adds the newest block. A block that is older than the newest one by epoch,
// or by seq within its epoch, is ignored, so duplicates do no harm. After a crash
// a new epoch may begin at a seq that was there before: it replaces what was.
func (r *Ring) Put(b *Block) {
	if n := r.newest.Load(); n != nil && (b.Epoch < n.Epoch || b.Epoch == n.Epoch && b.Seq <= n.Seq) {
		return
	}
	r.slots[b.Seq%uint64(len(r.slots))].Store(b)
	r.newest.Store(b)
}

// Get returns block seq, if the ring has it.
func (r *Ring) Get(seq uint64) (*Block, bool) {
	newest := r.newest.Load()
	if newest == nil || seq > newest.Seq {
		return nil, false // what a newer epoch wrote over may lie beyond its end
	}
	b := r.slots[seq%uint64(len(r.slots))].Load()
	if b == nil || b.Seq != seq || b.Epoch > newest.Epoch { // of an epoch that begins right now
		return nil, false
	}
	return b, true
}

// Range returns the blocks from a up to but not b that the ring has, in order and
// without a gap up to the newest of them: what comes before a gap is left out.
func (r *Ring) Range(a, b uint64) []*Block {
	newest, ok := r.Newest()
	if !ok || a > newest.Seq {
		return nil
	}
	b = min(b, newest.Seq+1)
	if n := uint64(len(r.slots)); b > n {
		a = max(a, b-n) // a slot holds only the newest of its numbers
	}
	var out []*Block
	for seq := a; seq < b; seq++ {
		block, ok := r.Get(seq)
		if !ok {
			out = out[:0]
			continue
		}
		out = append(out, block)
	}
	return out
}

// Newest returns the newest block, if there is any.
func (r *Ring) Newest() (*Block, bool) {
	b := r.newest.Load()
	return b, b != nil
}
