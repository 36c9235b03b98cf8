package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	maxProofBlocks = 120 // a minute
	maxCold        = 4   // logs of finished spaces kept in memory: some 6 MB each for ten hours
)

// Proof shows that the blocks from up to, but not with, to are in the log that was
// signed: their leaves, and for each the way to the newest checkpoint. While the
// space is on the air the newest blocks wait up to 5 s for theirs.
//
// Errors: Invalid for an empty range or one of more than maxProofBlocks, TooEarly
// for blocks that are not signed yet, NotFound for those that are not in the log.
func (a *Archive) Proof(_ context.Context, id space.ID, from, to uint64) (programme.Proof, error) {
	if from >= to || to-from > maxProofBlocks {
		return programme.Proof{}, space.Errorf(space.Invalid, "ask for 1 to %d blocks: from the first up to, but not with, the one after the last", maxProofBlocks)
	}
	if !validID(id) {
		return programme.Proof{}, notFound(id)
	}
	if r := a.known(id); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := r.open(); err != nil {
			return programme.Proof{}, err
		}
		return prove(r.log, r.note, r.signed, from, to)
	}
	a.coldMu.Lock()
	defer a.coldMu.Unlock()
	c, err := a.coldLog(id)
	if err != nil {
		return programme.Proof{}, err
	}
	return prove(c.log, c.note, c.signed, from, to)
}

func prove(l *blockLog, note string, signed, from, to uint64) (programme.Proof, error) {
	if to > l.next() {
		return programme.Proof{}, space.Errorf(space.NotFound, "the log has blocks up to %d only", l.next())
	}
	if to > signed {
		return programme.Proof{}, space.Errorf(space.TooEarly, "the log is signed up to block %d; the next checkpoint comes within 5 s of a block", signed)
	}
	p := programme.Proof{Checkpoint: note}
	for i := l.find(from); from < to; i, from = i+1, from+1 {
		if i == len(l.entries) || l.entries[i].seq != from {
			return programme.Proof{}, space.Errorf(space.NotFound, "block %d did not reach the archive", from)
		}
		b, err := l.block(i)
		if err != nil {
			return programme.Proof{}, err
		}
		proof, err := l.tree.Prove(from, signed)
		if err != nil {
			return programme.Proof{}, err
		}
		p.Leaves = append(p.Leaves, b.Leaf())
		p.Proofs = append(p.Proofs, proof)
	}
	return p, nil
}

// coldLog is the log of a space whose recording is complete.
type coldLog struct {
	id     space.ID
	log    *blockLog
	note   string
	signed uint64
}

// coldLog returns the log of a finished space; those asked for last stay in
// memory. The caller holds coldMu.
func (a *Archive) coldLog(id space.ID) (*coldLog, error) {
	for i, c := range a.cold {
		if c.id == id {
			a.cold = slices.Insert(slices.Delete(a.cold, i, i+1), 0, c)
			return c, nil
		}
	}
	f, err := os.Open(a.path(id, logName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notFound(id)
	}
	if err != nil {
		return nil, err
	}
	l, _, err := openLog(osFile{f}, id)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the log of %s: %w", id, err), f.Close())
	}
	// The recorder that reads the note is never run: it writes nothing.
	r := newRecorder(a, id)
	r.log = l
	r.findNote()
	c := &coldLog{id: id, log: l, note: r.note, signed: r.signed}
	if len(a.cold) == maxCold {
		_ = a.cold[maxCold-1].log.f.Close() // it was only read
		a.cold = a.cold[:maxCold-1]
	}
	a.cold = slices.Insert(a.cold, 0, c)
	return c, nil
}

// closeCold ends the reading of finished logs.
func (a *Archive) closeCold() {
	a.coldMu.Lock()
	defer a.coldMu.Unlock()
	for _, c := range a.cold {
		_ = c.log.f.Close() // it was only read
	}
	a.cold = nil
}
