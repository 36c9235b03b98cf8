package broadcast_test

import (
	"bytes"
	"slices"
	"testing"

	"hustings/internal/broadcast"
	"hustings/internal/programme"
)

func TestTheWindowIsWhatIsKept(t *testing.T) {
	f := start(t, broadcast.Options{})
	if _, ok := f.Window(town); ok {
		t.Error("a window on nothing")
	}
	f.talk(0, 130)
	w, ok := f.Window(town)
	if !ok || len(w.Blocks) != 120 || w.Final {
		t.Fatalf("%d blocks (%v), final: %v; want a minute", len(w.Blocks), ok, w.Final)
	}
	for i, k := range w.Blocks {
		if seq := uint64(10 + i); k.Epoch != 1 || k.Seq != seq || k.Start != int64(seq)*programme.BlockSamples || k.Came.IsZero() {
			t.Fatalf("block %d is %+v", seq, k)
		}
	}
	select {
	case <-w.Changed:
		t.Error("it has changed already")
	default:
	}
	if again, _ := f.Window(town); &again.Blocks[0] != &w.Blocks[0] {
		t.Error("it was made anew for the same blocks")
	}
	again := block(129)
	again.Epoch = 2
	f.say(final(again))
	<-w.Changed
	if w, _ = f.Window(town); !w.Final || w.Blocks[119].Epoch != 2 || w.Blocks[118].Seq != 129 {
		t.Errorf("after the end it is %+v", w.Blocks[118:])
	}
}

func TestFragmentsAreThoseOfTheStream(t *testing.T) {
	f := start(t, broadcast.Options{})
	f.talk(0, 3)
	again := block(2)
	again.Epoch = 2
	f.say(again)
	for rung := range programme.Rung(programme.Rungs) {
		init, ok := f.Init(town, rung)
		if !ok {
			t.Fatalf("no beginning at rung %d", rung)
		}
		stream := init
		for seq := range uint64(3) {
			data, ok := f.Fragment(town, 1, seq, rung)
			if !ok {
				t.Fatalf("no block %d at rung %d", seq, rung)
			}
			stream = append(stream, data...)
		}
		h := parseMP4(t, stream)
		if !slices.Equal(h.blocks, run(0, 3)) || !slices.Equal(h.rungs, []int{int(rung), int(rung), int(rung)}) {
			t.Errorf("rung %d: blocks %v at rungs %v", rung, h.blocks, h.rungs)
		}
	}
	old, _ := f.Fragment(town, 1, 2, programme.Rung48)
	newer, _ := f.Fragment(town, 2, 2, programme.Rung48)
	newest, _ := f.Block(town, 2)
	if bytes.Equal(old, newer) || !bytes.Equal(newer, newest) {
		t.Error("a block that was said twice is not told apart by its epoch")
	}
	for _, missing := range []struct {
		epoch uint32
		seq   uint64
		rung  programme.Rung
	}{{1, 3, 0}, {3, 2, 0}, {1, 2, 3}} {
		if _, ok := f.Fragment(town, missing.epoch, missing.seq, missing.rung); ok {
			t.Errorf("there is %+v", missing)
		}
	}
	if _, ok := f.Init(town, 3); ok {
		t.Error("there is a fourth rung")
	}
}
