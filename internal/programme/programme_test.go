package programme_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"hustings/internal/programme"
	"hustings/internal/space"
)

// someBlock draws a block within all limits.
func someBlock(t *rapid.T) *programme.Block {
	packet := rapid.SliceOfN(rapid.Byte(), 1, 40)
	b := &programme.Block{
		Space:      space.ID(rapid.StringMatching(`[a-z0-9-]{1,64}`).Draw(t, "space")),
		Epoch:      rapid.Uint32().Draw(t, "epoch"),
		Seq:        rapid.Uint64().Draw(t, "seq"),
		Start:      rapid.Int64Range(0, 1<<40).Draw(t, "start") * programme.PacketSamples,
		Final:      rapid.Bool().Draw(t, "final"),
		Stereo:     rapid.Bool().Draw(t, "stereo"),
		Pulse:      rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "pulse"),
		Checkpoint: rapid.StringN(0, 100, 300).Draw(t, "checkpoint"),
	}
	for r := range b.Rungs {
		b.Rungs[r] = rapid.SliceOfN(packet, programme.PacketsPerBlock, programme.PacketsPerBlock).Draw(t, "packets")
	}
	return b
}

func binary(t interface{ Fatal(...any) }, b *programme.Block) []byte {
	data, err := b.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBlockRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := someBlock(t)
		data := binary(t, b)
		got, err := programme.UnmarshalBlock(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, got); diff != "" {
			t.Fatal(diff)
		}
		if b.Leaf() != got.Leaf() {
			t.Fatal("the leaf has changed on the way")
		}
	})
}

func TestEveryCutAndEveryTailIsRefused(t *testing.T) {
	data := binary(t, plainBlock(7))
	for n := range data {
		if _, err := programme.UnmarshalBlock(data[:n]); !errors.Is(err, programme.ErrBlock) {
			t.Fatalf("the first %d of %d bytes: error %v, want ErrBlock", n, len(data), err)
		}
	}
	if _, err := programme.UnmarshalBlock(append(data, 0)); !errors.Is(err, programme.ErrBlock) {
		t.Fatalf("a byte too many: error %v, want ErrBlock", err)
	}
}

// A flipped bit is either refused or changes the leaf's hash: nothing that
// listeners get can be changed without notice. The checkpoint alone is outside of
// the leaf, for it signs it.
func TestEveryFlippedBitIsNoticed(t *testing.T) {
	b := plainBlock(7)
	data := binary(t, b)
	signed := len(data) - len(b.Checkpoint)
	want := b.Leaf().Hash()
	for i := range 8 * signed {
		bad := bytes.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		got, err := programme.UnmarshalBlock(bad)
		if err == nil && got.Leaf().Hash() == want {
			t.Fatalf("bit %d of byte %d of %d can be flipped unseen", i%8, i/8, len(data))
		}
	}
}

func TestBrokenBlocksAreNotWritten(t *testing.T) {
	for name, spoil := range map[string]func(*programme.Block){
		"no space":         func(b *programme.Block) { b.Space = "" },
		"space of capital": func(b *programme.Block) { b.Space = "A" },
		"start":            func(b *programme.Block) { b.Start = 1 },
		"negative start":   func(b *programme.Block) { b.Start = -programme.PacketSamples },
		"24 packets":       func(b *programme.Block) { b.Rungs[1] = b.Rungs[1][1:] },
		"empty packet":     func(b *programme.Block) { b.Rungs[2][3] = nil },
		"large packet":     func(b *programme.Block) { b.Rungs[0][3] = make([]byte, programme.MaxPacket+1) },
		"large pulse":      func(b *programme.Block) { b.Pulse = make([]byte, programme.MaxPulse+1) },
	} {
		b := plainBlock(1)
		spoil(b)
		if data, err := b.AppendBinary([]byte("kept")); !errors.Is(err, programme.ErrBlock) || string(data) != "kept" {
			t.Errorf("%s: %q, %v; want what was there and ErrBlock", name, data, err)
		}
	}
}

