package edge

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// checked checks blocks one after the other, up to the first that is refused.
func checked(e *Edge, blocks []*programme.Block) (n int, err error) {
	for _, b := range blocks {
		if err := e.Check(b); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func TestAnEdgeBelievesWhatWasSignedFromWhereverItBegins(t *testing.T) {
	r := newRig(t)
	r.epoch()
	r.say(64)
	r.kept()
	for _, from := range []int{0, 1, 9, 10, 37, 63} {
		e := r.join(func(o *Options) { o.Key = r.signer.Verifier() })
		if n, err := checked(e, r.blocks[from:]); err != nil {
			t.Errorf("beginning at %d, block %d: %v", from, from+n, err)
		}
	}
}

func TestAnEdgeGoesOnOverGapsAndEpochs(t *testing.T) {
	r := newRig(t)
	e := r.join(func(o *Options) { o.Key = r.signer.Verifier() })
	r.epoch()
	heard := r.say(33)
	r.kept()
	if _, err := checked(e, heard[:17]); err != nil {
		t.Fatal(err)
	}
	if _, err := checked(e, heard[25:]); err != nil {
		t.Fatalf("behind a gap: %v", err)
	}
	r.kept()
	r.epoch() // goes on where the archive ends
	if _, err := checked(e, r.say(30)); err != nil {
		t.Fatalf("in the next epoch: %v", err)
	}
	r.kept()
	r.archive.Resume(town) // the archive begins another one, and what is said in the old one
	heard = r.say(3)       // reaches listeners and not the disk
	if _, err := checked(e, heard); err != nil {
		t.Fatalf("what the disk will not have: %v", err)
	}
	r.epoch()
	again := r.say(25)
	if again[0].Seq != heard[0].Seq || again[0].Epoch != heard[0].Epoch+2 {
		t.Fatalf("epoch %d begins at %d", again[0].Epoch, again[0].Seq)
	}
	if n, err := checked(e, again); err != nil {
		t.Fatalf("an epoch that goes back, block %d: %v", n, err)
	}
	if err := e.Check(heard[0]); !errors.Is(err, programme.ErrNotNext) {
		t.Errorf("a block of the epoch before: %v, want ErrNotNext", err)
	}
}

// TestAReaderMayBeginAnewBeforeWhatWasFollowed is a feed that was let go and begins
// again, with what it fetches.
func TestAReaderMayBeginAnewBeforeWhatWasFollowed(t *testing.T) {
	r := newRig(t)
	e := r.join(func(o *Options) { o.Key = r.signer.Verifier() })
	r.epoch()
	r.say(80)
	r.kept()
	if _, err := checked(e, r.blocks[44:63]); err != nil {
		t.Fatal(err)
	}
	for _, from := range []uint64{15, 40, 58} {
		blocks, err := e.Fetch(t.Context(), town, from, 80)
		if err != nil || len(blocks) != int(80-from) || blocks[0].Seq != from {
			t.Fatalf("fetched %d blocks from %d: %v", len(blocks), from, err)
		}
		at, err := e.Snapshot(t.Context(), town, from)
		if err != nil || at.Seq != from || !strings.Contains(string(at.Pulse), "block") {
			t.Fatalf("the snapshot: %+v, %v", at, err)
		}
		if n, err := checked(e, blocks); err != nil {
			t.Errorf("beginning anew at %d, block %d: %v", from, from+uint64(n), err)
		}
	}
}

func TestAnEdgeRefusesWhatWasNotSigned(t *testing.T) {
	r := newRig(t)
	r.epoch()
	r.say(60)
	r.kept()
	other := newSigner(t)
	note, err := other.Sign(programme.Origin(town, 0), 30, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*programme.Block) // of block 25
		last   int                    // the last block by which it must be found out
	}{
		"a packet is another":   {func(b *programme.Block) { b.Rungs[1][3] = []byte("something else") }, 29},
		"the pulse is another":  {func(b *programme.Block) { b.Pulse = []byte(`{"notice":"Send money to"}`) }, 29},
		"it ends the programme": {func(b *programme.Block) { b.Final = true }, 25},
		"another key signs it":  {func(b *programme.Block) { b.Checkpoint = note }, 25},
		"an epoch of its own":   {func(b *programme.Block) { b.Epoch = 7 }, 29},
	} {
		e := r.join(func(o *Options) { o.Key = r.signer.Verifier() })
		blocks := append([]*programme.Block{}, r.blocks[20:25]...)
		forged := r.altered(25, c.change)
		blocks = append(blocks, forged)
		for _, b := range r.blocks[26:] {
			if forged.Epoch != 0 { // whoever forges an epoch goes on with it
				b = r.altered(int(b.Seq), func(b *programme.Block) { b.Epoch = 7 })
			}
			blocks = append(blocks, b)
		}
		n, err := checked(e, blocks)
		if !errors.Is(err, programme.ErrForged) || 20+n > c.last {
			t.Errorf("%s: %v at block %d, want ErrForged by %d", name, err, 20+n, c.last)
		}
		// What is true is believed again.
		if n, err := checked(e, r.blocks[30:]); err != nil {
			t.Errorf("%s: after it, block %d: %v", name, 30+n, err)
		}
	}
}

func TestAnEdgeRefusesTheProgrammeOfAnotherKey(t *testing.T) {
	r := newRig(t)
	r.epoch()
	r.say(30)
	r.kept()
	e := r.join(func(o *Options) { o.Key = newSigner(t).Verifier() })
	if n, err := checked(e, r.blocks); !errors.Is(err, programme.ErrForged) || n > 9 {
		t.Errorf("after %d blocks: %v, want ErrForged at the first checkpoint", n, err)
	}
	unknown := r.join()
	if n, err := checked(unknown, r.blocks); err == nil || n > 0 {
		t.Errorf("without any key %d blocks were believed, %v", n, err)
	}
}

// TestWhatIsLeftBehindAGapIsCheckedToo: a forged block is not to pass because the
// checkpoint that would show it was lost.
func TestWhatIsLeftBehindAGapIsCheckedToo(t *testing.T) {
	r := newRig(t)
	r.epoch()
	r.say(60)
	r.kept()
	e := r.join(func(o *Options) { o.Key = r.signer.Verifier() })
	if _, err := checked(e, r.blocks[20:25]); err != nil {
		t.Fatal(err)
	}
	forged := r.altered(25, func(b *programme.Block) { b.Pulse = []byte(`{"notice":"Send money to"}`) })
	if err := e.Check(forged); err != nil {
		t.Fatalf("before any checkpoint: %v", err)
	}
	if err := e.Check(r.blocks[35]); !errors.Is(err, programme.ErrForged) {
		t.Errorf("behind a gap: %v, want ErrForged", err)
	}
}

func TestABlockThatCanNotBeCheckedIsNotBelieved(t *testing.T) {
	r := newRig(t)
	r.epoch()
	r.say(12)
	r.kept()
	e := r.join(func(o *Options) { o.Key = r.signer.Verifier() })
	e.checker.snapshot = func(context.Context, space.ID, uint64) (programme.Snapshot, error) {
		return programme.Snapshot{}, errors.New("nobody answers")
	}
	if err := e.Check(r.blocks[5]); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("in the middle: %v", err)
	}
	if n, err := checked(e, r.blocks); err != nil {
		t.Errorf("from the beginning nothing need be asked: %v at %d", err, n)
	}
}
