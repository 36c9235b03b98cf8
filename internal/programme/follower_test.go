package programme_test

import (
	"errors"
	"testing"

	"hustings/internal/programme"
)

// blocksOf reads what was published.
func blocksOf(t testing.TB, sent [][]byte) []*programme.Block {
	t.Helper()
	blocks := make([]*programme.Block, len(sent))
	for i, data := range sent {
		var err error
		if blocks[i], err = programme.UnmarshalBlock(data); err != nil {
			t.Fatal(err)
		}
	}
	return blocks
}

// snapshotAt is what a reader must know who begins with block seq.
func snapshotAt(t testing.TB, blocks []*programme.Block, seq uint64) programme.Snapshot {
	t.Helper()
	var tree programme.Tree
	for _, b := range blocks {
		tree.Append(b.Leaf().Hash())
	}
	frontier, err := tree.Frontier(seq)
	if err != nil {
		t.Fatal(err)
	}
	at := programme.Snapshot{Seq: seq, Frontier: frontier}
	if seq > 0 {
		at.Epoch = blocks[seq-1].Epoch
	}
	return at
}

func follow(t testing.TB, key string, at programme.Snapshot) *programme.Follower {
	t.Helper()
	f, err := programme.NewFollower("town-hall", key, at)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAFollowerMayBeginAnywhere(t *testing.T) {
	signer := newSigner(t)
	_, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 75, true)
	blocks := blocksOf(t, sent)
	for at := range blocks {
		f := follow(t, signer.Verifier(), snapshotAt(t, blocks, uint64(at)))
		for _, b := range blocks[at:] {
			if err := f.Follow(b); err != nil {
				t.Fatalf("beginning at %d: %v", at, err)
			}
			if err := f.Follow(b); err != nil {
				t.Fatalf("beginning at %d, the same block once more: %v", at, err)
			}
		}
		if f.Next() != 75 {
			t.Errorf("beginning at %d, the next block is %d", at, f.Next())
		}
	}
}

func TestAFollowerGoesOnIntoTheNextEpoch(t *testing.T) {
	signer := newSigner(t)
	_, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 17, false)
	blocks := blocksOf(t, sent)
	var tree programme.Tree
	for _, b := range blocks {
		tree.Append(b.Leaf().Hash())
	}
	resume := programme.Resume{Epoch: 1, Seq: 17, End: 17 * programme.BlockSamples, Tree: &tree}
	_, rest := write(t, programme.WriterOptions{Signer: signer, Resume: resume}, 17, 40, true)
	f := follow(t, signer.Verifier(), programme.Snapshot{})
	for _, b := range append(blocks, blocksOf(t, rest)...) {
		if err := f.Follow(b); err != nil {
			t.Fatalf("block %d of epoch %d: %v", b.Seq, b.Epoch, err)
		}
	}
	if err := f.Follow(blocks[16]); !errors.Is(err, programme.ErrNotNext) {
		t.Errorf("a block of the epoch before: %v, want ErrNotNext", err)
	}
}

// TestWhatIsForgedIsFoundOutByTheNextCheckpoint changes one thing in block 13, or in
// what follows it.
func TestWhatIsForgedIsFoundOutByTheNextCheckpoint(t *testing.T) {
	signer, other := newSigner(t), newSigner(t)
	_, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 40, false)
	_, foreign := write(t, programme.WriterOptions{Signer: other}, 0, 40, false)
	for name, forge := range map[string]func(blocks []*programme.Block){
		"a packet is another": func(b []*programme.Block) { b[13].Rungs[0][7] = []byte{0xfc, 1, 2, 3} },
		"a packet of a low rung is another": func(b []*programme.Block) {
			b[13].Rungs[2][0] = append([]byte{b[13].Rungs[2][0][0]}, 9, 9, 9)
		},
		"the pulse says something else": func(b []*programme.Block) { b[13].Pulse = []byte(`{"notice":"Send money"}`) },
		"its time is another":           func(b []*programme.Block) { b[13].Start += programme.PacketSamples },
		"the checkpoint is left out":    func(b []*programme.Block) { b[19].Checkpoint = "" },
		"an older checkpoint":           func(b []*programme.Block) { b[19].Checkpoint = b[9].Checkpoint },
		"another server's checkpoint":   func(b []*programme.Block) { b[19].Checkpoint = blocksOf(t, foreign)[19].Checkpoint },
		"two blocks trade places": func(b []*programme.Block) {
			b[13], b[14] = b[14], b[13]
			b[13].Seq, b[14].Seq = 13, 14
		},
	} {
		blocks := blocksOf(t, sent)
		at := snapshotAt(t, blocks, 5)
		forge(blocks)
		f := follow(t, signer.Verifier(), at)
		var err error
		found := uint64(0)
		for _, b := range blocks[5:] {
			if err = f.Follow(b); err != nil {
				found = b.Seq
				break
			}
		}
		if !errors.Is(err, programme.ErrForged) || found > 19 {
			t.Errorf("%s: %v at block %d, want ErrForged by block 19", name, err, found)
		}
	}
}

func TestAFrontierThatIsALieIsFoundOut(t *testing.T) {
	signer := newSigner(t)
	_, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 40, false)
	blocks := blocksOf(t, sent)
	at := snapshotAt(t, blocks, 21)
	if _, err := programme.NewFollower("town-hall", signer.Verifier(), programme.Snapshot{Seq: 21, Frontier: at.Frontier[1:]}); !errors.Is(err, programme.ErrForged) {
		t.Errorf("a frontier that is too short: %v, want ErrForged", err)
	}
	at.Frontier[0][3] ^= 1
	f := follow(t, signer.Verifier(), at)
	for _, b := range blocks[21:29] {
		if err := f.Follow(b); err != nil {
			t.Fatalf("block %d, before any checkpoint: %v", b.Seq, err)
		}
	}
	if err := f.Follow(blocks[29]); !errors.Is(err, programme.ErrForged) {
		t.Errorf("at the checkpoint: %v, want ErrForged", err)
	}
}

func TestAFollowerTakesNothingButTheNext(t *testing.T) {
	signer := newSigner(t)
	_, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 200, false)
	blocks := blocksOf(t, sent)
	f := follow(t, signer.Verifier(), snapshotAt(t, blocks, 30))
	for _, b := range blocks[30:180] {
		if err := f.Follow(b); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		block *programme.Block
		want  error
	}{
		"a gap":                    {blocks[181], programme.ErrNotNext},
		"before the beginning":     {blocks[29], programme.ErrNotNext},
		"too old to be remembered": {blocks[40], programme.ErrNotNext},
		"the same again":           {blocks[100], nil},
	} {
		if err := f.Follow(c.block); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	second := *blocks[170]
	second.Pulse = []byte(`{"title":"Another"}`)
	if err := f.Follow(&second); !errors.Is(err, programme.ErrForged) {
		t.Errorf("a second block 170: %v, want ErrForged", err)
	}
	elsewhere := *blocks[180]
	elsewhere.Space = "town-hell"
	if err := f.Follow(&elsewhere); !errors.Is(err, programme.ErrForged) {
		t.Errorf("a block of another space: %v, want ErrForged", err)
	}
}

func BenchmarkFollow(b *testing.B) {
	signer := newSigner(b)
	_, sent := write(b, programme.WriterOptions{Signer: signer}, 0, 1000, false)
	blocks := blocksOf(b, sent)
	f := follow(b, signer.Verifier(), programme.Snapshot{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			f = follow(b, signer.Verifier(), programme.Snapshot{})
		}
		if err := f.Follow(blocks[i%1000]); err != nil {
			b.Fatal(err)
		}
	}
}