// plainBlock returns a small block, the same for the same seq.
func plainBlock(seq uint64) *programme.Block {
	b := &programme.Block{
		Space: "town-hall", Epoch: 2, Seq: seq, Start: int64(seq) * programme.BlockSamples,
		Pulse: fmt.Appendf(nil, `{"tally":{"now":%d}}`, seq), Checkpoint: "note",
	}
	random := rand.New(rand.NewPCG(seq, 1))
	for r := range b.Rungs {
		for range programme.PacketsPerBlock {
			p := make([]byte, 1+random.IntN(20))
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			b.Rungs[r] = append(b.Rungs[r], p)
		}
	}
	return b
}

func FuzzUnmarshalBlock(f *testing.F) {
	data := binary(f, plainBlock(3))
	f.Add(data)
	f.Add(data[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := programme.UnmarshalBlock(data)
		if err != nil {
			return
		}
		if again := binary(t, b); !bytes.Equal(again, data) {
			t.Fatalf("read and written again, %x became %x", data, again)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	text, _ := plainBlock(3).Leaf().MarshalText()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := programme.ParseLeaf(text)
		if err != nil {
			return
		}
		if again, _ := l.MarshalText(); !bytes.Equal(again, text) {
			t.Fatalf("%q became %q", text, again)
		}
	})
}

func FuzzSplitFramed(f *testing.F) {
	f.Add(programme.AppendFramed(programme.AppendFramed(nil, []byte("one")), []byte("two")))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := programme.SplitFramed(data)
		if err != nil {
			return
		}
		var again []byte
		for _, b := range blocks {
			again = programme.AppendFramed(again, b)
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}

func TestLeafText(t *testing.T) {
	b := plainBlock(3)
	b.Final, b.Stereo = true, true
	text, err := b.Leaf().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if want := "hustings block v1\ntown-hall 2 3 72000 final stereo\n"; !bytes.HasPrefix(text, []byte(want)) {
		t.Errorf("the leaf begins %q, want %q", text, want)
	}
	if got := b.Leaf().Hash(); got != tlog.RecordHash(text) {
		t.Errorf("hash %v, want that of the text", got)
	}
	if l, err := programme.ParseLeaf(text); err != nil || l != b.Leaf() {
		t.Errorf("read again: %+v, %v", l, err)
	}
	if got := b.Leaf().Rungs[1]; got != programme.HashPackets(b.Rungs[1]) {
		t.Errorf("rung 24 has the hash %v", got)
	}
}

// Every proof of every leaf in every size of tree holds, and holds for that leaf
// alone; the tree is the one that tlog builds.
func TestTreeProves(t *testing.T) {
	const most = 40
	var tree programme.Tree
	var reference hashes
	for n := uint64(0); n < most; n++ {
		leaf := tlog.RecordHash(fmt.Append(nil, n))
		stored, err := tlog.StoredHashesForRecordHash(int64(n), leaf, &reference)
		if err != nil {
			t.Fatal(err)
		}
		reference = append(reference, stored...)
		tree.Append(leaf)
		size := n + 1
		root, err := tlog.TreeHash(int64(size), &reference)
		if err != nil || tree.Root() != root {
			t.Fatalf("root of %d is %v, want %v (%v)", size, tree.Root(), root, err)
		}
		for seq := range size {
			proof, err := tree.Prove(seq, size)
			if err != nil {
				t.Fatal(err)
			}
			hash, err := tree.Leaf(seq)
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(proof, int64(size), root, int64(seq), hash); err != nil {
				t.Fatalf("proof of %d in %d: %v", seq, size, err)
			}
			if tlog.CheckRecord(proof, int64(size), root, int64(seq), tlog.RecordHash([]byte("forged"))) == nil {
				t.Fatalf("proof of %d in %d holds for another leaf", seq, size)
			}
		}
	}
	if _, err := tree.Prove(most, most); !errors.Is(err, programme.ErrSize) {
		t.Errorf("a leaf that is not there: %v, want ErrSize", err)
	}
	if _, err := tree.RootAt(most + 1); !errors.Is(err, programme.ErrSize) {
		t.Errorf("a root that is not there: %v, want ErrSize", err)
	}
}

type hashes []tlog.Hash

func (h *hashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = (*h)[x]
	}
	return out, nil
}

func TestTruncatedTreeGrowsAsIfNothingWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint64Range(0, 70).Draw(t, "size")
		cut := rapid.Uint64Range(0, size).Draw(t, "cut")
		var whole, other programme.Tree
		for n := range size {
			whole.Append(tlog.RecordHash(fmt.Append(nil, n)))
			other.Append(tlog.RecordHash(fmt.Append(nil, n/3)))
		}
		other.Truncate(0)
		for n := range cut {
			other.Append(tlog.RecordHash(fmt.Append(nil, n)))
		}
		other.Append(tlog.RecordHash([]byte("too much")))
		other.Truncate(cut)
		grown := other.Clone()
		for n := cut; n < size; n++ {
			grown.Append(tlog.RecordHash(fmt.Append(nil, n)))
		}
		if grown.Root() != whole.Root() || other.Size() != cut {
			t.Fatalf("cut to %d and grown to %d the tree is another", cut, size)
		}
	})
}

