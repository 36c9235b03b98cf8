package broadcast

import (
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Window is what is kept of a programme at a time. It is shared and must not be
// changed.
type Window struct {
	Blocks  []Kept          // oldest first
	Final   bool            // the newest is the last
	Changed <-chan struct{} // closed when this is not the newest window any more
}

// Kept is a block that is kept.
type Kept struct {
	Epoch uint32
	Seq   uint64
	Start int64     // in samples since the doors opened
	Came  time.Time // when it came to this node
}

// Window returns what is kept of a space's programme; false while there is nothing.
func (b *Broadcast) Window(id space.ID) (Window, bool) {
	f := b.feed(id)
	if f == nil || f.newest() == nil {
		return Window{}, false
	}
	return *f.show(), true
}

// show returns the window of the newest view. It is made once for each.
func (f *feed) show() *Window {
	v := f.view.Load()
	if w := f.window.Load(); w != nil && w.Changed == v.changed {
		return w
	}
	w := &Window{Final: v.final, Changed: v.changed}
	for n := v.edge - min(v.edge, f.limits.keep); n < v.edge; n++ {
		if e := f.at(n); e != nil {
			w.Blocks = append(w.Blocks, Kept{e.block.Epoch, e.block.Seq, e.block.Start, e.came})
		}
	}
	f.window.Store(w)
	return w
}

// Fragment returns a block as a fragment of MP4 at a rung, while it is kept. The
// bytes are shared and must not be changed.
func (b *Broadcast) Fragment(id space.ID, epoch uint32, seq uint64, rung programme.Rung) ([]byte, bool) {
	return b.render(id, rung, func(block *programme.Block) bool { return block.Seq == seq && block.Epoch == epoch })
}

// Block is Fragment at the top rung, of the newest epoch that has such a block.
func (b *Broadcast) Block(id space.ID, seq uint64) ([]byte, bool) {
	return b.render(id, programme.Rung48, func(block *programme.Block) bool { return block.Seq == seq })
}

func (b *Broadcast) render(id space.ID, rung programme.Rung, is func(*programme.Block) bool) ([]byte, bool) {
	f := b.feed(id)
	if f == nil || rung >= programme.Rungs {
		return nil, false
	}
	e := f.find(is)
	if e == nil {
		return nil, false
	}
	return e.bytes(form{MP4, rung}), true
}

// Init returns what the fragments of a rung need before them.
func (b *Broadcast) Init(id space.ID, rung programme.Rung) ([]byte, bool) {
	f := b.feed(id)
	if f == nil || rung >= programme.Rungs {
		return nil, false
	}
	e := f.newest()
	if e == nil {
		return nil, false
	}
	return fmp4.AppendInit(nil, fmp4.Track{
		Channels: e.channels(rung), PreSkip: opus.PreSkip, PacketSamples: programme.PacketSamples,
	}), true
}

// Pulse returns the newest pulse of the space, whole, as JSON. The bytes are
// shared and must not be changed.
func (b *Broadcast) Pulse(id space.ID) ([]byte, bool) {
	f := b.feed(id)
	if f == nil {
		return nil, false
	}
	if e := f.newest(); e != nil && len(e.after) > 0 {
		return e.after, true
	}
	return nil, false
}
