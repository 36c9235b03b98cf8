package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// mostChecked bounds how many logs are followed at a time.
const mostChecked = 1024

// checker holds the blocks of all spaces against their signed logs.
type checker struct {
	verifier func() string // key of the core's log; "" while it is not known
	snapshot func(ctx context.Context, id space.ID, seq uint64) (programme.Snapshot, error)

	mu   sync.Mutex // guards what follows
	logs map[space.ID]*followed
}

// followed is the log of one space as far as it was checked.
type followed struct {
	mu       sync.Mutex
	follower *programme.Follower // nil: the next block begins anew
	// start is where a reader is about to begin anew, who asked for this; nil if none is.
	start *programme.Snapshot
}

func (c *checker) log(id space.ID) *followed {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logs[id]
	if l == nil {
		if c.logs == nil || len(c.logs) >= mostChecked {
			c.logs = make(map[space.ID]*followed)
		}
		l = new(followed)
		c.logs[id] = l
	}
	return l
}

// forget is for a space that is over.
func (c *checker) forget(id space.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.logs, id)
}

// check says whether a block is to be believed: it is the next of its log, or was
// followed before. It begins anew, by what the archive says, where a reader does,
// behind a gap, and where a new epoch goes back to what is durable.
//
// Errors: programme.ErrForged; programme.ErrNotNext for an old one; those of asking.
func (c *checker) check(ctx context.Context, b *programme.Block) error {
	l := c.log(b.Space)
	l.mu.Lock()
	defer l.mu.Unlock()
	f, anew := l.follower, l.start != nil && l.start.Seq == b.Seq
	if f == nil {
		return c.begin(ctx, l, b)
	}
	if !anew {
		err := f.Follow(b)
		if errors.Is(err, programme.ErrForged) {
			l.follower = nil
		}
		newer := b.Epoch > f.Epoch() || b.Epoch == f.Epoch() && b.Seq > f.Next()
		if !errors.Is(err, programme.ErrNotNext) || !newer {
			return err
		}
	}
	l.follower = nil
	if err := c.vouch(ctx, b, f); err != nil {
		return err
	}
	return c.begin(ctx, l, b)
}

// vouch is for a follower that is left: what it believed since the last checkpoint
// has to be what the archive has. What a crash took from there, nobody can vouch for
// any more.
func (c *checker) vouch(ctx context.Context, next *programme.Block, f *programme.Follower) error {
	if f.Unsigned() == 0 || next.Epoch != f.Epoch() {
		return nil
	}
	at, err := c.ask(ctx, next.Space, f.Next())
	if err != nil {
		return fmt.Errorf("what was heard before block %d can't be checked any more: %w", next.Seq, err)
	}
	if !slices.Equal(at.Frontier, f.Frontier()) {
		return fmt.Errorf("%w: the blocks up to %d are others than those of the archive", programme.ErrForged, f.Next())
	}
	return nil
}

// begin follows a log from a block on.
func (c *checker) begin(ctx context.Context, l *followed, b *programme.Block) error {
	verifier := c.verifier()
	if verifier == "" {
		return errors.New("the key of the programme's log is not known yet")
	}
	start := l.start
	l.start = nil
	if start == nil || start.Seq != b.Seq {
		at, err := c.ask(ctx, b.Space, b.Seq)
		if err != nil {
			return fmt.Errorf("block %d can't be checked: %w", b.Seq, err)
		}
		start = &at
	}
	f, err := programme.NewFollower(b.Space, verifier, *start)
	if err != nil {
		return err
	}
	if err := f.Follow(b); err != nil {
		return err
	}
	l.follower = f
	return nil
}

func (c *checker) ask(ctx context.Context, id space.ID, seq uint64) (programme.Snapshot, error) {
	if seq == 0 {
		return programme.Snapshot{}, nil // before the first block there is nothing
	}
	return c.snapshot(ctx, id, seq)
}

// keep notes a snapshot that somebody asked for, who is about to bring the block
// that comes after it.
func (c *checker) keep(id space.ID, at programme.Snapshot) {
	l := c.log(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start = &at
}