func TestRange(t *testing.T) {
	ring := programme.NewRing(4)
	if _, ok := ring.Newest(); ok {
		t.Error("an empty ring has a newest block")
	}
	numbers := func(blocks []*programme.Block) (out []uint64) {
		for _, b := range blocks {
			out = append(out, b.Seq)
		}
		return out
	}
	put := func(epoch uint32, seq uint64) { ring.Put(&programme.Block{Epoch: epoch, Seq: seq}) }
	for seq := range uint64(7) {
		put(0, seq)
	}
	put(0, 2) // late: ignored
	for _, c := range []struct {
		from, to uint64
		want     []uint64
	}{
		{0, 100, []uint64{3, 4, 5, 6}}, {4, 6, []uint64{4, 5}}, {0, 3, nil}, {7, 9, nil}, {6, 6, nil}, {5, 1, nil},
	} {
		if got := numbers(ring.Range(c.from, c.to)); !cmp.Equal(got, c.want) {
			t.Errorf("%d to %d: %v, want %v", c.from, c.to, got, c.want)
		}
	}
	put(1, 5) // a new epoch writes over what was lost
	put(0, 6) // and what is left of the old one comes too late
	if got := numbers(ring.Range(0, 100)); !cmp.Equal(got, []uint64{3, 4, 5}) {
		t.Errorf("after a new epoch: %v, want 3 4 5", got)
	}
	if _, ok := ring.Get(6); ok {
		t.Error("a block beyond the end of the new epoch is still there")
	}
	put(1, 9)
	if got := numbers(ring.Range(0, 100)); !cmp.Equal(got, []uint64{9}) {
		t.Errorf("after a gap: %v, want 9", got)
	}
}

func TestRingWithManyReaders(t *testing.T) {
	ring := programme.NewRing(8)
	done := make(chan struct{})
	bad := make(chan string, 4)
	for range 4 {
		go func() {
			defer func() { bad <- "" }()
			for {
				select {
				case <-done:
					return
				default:
				}
				blocks := ring.Range(0, 1<<40)
				for i, b := range blocks {
					if b.Seq != blocks[0].Seq+uint64(i) {
						bad <- fmt.Sprintf("block %d at place %d after %d", b.Seq, i, blocks[0].Seq)
						return
					}
				}
			}
		}()
	}
	for seq := range uint64(20000) {
		ring.Put(&programme.Block{Seq: seq})
	}
	close(done)
	for range 4 {
		if text := <-bad; text != "" {
			t.Error(text)
		}
	}
}
