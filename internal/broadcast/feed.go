package broadcast

import (
	"bytes"
	"sync"
	"sync/atomic"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// limits of a feed, in blocks.
type limits struct {
	backlog uint64 // that a joiner is sent at once
	behind  uint64 // that a listener may be behind the live edge
	keep    uint64 // that are kept; more than behind
}

// feed is the newest part of one space's programme, and those who listen to it.
//
// Its entries are numbered from 0 in the order in which they came. This number and
// not a block's Seq is what cursors count by, since a new epoch may repeat a Seq.
// One goroutine puts; any number read, and take no lock to do it.
type feed struct {
	id     space.ID
	limits limits
	slots  []atomic.Pointer[entry] // entry n in slot n % len
	view   atomic.Pointer[view]

	mu    sync.Mutex // guards what follows, and is held to replace view
	tally space.Tally
	doors [doors]door
}

// view is where the live edge stands. It is never changed: a new one takes its
// place, and then changed is closed.
type view struct {
	edge    uint64 // number of the entry after the newest one
	final   bool   // the newest block is the last one
	closed  bool   // listeners are to go after the block that they are being sent
	changed chan struct{}
}

func newFeed(id space.ID, l limits) *feed {
	f := &feed{id: id, limits: l, slots: make([]atomic.Pointer[entry], l.keep)}
	f.view.Store(&view{changed: make(chan struct{})})
	return f
}

// put adds the newest block and wakes those who wait for it. Blocks that are
// older than the newest one are not taken. A pulse that can't be read is an error,
// but its block is taken all the same: the sound matters more.
func (f *feed) put(b *programme.Block) (took bool, err error) {
	v := f.view.Load()
	before := f.newest()
	if v.final || before != nil && !follows(before.block, b) {
		return false, nil
	}
	e, err := newEntry(v.edge, before, b)
	f.slots[e.number%uint64(len(f.slots))].Store(e)
	f.change(func(v *view) { v.edge, v.final = v.edge+1, b.Final })
	return true, err
}

// follows reports whether b is newer than a.
func follows(a, b *programme.Block) bool {
	return b.Epoch > a.Epoch || b.Epoch == a.Epoch && b.Seq > a.Seq
}

// close lets the listeners go after the block that they are being sent.
func (f *feed) close() { f.change(func(v *view) { v.closed = true }) }

func (f *feed) change(by func(v *view)) {
	f.mu.Lock()
	old := f.view.Load()
	next := *old
	by(&next)
	next.changed = make(chan struct{})
	f.view.Store(&next)
	f.mu.Unlock()
	close(old.changed)
}

// at returns entry n, nil if it is not kept.
func (f *feed) at(n uint64) *entry {
	if e := f.slots[n%uint64(len(f.slots))].Load(); e != nil && e.number == n {
		return e
	}
	return nil
}

// newest returns the newest entry, nil before the first.
func (f *feed) newest() *entry { return f.at(f.view.Load().edge - 1) }

// find returns the newest entry of block seq, nil if it is not kept.
func (f *feed) find(seq uint64) *entry {
	edge := f.view.Load().edge
	for n := edge; n > 0 && edge-n < uint64(len(f.slots)); n-- {
		if e := f.at(n - 1); e != nil && e.block.Seq == seq {
			return e
		}
	}
	return nil
}

// over reports whether the final block is here.
func (f *feed) over() bool { return f.view.Load().final }

// join counts one listener more.
func (f *feed) join() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.Now++
	f.tally.Total++
	f.tally.Peak = max(f.tally.Peak, f.tally.Now)
}

// part counts one listener less.
func (f *feed) part() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.Now--
}

// count returns how many listen.
func (f *feed) count() space.Tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally
}

// door is a run of entries in one piece, for a listener to come in by: rendered
// once for all who come before the next block.
type door struct {
	edge  uint64 // the number after its last entry; 0 while there is none
	bytes []byte
}

// There is a door of each kind for each form.
const (
	joining  = iota // headers, and the backlog
	skipping        // the newest block alone, for one who has fallen behind
	doorKinds

	doors = doorKinds * forms
)

// enter returns what a listener is sent who comes in now, and the number of the
// entry that comes after it.
func (f *feed) enter(kind int, as form) (run []byte, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edge := f.view.Load().edge
	if edge == 0 {
		return nil, 0
	}
	d := &f.doors[kind*forms+as.index()]
	if d.edge != edge {
		d.edge, d.bytes = edge, f.render(kind, as, edge)
	}
	return d.bytes, edge
}

// render builds the bytes of a door.
func (f *feed) render(kind int, as form, edge uint64) []byte {
	first := f.at(edge - 1)
	if kind == joining {
		first = f.backlog(first)
	}
	var out bytes.Buffer
	if kind == joining {
		out.Write(first.head(as))
	}
	if as.Format == MP4 {
		out.Write(first.stateBefore())
	}
	for n := first.number; n < edge; n++ {
		if e := f.at(n); e != nil {
			out.Write(e.bytes(as))
		}
	}
	return bytes.Clone(out.Bytes()) // without the buffer's spare room
}

// backlog returns the entry that a backlog up to the newest one begins with. It
// does not reach over a hole in time: a player would take its length for sound
// that is to come.
func (f *feed) backlog(newest *entry) *entry {
	first := newest
	for n := uint64(1); n < f.limits.backlog && first.number > 0; n++ {
		e := f.at(first.number - 1)
		if e == nil || e.block.End() != first.block.Start {
			break
		}
		first = e
	}
	return first
}
