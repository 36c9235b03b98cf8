package broadcast_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// log is an archive of blocks of the town hall: what was said, whether or not it came
// through on the bus.
type log struct {
	mu     sync.Mutex
	blocks []*programme.Block
	asked  []string
	fails  error // what is answered instead
}

func (l *log) add(blocks ...*programme.Block) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks = append(l.blocks, blocks...)
}

func (l *log) fetch(_ context.Context, id space.ID, from, to uint64) (got []*programme.Block, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, fmt.Sprintf("%s %d-%d", id, from, to))
	for _, b := range l.blocks {
		if b.Seq >= from && b.Seq < to {
			got = append(got, b)
		}
	}
	return got, l.fails
}

func (l *log) snapshot(_ context.Context, _ space.ID, seq uint64) (programme.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := programme.Snapshot{Seq: seq}
	for _, b := range l.blocks {
		if b.Seq >= seq {
			break
		}
		state, err := programme.Apply(s.Pulse, b.Pulse)
		if err != nil {
			return s, err
		}
		s.Pulse, s.Epoch = json.RawMessage(state), b.Epoch
	}
	return s, l.fails
}

// said returns blocks from up to but not to.
func said(from, to uint64) (blocks []*programme.Block) {
	for seq := from; seq < to; seq++ {
		blocks = append(blocks, block(seq))
	}
	return blocks
}

func TestWhatTheBusLostIsFetchedAndNobodyElseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{}
		answer := make(chan struct{})
		f := start(t, broadcast.Options{
			Fetch: func(ctx context.Context, id space.ID, from, to uint64) ([]*programme.Block, error) {
				<-answer
				return archive.fetch(ctx, id, from, to)
			},
		})
		f.live(0, 4)
		conn, _ := f.attach(broadcast.MP4, "")
		all := listen(conn)
		archive.add(said(0, 12)...)
		f.say(block(10)) // 4 to 9 were lost
		f.say(block(11))
		f.say(block(11)) // twice
		other := block(0)
		other.Space = "elsewhere"
		f.say(other)
		if !f.Ready("elsewhere") {
			t.Error("another space waits for what this one lacks")
		}
		synctest.Wait()
		if _, ok := f.Block(town, 10); ok {
			t.Error("a block was put before those that come first")
		}
		close(answer)
		synctest.Wait()
		f.live(12, 14)
		f.say(final(block(14)))
		h := parseMP4(t, <-all)
		if !slices.Equal(h.blocks, run(0, 15)) {
			t.Errorf("heard %v, want 0 to 14", h.blocks)
		}
		if slices.Contains(h.events[1:], "state") {
			t.Errorf("events %v, want patches: nothing is missing", h.events)
		}
		if got := f.figure("fetched_blocks_total"); got != 6 {
			t.Errorf("%d blocks fetched, want 6", got)
		}
		if !slices.Equal(archive.asked, []string{"town-hall 4-10"}) {
			t.Errorf("asked for %v", archive.asked)
		}
	})
}

func TestWhatCantBeHadStaysMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{fails: errors.New("nobody answers")}
		f := start(t, broadcast.Options{Fetch: archive.fetch})
		f.live(0, 4)
		conn, _ := f.attach(broadcast.MP4, "")
		all := listen(conn)
		f.live(10, 17) // for 3.5 s what is missing is waited for
		if _, ok := f.Block(town, 10); ok {
			t.Error("it was not asked for long")
		}
		f.live(17, 20)
		if _, ok := f.Block(town, 19); !ok {
			t.Error("it was asked for too long")
		}
		archive.mu.Lock()
		archive.fails = nil
		archive.mu.Unlock()
		archive.add(said(22, 24)...) // what there is of the next hole is its end
		f.live(24, 34)
		f.say(final(block(34)))
		h := parseMP4(t, <-all)
		if want := slices.Concat(run(0, 4), run(10, 20), run(22, 35)); !slices.Equal(h.blocks, want) {
			t.Errorf("heard %v, want %v", h.blocks, want)
		}
		if got := f.figure("missed_blocks_total"); got != 8 {
			t.Errorf("%d blocks missed, want 8", got)
		}
		if !equalJSON(t, h.pulse, `{"phase":"ended","seq":33,"title":"A town hall"}`) {
			t.Errorf("the pulse at the end is %s", h.pulse)
		}
	})
}

func TestABeginningInTheMiddleHasABacklogAndTheWholePulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{}
		archive.add(said(0, 100)...)
		f := start(t, broadcast.Options{Fetch: archive.fetch, Snapshot: archive.snapshot})
		f.say(block(100))
		synctest.Wait() // no time passes
		if !f.Ready(town) {
			t.Fatal("not ready at once")
		}
		conn, _ := f.attach(broadcast.MP4, "")
		all := listen(conn)
		synctest.Wait()
		if w, ok := f.Window(town); !ok || len(w.Blocks) < 49 || w.Blocks[len(w.Blocks)-1].Seq != 100 {
			t.Errorf("the window is %+v, want the greatest backlog", w)
		}
		f.live(101, 103)
		f.stop()
		h := parseMP4(t, <-all)
		if !slices.Equal(h.blocks, run(95, 103)) {
			t.Errorf("heard %v, want a backlog of 3 s and what came", h.blocks)
		}
		if !equalJSON(t, h.pulse, `{"phase":"open","seq":102,"title":"A town hall"}`) {
			t.Errorf("the pulse is %s", h.pulse)
		}
		if want := "town-hall 51-100"; len(archive.asked) != 1 || archive.asked[0] != want {
			t.Errorf("asked for %v, want %s", archive.asked, want)
		}
	})
}

