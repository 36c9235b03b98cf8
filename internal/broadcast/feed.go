package broadcast

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/tally"
)

// limits of a feed, in blocks but for slack.
type limits struct {
	backlog uint64 // that a joiner is sent at once, at least
	deepest uint64 // that anybody has in hand
	keep    uint64 // that are kept
	slack   time.Duration
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
	window atomic.Pointer[Window] // of the newest view that was asked for
	intake intake

	audience  tally.Count
	rehearsal tally.Count
	lost      skips // by those who rehearse

	mu    sync.Mutex // guards what follows, and is held to replace view
	doors map[doorKey]*door
}

// view is where the live edge stands. It is never changed: a new one takes its
// place, and then changed is closed.
type view struct {
	edge    uint64 // number of the entry after the newest one
	final   bool   // the newest block is the last one
	closed  bool   // listeners are to go
	changed chan struct{}
}

func newFeed(id space.ID, l limits) *feed {
	f := &feed{id: id, limits: l, slots: make([]atomic.Pointer[entry], l.keep), doors: make(map[doorKey]*door)}
	f.view.Store(&view{changed: make(chan struct{})})
	return f
}

// put adds the newest block. Blocks that are older than the newest one are not taken.
// A pulse that can't be read is an error, but its block is taken all the same: the
// sound matters more.
func (f *feed) put(b *programme.Block) (took bool, err error) {
	v := f.view.Load()
	before := f.newest()
	if v.final || before != nil && !follows(before.block, b) {
		return false, nil
	}
	e, err := newEntry(v.edge, f.state(before, b), b)
	if before != nil {
		e.hole = holeBetween(before.block, b)
	}
	f.slots[e.number%uint64(len(f.slots))].Store(e)
	f.change(func(v *view) { v.edge, v.final = v.edge+1, b.Final })
	return true, err
}

// state returns what goes before a block: what the intake was told of it, or what the
// newest entry led to.
func (f *feed) state(newest *entry, b *programme.Block) state {
	if told := f.intake.start; newest == nil || told.known && told.epoch == b.Epoch && told.seq == b.Seq {
		told.apart = newest != nil
		return told
	}
	return state{known: true, epoch: newest.block.Epoch, seq: newest.block.Seq + 1, pulse: newest.after}
}

// follows reports whether b is newer than a.
func follows(a, b *programme.Block) bool {
	return b.Epoch > a.Epoch || b.Epoch == a.Epoch && b.Seq > a.Seq
}

// holeBetween returns how much time lies between two blocks that follow each other.
func holeBetween(a, b *programme.Block) time.Duration {
	const most = programme.SampleRate * 3600 // more than anybody has in hand
	return time.Duration(min(max(0, b.Start-a.End()), most)) * time.Second / programme.SampleRate
}

// close lets the listeners go at their next turn.
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

// find returns the newest entry that is so, nil if none is kept.
func (f *feed) find(is func(*programme.Block) bool) *entry {
	edge := f.view.Load().edge
	for n := edge; n > 0 && edge-n < uint64(len(f.slots)); n-- {
		if e := f.at(n - 1); e != nil && is(e.block) {
			return e
		}
	}
	return nil
}

// over reports whether the final block is here.
func (f *feed) over() bool { return f.view.Load().final }

// door is a run of entries in one piece, for a listener to come in by: rendered
// once for all who come before the next block.
type door struct {
	edge   uint64 // the number after its last entry
	blocks uint64
	bytes  []byte
	pacing *pacing
}

// doorKey tells doors apart that differ in what they hold.
type doorKey struct {
	kind doorKind
	own  programme.Rung // that the stream's head is for
	form form           // of the blocks
}

type doorKind uint8

const (
	joining   doorKind = iota // head, whole pulse and backlog
	following                 // the same, and the depth to keep
	skipping                  // whole pulse and newest block, for one who has fallen behind
)

// enter returns the door for who comes in now: the blocks of a backlog, at most.
func (f *feed) enter(key doorKey, backlog uint64, p *pacing) *door {
	f.mu.Lock()
	defer f.mu.Unlock()
	edge := f.view.Load().edge
	d := f.doors[key]
	if d == nil || d.edge != edge || d.pacing != p {
		d = f.build(key, edge, backlog, p)
		f.doors[key] = d
	}
	return d
}

// build makes a door. It is called with mu held, at most a few times for each block.
func (f *feed) build(key doorKey, edge, backlog uint64, p *pacing) *door {
	first := f.at(edge - 1)
	if key.kind != skipping {
		first = f.backlog(first, backlog)
	}
	var out bytes.Buffer
	if key.kind != skipping {
		out.Write(first.head(form{key.form.Format, key.own}))
	}
	if key.kind == following {
		out.Write(p.event)
	}
	if key.form.Format == MP4 {
		out.Write(first.stateBefore())
	}
	for n := first.number; n < edge; n++ {
		if e := f.at(n); e != nil {
			out.Write(e.bytes(key.form))
		}
	}
	// A clone is without the buffer's spare room.
	return &door{edge: edge, blocks: edge - first.number, bytes: bytes.Clone(out.Bytes()), pacing: p}
}

// backlog returns the entry that a backlog up to the newest one begins with. It
// does not reach over a hole in time: a player would take its length for sound
// that is to come.
func (f *feed) backlog(newest *entry, blocks uint64) *entry {
	first := newest
	for n := uint64(1); n < blocks && first.number > 0; n++ {
		e := f.at(first.number - 1)
		if e == nil || e.block.End() != first.block.Start {
			break
		}
		first = e
	}
	return first
}
