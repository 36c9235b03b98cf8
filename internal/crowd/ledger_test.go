package crowd

import (
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"hustings/internal/client"
)

// heardAs is a block of the rig's programme, with what it is as bytes, or without.
func heardAs(n, altered int, whole bool) fragment {
	boxes := blockOf(n)
	if altered > 0 {
		boxes[len(boxes)-altered] ^= 1
	}
	f := fragment{seq: uint32(n + 1), time: uint64(n) * blockSamples, packets: 25, size: len(boxes), hash: xxhash.Sum64(boxes)}
	if whole {
		f.boxes = boxes
	}
	return f
}

// judged has the ledger judged by a log that holds the rig's programme.
func judged(g *ledger, f *Figures) {
	keys, blocks := g.waiting()
	verdicts := make([]client.Verdict, len(blocks))
	for i, b := range blocks {
		genuine, _ := rungOf(heardAs(int(b.Seq), 0, true))
		verdicts[i] = client.Refuted
		if b.Rung == genuine {
			verdicts[i] = client.Proven
		}
	}
	g.judge(keys, verdicts, f)
}

func TestEachDistinctBlockIsProvenOnce(t *testing.T) {
	g, f := newLedger(), Figures{}
	g.heard(heardAs(0, 0, false), false, 0, &f) // in pieces, before anyone had it whole
	g.heard(heardAs(0, 0, true), true, 0, &f)
	g.heard(heardAs(0, 0, true), false, 0, &f)
	if n := g.unsettled(); n != 3 {
		t.Fatalf("%d wait", n)
	}
	if keys, _ := g.waiting(); len(keys) != 1 {
		t.Fatalf("%d forms are to be proven", len(keys))
	}
	judged(&g, &f)
	g.heard(heardAs(0, 0, false), false, 0, &f) // later
	g.heard(heardAs(0, 0, true), true, 0, &f)
	if f.Proven != 2 || f.Compared != 3 || f.Mismatched != 0 || g.unsettled() != 0 {
		t.Errorf("figures: %d proven, %d compared, %d mismatched, %d wait", f.Proven, f.Compared, f.Mismatched, g.unsettled())
	}
}

func TestAnAlteredByteIsFound(t *testing.T) {
	for name, whole := range map[string]bool{"read at once": true, "in pieces": false} {
		g, f := newLedger(), Figures{}
		g.heard(heardAs(0, 0, true), true, 0, &f)
		g.heard(heardAs(0, 7, whole), false, 0, &f)
		judged(&g, &f)
		g.forget(time.Second, &f)
		if f.Mismatched != 1 || f.Proven != 1 || len(g.forms) != 1 {
			t.Errorf("%s: %d mismatched, %d proven, %d forms are kept", name, f.Mismatched, f.Proven, len(g.forms))
		}
		if g.forget(time.Hour, &f); len(g.forms) != 0 || len(g.size) != 0 {
			t.Errorf("%s: %d forms and %d sizes are never forgotten", name, len(g.forms), len(g.size))
		}
	}
}

// What only one heard in pieces, at a rung that nobody else had, is not proven, and
// is no fault either.
func TestWhatNobodyHadWholeIsUnproven(t *testing.T) {
	g, f := newLedger(), Figures{}
	g.heard(heardAs(0, 0, true), true, 0, &f)
	other := heardAs(0, 0, false)
	other.hash, other.size = 1, other.size/2
	g.heard(other, false, 0, &f)
	judged(&g, &f)
	g.forget(time.Hour, &f)
	if f.Mismatched != 0 || f.Unproven != 1 || f.Proven != 1 {
		t.Errorf("%d mismatched, %d unproven, %d proven", f.Mismatched, f.Unproven, f.Proven)
	}
}

func TestTheLedgerIsBounded(t *testing.T) {
	g, f := newLedger(), Figures{}
	for n := range mostForms + 100 {
		g.heard(fragment{seq: 1, hash: uint64(n)}, false, 0, &f)
	}
	if len(g.forms) != mostForms || f.Unproven != 100 {
		t.Errorf("%d forms are kept, %d counted as unproven", len(g.forms), f.Unproven)
	}
}