// A node may miss the beginning of an epoch, whose pulse is whole, and hear only what
// changed after it.
func TestAnEpochThatIsHeardFromItsMiddleHasTheWholePulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{}
		f := start(t, broadcast.Options{Fetch: archive.fetch, Snapshot: archive.snapshot})
		f.live(0, 5)
		conn, _ := f.attach(broadcast.MP4, "")
		all := listen(conn)
		synctest.Wait()
		fresh := said(3, 7) // the stage goes on from what was durable
		for _, b := range fresh {
			b.Epoch = 2
		}
		fresh[0].Pulse = []byte(`{"phase":"live","title":"A town hall","seq":3}`)
		archive.add(fresh...)
		f.say(fresh[2]) // 3 and 4 did not come through
		f.say(fresh[3])
		synctest.Wait()
		if got, _ := f.Pulse(town); !equalJSON(t, string(got), `{"phase":"live","title":"A town hall","seq":6}`) {
			t.Errorf("the pulse is %s", got)
		}
		f.stop()
		if h := parseMP4(t, <-all); !slices.Equal(h.blocks, run(0, 7)) || !equalJSON(t, h.pulse, `{"phase":"live","title":"A town hall","seq":6}`) {
			t.Errorf("heard %v and %s", h.blocks, h.pulse)
		}
	})
}

func TestWithoutAnArchiveABeginningInTheMiddleIsLateButGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{fails: errors.New("nobody answers")}
		f := start(t, broadcast.Options{Fetch: archive.fetch, Snapshot: archive.snapshot})
		f.live(100, 110)
		if !f.Ready(town) {
			t.Fatal("not ready after 5 s")
		}
		conn, _ := f.attach(broadcast.MP4, "")
		all := listen(conn)
		synctest.Wait()
		f.live(110, 112)
		f.stop()
		if h := parseMP4(t, <-all); !slices.Equal(h.blocks, run(104, 112)) || !equalJSON(t, h.pulse, `{"seq":111}`) {
			t.Errorf("heard %v and %s", h.blocks, h.pulse)
		}
	})
}

func TestWhileTheBusIsLostListenersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		archive := &log{}
		var mu sync.Mutex
		connected := true
		f := start(t, broadcast.Options{Fetch: archive.fetch, Connected: func() bool {
			mu.Lock()
			defer mu.Unlock()
			return connected
		}})
		connect := func(is bool) {
			mu.Lock()
			defer mu.Unlock()
			connected = is
		}
		f.live(0, 4)
		conn, gone := f.attach(broadcast.MP4, "")
		all := listen(conn)
		connect(false)
		if !f.Lost(town) {
			t.Error("it doesn't say that the bus is lost")
		}
		told := len(f.bus.messages("hustings.tally.town-hall"))
		time.Sleep(5 * time.Minute)
		select {
		case <-gone:
			t.Fatal("a listener was let go")
		default:
		}
		if n := len(f.bus.messages("hustings.tally.town-hall")); n > told+1 {
			t.Errorf("%d tallies were told to nobody", n-told)
		}
		connect(true)
		if f.Lost(town) {
			t.Error("it says that the bus is lost")
		}
		archive.add(said(4, 24)...)
		f.live(24, 26) // 10 s later by the programme's clock
		f.say(final(block(26)))
		if h := parseMP4(t, <-all); !slices.Equal(h.blocks, run(0, 27)) {
			t.Errorf("heard %v, want all", h.blocks)
		}
		if n := f.figure("skips_total"); n != 0 {
			t.Errorf("%d skips: what came late was not the listener's fault", n)
		}
	})
}

func TestBlocksThatAreNotToBeBelievedLetTheListenersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		f := start(t, broadcast.Options{
			Logger: slog.New(slog.NewTextHandler(&text, nil)),
			Check: func(b *programme.Block) error {
				if b.Epoch == 1 && b.Seq >= 6 {
					return errors.New("the signature is not the stage's")
				}
				return nil
			},
		})
		f.live(0, 4)
		conn, gone := f.attach(broadcast.MP4, "")
		all := listen(conn)
		f.live(4, 6)
		f.say(block(6))
		<-gone
		f.live(7, 10)
		if h := parseMP4(t, <-all); !slices.Equal(h.blocks, run(0, 6)) {
			t.Errorf("heard %v, want 0 to 5", h.blocks)
		}
		if f.Ready(town) {
			t.Error("ready with blocks that are not to be believed")
		}
		again := block(10)
		again.Epoch = 2
		f.say(again)
		if !f.Ready(town) {
			t.Error("not ready with a good block")
		}
		f.stop()
		if n := strings.Count(text.String(), "not to be believed"); n != 1 {
			t.Errorf("it was told %d times:\n%s", n, text.String())
		}
	})
}
