package archive

import (
	"fmt"
	"sort"

	"hustings/internal/programme"
)

// stateEvery is the number of blocks between two whole pulses that are kept: a
// state of 3 kB every minute is 2 MB for ten hours, and a snapshot between two of
// them reads at most a minute of the log.
const stateEvery = 120

// states are whole pulses of a log, in its order.
type states struct {
	now  state // behind the newest block
	kept []state
}

// state is how things stood before an entry of the log.
type state struct {
	entry int
	epoch uint32 // of the block before it
	pulse []byte // whole, empty if there is none; never changed
}

// add takes the next entry into account.
func (s *states) add(b *programme.Block) {
	if s.now.entry%stateEvery == 0 {
		s.kept = append(s.kept, s.now)
	}
	s.now = s.now.after(b)
}

// after returns how things stand behind the next block. A patch that can't be read
// leaves the pulse as it was, as it does everywhere.
func (s state) after(b *programme.Block) state {
	next := state{entry: s.entry + 1, epoch: b.Epoch, pulse: s.pulse}
	if len(b.Pulse) == 0 || string(b.Pulse) == "{}" {
		return next
	}
	base := s.pulse
	if b.Epoch != s.epoch {
		base = nil // an epoch begins with a whole pulse
	}
	if pulse, err := programme.Apply(base, b.Pulse); err == nil {
		next.pulse = pulse
	}
	return next
}

// before returns the newest state that is known and not behind an entry.
func (s *states) before(entry int) state {
	if entry >= s.now.entry {
		return s.now
	}
	i := sort.Search(len(s.kept), func(i int) bool { return s.kept[i].entry > entry })
	if i == 0 {
		return state{}
	}
	return s.kept[i-1]
}

// snapshot returns what a reader must know who begins with block seq.
//
// Errors: programme.ErrSize beyond the log's end, and those of reading it.
func (l *blockLog) snapshot(seq uint64) (programme.Snapshot, error) {
	frontier, err := l.tree.Frontier(seq)
	if err != nil {
		return programme.Snapshot{}, err
	}
	end := l.find(seq)
	at := l.states.before(end)
	for at.entry < end {
		b, err := l.block(at.entry)
		if err != nil {
			return programme.Snapshot{}, fmt.Errorf("the snapshot before block %d: %w", seq, err)
		}
		at = at.after(b)
	}
	return programme.Snapshot{Epoch: at.epoch, Seq: seq, Pulse: at.pulse, Frontier: frontier}, nil
}
