package programme_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"hustings/internal/programme"
)

func newSigner(t testing.TB) *programme.Signer {
	t.Helper()
	s, _, err := programme.NewSigner("hustings.test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write appends the plain blocks from a up to b, and returns what was published.
func write(t testing.TB, o programme.WriterOptions, a, b uint64, final bool) (*programme.Writer, [][]byte) {
	t.Helper()
	var sent [][]byte
	o.Space = "town-hall"
	o.Publish = func(data []byte) error { sent = append(sent, data); return nil }
	w := programme.NewWriter(o)
	for seq := a; seq < b; seq++ {
		block := plainBlock(seq)
		if _, err := w.Append(block.Start, block.Rungs, block.Pulse, final && seq == b-1); err != nil {
			t.Fatal(err)
		}
	}
	return w, sent
}

// treeOf builds the tree of published blocks, and checks each checkpoint on the way.
func treeOf(t testing.TB, sent [][]byte, key string) (tree programme.Tree, notes int) {
	t.Helper()
	for _, data := range sent {
		b, err := programme.UnmarshalBlock(data)
		if err != nil {
			t.Fatal(err)
		}
		tree.Append(b.Leaf().Hash())
		if b.Checkpoint == "" {
			continue
		}
		notes++
		c, err := programme.OpenCheckpoint([]byte(b.Checkpoint), key)
		if err != nil {
			t.Fatal(err)
		}
		want := programme.Checkpoint{Origin: programme.Origin(b.Space, b.Epoch), Size: b.Seq + 1, Root: tree.Root()}
		if c != want {
			t.Fatalf("the checkpoint of block %d says %+v, want %+v", b.Seq, c, want)
		}
	}
	return tree, notes
}

func TestWriterPublishesWhatItReturns(t *testing.T) {
	signer := newSigner(t)
	w, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 25, true)
	_, notes := treeOf(t, sent, signer.Verifier())
	if notes != 3 { // after 10, 20, and with the final block
		t.Errorf("%d checkpoints, want 3", notes)
	}
	last, err := programme.UnmarshalBlock(sent[24])
	if err != nil || !last.Final || last.Checkpoint != w.Checkpoint() {
		t.Errorf("the final block: final %v, checkpoint %q; want that of the writer (%v)", last.Final, last.Checkpoint, err)
	}
	if _, err := w.Append(w.End(), last.Rungs, nil, false); !errors.Is(err, programme.ErrFinal) {
		t.Errorf("a block after the final one: %v, want ErrFinal", err)
	}
}

func TestResumedTreeIsTheUninterruptedOne(t *testing.T) {
	signer := newSigner(t)
	_, whole := write(t, programme.WriterOptions{Signer: signer}, 0, 33, false)
	want, _ := treeOf(t, whole, signer.Verifier())
	for cut := range uint64(33) {
		tree, _ := treeOf(t, whole[:cut], signer.Verifier())
		resume := programme.Resume{Seq: cut, End: int64(cut) * programme.BlockSamples, Tree: &tree}
		_, rest := write(t, programme.WriterOptions{Signer: signer, Resume: resume}, cut, 33, false)
		if tree.Root() != want.Root() {
			t.Fatalf("resumed at %d, the tree is another", cut)
		}
		if _, err := programme.UnmarshalBlock(rest[0]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriterRefusesOverlapAndAllowsHoles(t *testing.T) {
	w, _ := write(t, programme.WriterOptions{}, 0, 2, false)
	b := plainBlock(2)
	if _, err := w.Append(w.End()-programme.PacketSamples, b.Rungs, nil, false); !errors.Is(err, programme.ErrStart) {
		t.Errorf("a block that begins too early: %v, want ErrStart", err)
	}
	got, err := w.Append(w.End()+programme.PacketSamples, b.Rungs, nil, false)
	if err != nil || got.Seq != 2 {
		t.Errorf("after a hole: %+v, %v; want block 2", got, err)
	}
}

func TestUnpublishedBlockIsNotInTheLog(t *testing.T) {
	signer := newSigner(t)
	fail := true
	var sent [][]byte
	w := programme.NewWriter(programme.WriterOptions{Space: "town-hall", Signer: signer, Publish: func(data []byte) error {
		if fail = !fail; !fail {
			return errors.New("bus is full")
		}
		sent = append(sent, data)
		return nil
	}})
	for seq := range uint64(20) {
		b := plainBlock(seq)
		if _, err := w.Append(b.Start, b.Rungs, b.Pulse, false); err == nil || !strings.Contains(err.Error(), "bus is full") {
			t.Fatalf("error %v, want that of Publish", err)
		}
		if _, err := w.Append(b.Start, b.Rungs, b.Pulse, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, notes := treeOf(t, sent, signer.Verifier()); notes != 2 || len(sent) != 20 {
		t.Errorf("%d blocks with %d checkpoints, want 20 with 2", len(sent), notes)
	}
}

func TestWriterCopies(t *testing.T) {
	w, _ := write(t, programme.WriterOptions{}, 0, 0, false)
	b := plainBlock(0)
	got, err := w.Append(0, b.Rungs, b.Pulse, false)
	if err != nil {
		t.Fatal(err)
	}
	want := got.Leaf()
	b.Rungs[0][0][0]++
	b.Pulse[0]++
	if got.Leaf() != want {
		t.Error("the block changed with the caller's memory")
	}
}

func TestAppendAllocatesLittle(t *testing.T) {
	w, _ := write(t, programme.WriterOptions{}, 0, 1000, false)
	b := plainBlock(1)
	n := testing.AllocsPerRun(500, func() {
		if _, err := w.Append(w.End(), b.Rungs, b.Pulse, false); err != nil {
			t.Fatal(err)
		}
	})
	// The bytes that are published, the block upon them, its space's name; the tree grows now and then.
	if n > 4 {
		t.Errorf("%v allocations a block, want at most 4", n)
	}
}

func TestSigner(t *testing.T) {
	signer, other := newSigner(t), newSigner(t)
	note, err := signer.Sign("hustings/town-hall/0", 7, tlog.RecordHash(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := programme.OpenCheckpoint([]byte(note), other.Verifier()); !errors.Is(err, programme.ErrCheckpoint) {
		t.Errorf("by another's key: %v, want ErrCheckpoint", err)
	}
	forged := strings.Replace(note, "\n7\n", "\n8\n", 1)
	if _, err := programme.OpenCheckpoint([]byte(forged), signer.Verifier()); !errors.Is(err, programme.ErrCheckpoint) {
		t.Errorf("forged: %v, want ErrCheckpoint", err)
	}
}

func TestLoadSignerKeepsItsKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log.key")
	first, err := programme.LoadSigner(file, "hustings.test")
	if err != nil {
		t.Fatal(err)
	}
	again, err := programme.LoadSigner(file, "another.name")
	if err != nil || again.Verifier() != first.Verifier() {
		t.Errorf("the second time the key is %v (%v), want %s", again, err, first.Verifier())
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v; want mode 0600", info, err)
	}
	if err := os.WriteFile(file, []byte("nonsense\nmore"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := programme.LoadSigner(file, "hustings.test"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken key: %v, want an error that names the file", err)
	}
}

func TestProof(t *testing.T) {
	signer := newSigner(t)
	w, sent := write(t, programme.WriterOptions{Signer: signer}, 0, 20, false)
	tree, _ := treeOf(t, sent, signer.Verifier())
	p := programme.Proof{Checkpoint: w.Checkpoint()}
	for seq := uint64(3); seq < 6; seq++ {
		b, _ := programme.UnmarshalBlock(sent[seq])
		proof, err := tree.Prove(seq, 20)
		if err != nil {
			t.Fatal(err)
		}
		p.Leaves, p.Proofs = append(p.Leaves, b.Leaf()), append(p.Proofs, proof)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var got programme.Proof
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(signer.Verifier()); err != nil {
		t.Errorf("after JSON: %v", err)
	}
	got.Leaves[1].Start++
	if err := got.Verify(signer.Verifier()); !errors.Is(err, programme.ErrProof) {
		t.Errorf("with a leaf changed: %v, want ErrProof", err)
	}
	if err := (programme.Proof{Checkpoint: p.Checkpoint}).Verify(signer.Verifier()); !errors.Is(err, programme.ErrProof) {
		t.Errorf("of nothing: %v, want ErrProof", err)
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	s := newSigner(f)
	note, err := s.Sign(programme.Origin("town-hall", 1), 10, tlog.RecordHash(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(note))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := programme.OpenCheckpoint(data, s.Verifier())
		if err == nil && (c.Origin != "hustings/town-hall/1" || c.Size != 10) {
			t.Fatalf("a checkpoint that was never signed: %+v from %q", c, data)
		}
	})
}

func FuzzParseOrigin(f *testing.F) {
	f.Add("hustings/town-hall/7")
	f.Fuzz(func(t *testing.T, origin string) {
		if id, epoch, err := programme.ParseOrigin(origin); err == nil && programme.Origin(id, epoch) != origin {
			t.Fatalf("%q became %s", origin, programme.Origin(id, epoch))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	w, _ := write(b, programme.WriterOptions{Signer: newSigner(b)}, 0, 1, false)
	block := plainBlock(1)
	for r := range block.Rungs {
		for i := range block.Rungs[r] {
			block.Rungs[r][i] = fmt.Appendf(nil, "%0*d", 120>>r, i)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Append(w.End(), block.Rungs, block.Pulse, false); err != nil {
			b.Fatal(err)
		}
	}
}
