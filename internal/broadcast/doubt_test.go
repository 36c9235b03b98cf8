package broadcast_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// After a long time without a bus only what is kept is asked for, and the pulse is that
// of now.
func TestAfterALongOutageTheNewestMinuteIsFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{}
		archive.add(said(0, 1000)...)
		archive.blocks[500].Pulse = []byte(`{"phase":"live"}`)
		f := start(t, broadcast.Options{Fetch: archive.fetch, Snapshot: archive.snapshot})
		f.talk(0, 4)
		f.say(block(1000))
		synctest.Wait()
		if want := []string{"town-hall 880-1000"}; !slices.Equal(archive.asked, want) {
			t.Errorf("asked for %v, want %v", archive.asked, want)
		}
		if got, _ := f.Pulse(town); !equalJSON(t, string(got), `{"phase":"live","seq":1000,"title":"A town hall"}`) {
			t.Errorf("the pulse is %s", got)
		}
		if got := f.figure("missed_blocks_total"); got != 876 {
			t.Errorf("%d blocks missed, want 876", got)
		}
	})
}

// A block of an epoch that has not begun would make all that comes after it look old.
func TestAnAnswerFromTheFutureStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := said(4, 10)
		answer[3].Epoch = 9
		f := start(t, broadcast.Options{
			Fetch: func(context.Context, space.ID, uint64, uint64) ([]*programme.Block, error) { return answer, nil },
		})
		f.talk(0, 4)
		f.live(10, 20)
		w, _ := f.Window(town)
		var seqs []uint64
		for _, b := range w.Blocks {
			seqs = append(seqs, b.Seq)
		}
		if want := slices.Concat(run(0, 4), run(8, 20)); !slices.Equal(seqs, want) {
			t.Errorf("there is %v, want %v", seqs, want)
		}
	})
}

// Who checks may have to ask an archive about a new epoch, which may be slow to answer.
func TestASlowCheckHoldsUpNoOtherSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		f := start(t, broadcast.Options{Check: func(b *programme.Block) error {
			if b.Epoch == 2 {
				<-answer
			}
			return nil
		}})
		f.talk(0, 4)
		fresh := said(3, 6)
		for _, b := range fresh {
			b.Epoch = 2
			f.say(b)
			synctest.Wait()
		}
		other := block(0)
		other.Space = "elsewhere"
		f.say(other)
		if !f.Ready("elsewhere") {
			t.Error("another space waits for the check of this one")
		}
		close(answer)
		synctest.Wait()
		if w, _ := f.Window(town); len(w.Blocks) != 7 {
			t.Errorf("%d blocks, want 4 and 3", len(w.Blocks))
		}
	})
}

// A feed that was given up takes no more, so that it does not check what the one in its
// place checks too.
func TestOneAtATimeChecksASpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{}
		archive.add(said(0, 40)...)
		var checking, checked atomic.Int32
		f := start(t, broadcast.Options{Fetch: archive.fetch, Check: func(b *programme.Block) error {
			if checking.Add(1) > 1 {
				t.Errorf("block %d is checked beside another", b.Seq)
			}
			time.Sleep(10 * time.Millisecond)
			checking.Add(-1)
			checked.Add(1)
			if b.Seq >= 4 {
				return errors.New("it is not the stage's")
			}
			return nil
		}})
		f.talk(0, 4)
		f.say(block(30))
		time.Sleep(55 * time.Millisecond)
		f.say(block(31))
		time.Sleep(time.Second)
		if n := checked.Load(); n != 2*(4+1) {
			t.Errorf("%d checks, want those of four good blocks and a bad one by each of two feeds", n)
		}
	})
}
