package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"hustings/internal/programme"
)

// snapshot asks the bus for one.
func (g *rig) snapshot(seq uint64) programme.Snapshot {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 20*time.Second)
	defer cancel()
	data, err := g.bus.Request(ctx, "hustings.snapshot.town-hall", fmt.Appendf(nil, `{"seq":%d}`, seq))
	if err != nil {
		g.t.Fatalf("the snapshot at %d: %v", seq, err)
	}
	var at programme.Snapshot
	if err := json.Unmarshal(data, &at); err != nil || at.Seq != seq {
		g.t.Fatalf("the snapshot at %d: %s, %v", seq, data, err)
	}
	return at
}

// TestWhoBeginsInTheMiddleKnowsAll begins at each block of a log with two epochs: the
// pulse is what all patches before make it, and what follows can be checked.
func TestWhoBeginsInTheMiddleKnowsAll(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	g.write(131, 0, false)
	g.resume(false)
	g.write(139, 4800, false)
	var pulse []byte
	for i, b := range g.sent {
		at := g.snapshot(uint64(i))
		if string(at.Pulse) != string(pulse) {
			t.Fatalf("the pulse before block %d is %s, want %s", i, at.Pulse, pulse)
		}
		if i > 0 && at.Epoch != g.sent[i-1].Epoch {
			t.Fatalf("before block %d is epoch %d, want %d", i, at.Epoch, g.sent[i-1].Epoch)
		}
		f, err := programme.NewFollower(town, g.signer.Verifier(), at)
		if err != nil {
			t.Fatal(err)
		}
		for _, next := range g.sent[i:min(i+12, len(g.sent))] { // a checkpoint is among them
			if err := f.Follow(next); err != nil {
				t.Fatalf("beginning at %d: %v", i, err)
			}
		}
		if i == 0 || b.Epoch != g.sent[i-1].Epoch {
			pulse = nil
		}
		if pulse, err = programme.Apply(pulse, b.Pulse); err != nil {
			t.Fatal(err)
		}
	}
	whole := g.snapshot(270)
	g.kill() // what is read from the disk says the same
	g.start()
	g.resume(false)
	again := g.snapshot(270)
	if string(again.Pulse) != string(whole.Pulse) || again.Epoch != 1 || fmt.Sprint(again.Frontier) != fmt.Sprint(whole.Frontier) {
		t.Errorf("after a restart: %+v, want %+v", again, whole)
	}
}

func TestASnapshotWaitsForWhatIsOnItsWay(t *testing.T) {
	g := newRig(t).start()
	g.resume(false)
	for i := range 20 {
		g.publish(1, 0, false)
		g.snapshot(uint64(i) + 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := g.bus.Request(ctx, "hustings.snapshot.town-hall", []byte(`{"seq":1000}`)); err == nil || !strings.Contains(err.Error(), "does not have") {
		t.Errorf("far beyond the end: %v", err)
	}
	if _, err := g.bus.Request(t.Context(), "hustings.snapshot.town-hall", []byte(`[]`)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nonsense: %v", err)
	}
}

// BenchmarkSnapshot is one in the middle of ten hours, farthest from a kept state.
func BenchmarkSnapshot(b *testing.B) {
	const blocks = 72000
	l := &blockLog{f: new(memFile), id: town, size: int64(len(logTitle))}
	block := &programme.Block{Space: town, Rungs: tone(b, 0)}
	for seq := range uint64(blocks) {
		block.Seq, block.Start = seq, int64(seq)*programme.BlockSamples
		block.Pulse = fmt.Appendf(nil, `{"tally":{"now":%d}}`, seq)
		if seq < blocks/2-stateEvery || seq > blocks/2 { // those are read
			l.add(block)
			continue
		}
		data, err := block.AppendBinary(nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := l.append(block, data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.snapshot(blocks/2 - 1); err != nil {
			b.Fatal(err)
		}
	}
}
