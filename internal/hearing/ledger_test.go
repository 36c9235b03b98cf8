package hearing

import (
	"fmt"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"hustings/internal/fmp4"
	"hustings/internal/programme"
	"hustings/internal/wire"
)

// blockOf is a block of a programme.
func blockOf(n int) []byte {
	packets := make([][]byte, programme.PacketsPerBlock)
	for i := range packets {
		packets[i] = fmt.Appendf(nil, "packet %d of block %d", i, n)
	}
	return fmp4.AppendFragment(nil, fmp4.Fragment{Sequence: uint32(n + 1), Time: uint64(n) * programme.BlockSamples, Packets: packets})
}

// heardAs is a block of the programme, with what it is as bytes, or without.
func heardAs(n, altered int, whole bool) wire.Fragment {
	boxes := blockOf(n)
	if altered > 0 {
		boxes[len(boxes)-altered] ^= 1
	}
	f := wire.Fragment{Seq: uint32(n + 1), Time: uint64(n) * programme.BlockSamples, Packets: 25, Size: len(boxes), Hash: xxhash.Sum64(boxes)}
	if whole {
		f.Boxes = boxes
	}
	return f
}

// judged has the ledger judged by a log that holds the programme.
func judged(g *Ledger, f *Figures) {
	keys, blocks := g.Waiting()
	verdicts := make([]Verdict, len(blocks))
	for i, b := range blocks {
		genuine, _ := rungOf(heardAs(int(b.Seq), 0, true))
		verdicts[i] = Refuted
		if b.Rung == genuine {
			verdicts[i] = Proven
		}
	}
	g.Judge(keys, verdicts, f)
}

func TestEachDistinctBlockIsProvenOnce(t *testing.T) {
	g, f := NewLedger(), Figures{}
	g.Heard(heardAs(0, 0, false), false, 0, &f) // in pieces, before anyone had it whole
	g.Heard(heardAs(0, 0, true), true, 0, &f)
	g.Heard(heardAs(0, 0, true), false, 0, &f)
	if n := g.Unsettled(); n != 3 {
		t.Fatalf("%d wait", n)
	}
	if keys, _ := g.Waiting(); len(keys) != 1 {
		t.Fatalf("%d forms are to be proven", len(keys))
	}
	judged(&g, &f)
	g.Heard(heardAs(0, 0, false), false, 0, &f) // later
	g.Heard(heardAs(0, 0, true), true, 0, &f)
	if f.Proven != 2 || f.Compared != 3 || f.Mismatched != 0 || g.Unsettled() != 0 {
		t.Errorf("figures: %d proven, %d compared, %d mismatched, %d wait", f.Proven, f.Compared, f.Mismatched, g.Unsettled())
	}
}

func TestAnAlteredByteIsFound(t *testing.T) {
	for name, whole := range map[string]bool{"read at once": true, "in pieces": false} {
		g, f := NewLedger(), Figures{}
		g.Heard(heardAs(0, 0, true), true, 0, &f)
		g.Heard(heardAs(0, 7, whole), false, 0, &f)
		judged(&g, &f)
		g.forget(time.Second, &f)
		if f.Mismatched != 1 || f.Proven != 1 || len(g.forms) != 1 {
			t.Errorf("%s: %d mismatched, %d proven, %d forms are kept", name, f.Mismatched, f.Proven, len(g.forms))
		}
		if g.Close(&f); len(g.forms) != 0 || len(g.size) != 0 {
			t.Errorf("%s: %d forms and %d sizes are never forgotten", name, len(g.forms), len(g.size))
		}
	}
}

// What only one heard in pieces, at a rung that nobody else had, is not proven, and
// is no fault either.
func TestWhatNobodyHadWholeIsUnproven(t *testing.T) {
	g, f := NewLedger(), Figures{}
	g.Heard(heardAs(0, 0, true), true, 0, &f)
	other := heardAs(0, 0, false)
	other.Hash, other.Size = 1, other.Size/2
	g.Heard(other, false, 0, &f)
	judged(&g, &f)
	g.Close(&f)
	if f.Mismatched != 0 || f.Unproven != 1 || f.Proven != 1 {
		t.Errorf("%d mismatched, %d unproven, %d proven", f.Mismatched, f.Unproven, f.Proven)
	}
}

func TestTheLedgerIsBounded(t *testing.T) {
	g, f := NewLedger(), Figures{}
	for n := range mostForms + 100 {
		g.Heard(wire.Fragment{Seq: 1, Hash: uint64(n)}, false, 0, &f)
	}
	if len(g.forms) != mostForms || f.Unproven != 100 {
		t.Errorf("%d forms are kept, %d counted as unproven", len(g.forms), f.Unproven)
	}
}
