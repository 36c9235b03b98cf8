package broadcast_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hustings/internal/broadcast"
	"hustings/internal/delivery"
	"hustings/internal/elastic"
	"hustings/internal/fmp4"
	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/tally"
)

func TestMain(m *testing.M) {
	if broadcast.BeCrowd() { // this process is the crowd of a benchmark
		return
	}
	goleak.VerifyTestMain(m)
}

func TestAJoinerHearsTheBacklogAndThenAllToTheEnd(t *testing.T) {
	for _, format := range []broadcast.Format{broadcast.Ogg, broadcast.MP4} {
		t.Run(string(format), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, broadcast.Options{})
				f.talk(0, 20)
				conn, done := f.attach(format, "HTTP/1.1 200 OK\r\n\r\n")
				all := listen(conn)
				synctest.Wait()
				f.talk(20, 25)
				f.say(final(block(25)))
				data, ok := bytes.CutPrefix(<-all, []byte("HTTP/1.1 200 OK\r\n\r\n"))
				<-done
				if !ok {
					t.Fatalf("the head did not come first, but %.100q", data)
				}
				var h heard
				if format == broadcast.Ogg {
					if h = parseOgg(t, data); !h.ended {
						t.Error("no end-of-stream page")
					}
				} else if h = parseMP4(t, data); !equalJSON(t, h.pulse, `{"phase":"ended","seq":24,"title":"A town hall"}`) {
					t.Errorf("the pulse at the end is %s", h.pulse)
				}
				if want := run(14, 26); !slices.Equal(h.blocks, want) { // 3 s are 6 blocks
					t.Errorf("heard blocks %v, want %v", h.blocks, want)
				}
				if format == broadcast.MP4 && (h.events[0] != "state" || slices.Contains(h.events[1:], "state")) {
					t.Errorf("events %v, want one state and then patches", h.events)
				}
			})
		})
	}
}

func TestAStalledListenerFinishesItsBlocksAndGoesOnAtTheLiveEdge(t *testing.T) {
	for _, format := range []broadcast.Format{broadcast.Ogg, broadcast.MP4} {
		t.Run(string(format), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, broadcast.Options{})
				f.talk(0, 1)
				slow, _ := f.attach(format, "")
				quick, _ := f.attach(format, "")
				all := listen(quick)
				first := make([]byte, 100)
				if _, err := slow.Read(first); err != nil { // some of it, and then no more
					t.Fatal(err)
				}
				f.live(1, 20) // the quick one has all by now: it waits for nobody
				rest := listen(slow)
				f.live(20, 30)
				f.say(final(block(30)))
				parse := parseMP4
				if format == broadcast.Ogg {
					parse = parseOgg
				}
				if h := parse(t, <-all); !slices.Equal(h.blocks, run(0, 31)) {
					t.Errorf("the quick one heard %v, want all 31", h.blocks)
				}
				h := parse(t, append(first, <-rest...))
				landed := h.blocks[1] // the live edge, within one turn of when it moved again
				if h.blocks[0] != 0 || landed < 18 || landed > 20 || !slices.Equal(h.blocks[1:], run(landed, 31)) {
					t.Errorf("heard blocks %v, want 0, and from 18 to 20 on all", h.blocks)
				}
				if format == broadcast.MP4 {
					if want := []string{"state", "state", "patch"}; !slices.Equal(h.events[:3], want) {
						t.Errorf("events %v, want %v", h.events[:3], want)
					}
					if !equalJSON(t, h.pulse, `{"phase":"ended","seq":29,"title":"A town hall"}`) {
						t.Errorf("the pulse at the end is %s", h.pulse)
					}
				}
				if n := f.figure("skips_total"); n != 1 {
					t.Errorf("%d skips, want 1", n)
				}
				if n := f.figure("skipped_blocks_total"); uint64(n) != landed-1 {
					t.Errorf("%d blocks skipped, want %d", n, landed-1)
				}
			})
		})
	}
}

// One that takes its bytes all the time, but fewer than there are, is late by what it
// has in hand and a little more, never by minutes.
func TestOneThatIsTooSlowIsKeptNearTheLiveEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.talk(0, 1)
		slow, _ := f.attach(broadcast.MP4, "")
		got := make(chan []byte, 1)
		go func() { // about two thirds of the programme
			var all []byte
			for some := make([]byte, 100); ; time.Sleep(50 * time.Millisecond) {
				n, err := slow.Read(some)
				all = append(all, some[:n]...)
				if err != nil {
					got <- all
					return
				}
			}
		}()
		f.live(1, 240)
		f.say(final(block(240)))
		h := parseMP4(t, <-got)
		for i, seq := range h.blocks[1:] {
			if late := seq - h.blocks[i]; late > 20 {
				t.Errorf("from block %d on %d were skipped at once", h.blocks[i], late-1)
			}
		}
		if n := f.figure("skips_total"); n < 2 || len(h.blocks) < 100 || len(h.blocks) > 200 {
			t.Errorf("heard %d of 241 blocks in %d skips", len(h.blocks), n)
		}
	})
}

func TestOneThatTakesNothingIsClosedAndOneThatTakesLittleIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{Forget: time.Hour})
		f.talk(0, 6)
		trickle, stays := f.attach(broadcast.MP4, "")
		_, gone := f.attach(broadcast.MP4, "")
		began := time.Now()
		var got []byte
		for range 20 { // a hundred bytes every 20 s
			time.Sleep(20 * time.Second)
			some := make([]byte, 100)
			n, err := trickle.Read(some)
			if err != nil {
				t.Fatalf("closed after %v: %v", time.Since(began), err)
			}
			got = append(got, some[:n]...)
		}
		select {
		case <-gone:
		default:
			t.Error("one that takes nothing is still there")
		}
		select {
		case <-stays:
			t.Error("one that takes little is gone")
		default:
		}
		rest := listen(trickle)
		synctest.Wait()
		f.say(final(block(6)))
		if h := parseMP4(t, append(got, <-rest...)); !slices.Equal(h.blocks, run(0, 7)) {
			t.Errorf("heard %v, want 0 to 6", h.blocks)
		}
		if n := f.figure("stalled_total"); n != 1 {
			t.Errorf("%d stalled, want 1", n)
		}
	})
}

func TestABacklogDoesNotReachOverAHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.talk(0, 4)
		attached, _ := f.attach(broadcast.MP4, "")
		all := listen(attached)
		synctest.Wait()
		const hole = 5 * programme.BlockSamples
		for seq := uint64(4); seq < 7; seq++ { // a new epoch, 2.5 s later
			b := block(seq)
			b.Epoch, b.Start = 2, b.Start+hole
			if seq == 4 {
				b.Pulse = []byte(`{"phase":"live","seq":4}`)
			}
			f.say(b)
		}
		joiner, _ := f.attach(broadcast.MP4, "")
		joined := listen(joiner)
		synctest.Wait()
		f.stop()
		h := parseMP4(t, <-joined)
		if want := run(4, 7); !slices.Equal(h.blocks, want) {
			t.Errorf("the joiner heard %v, want %v", h.blocks, want)
		}
		// The new epoch's pulse is whole: nothing of the old one is left in it.
		if !equalJSON(t, h.pulse, `{"phase":"live","seq":6}`) {
			t.Errorf("the joiner's pulse is %s", h.pulse)
		}
		h = parseMP4(t, <-all)
		if want := run(0, 7); !slices.Equal(h.blocks, want) {
			t.Errorf("one who was there heard %v, want %v", h.blocks, want)
		}
		if !equalJSON(t, h.pulse, `{"phase":"live","seq":6}`) {
			t.Errorf("the pulse of one who was there is %s", h.pulse)
		}
		if at := h.times[4]; at != 4*programme.BlockSamples+hole {
			t.Errorf("the first block after the hole is at %d", at)
		}
	})
}

func TestAnEpochMayRepeatNumbersAndLostBlocksAreMadeGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.talk(0, 5)
		conn, _ := f.attach(broadcast.MP4, "")
		all := listen(conn)
		synctest.Wait()
		f.say(block(3)) // came before: ignored
		again := block(4)
		again.Epoch, again.Pulse = 2, []byte(`{"seq":4,"epoch":2}`)
		f.say(again)
		f.say(block(5)) // of the old epoch: ignored
		later := block(7)
		later.Epoch = 2 // 5 and 6 were lost
		f.say(later)
		synctest.Wait()
		if got, ok := f.Pulse(town); !ok || !equalJSON(t, string(got), `{"epoch":2,"seq":7}`) {
			t.Errorf("the pulse is %s", got)
		}
		f.stop()
		h := parseMP4(t, <-all)
		if want := []uint64{0, 1, 2, 3, 4, 4, 7}; !slices.Equal(h.blocks, want) {
			t.Errorf("heard %v, want %v", h.blocks, want)
		}
		if want := []string{"state", "state"}; !slices.Equal(h.events[len(h.events)-2:], want) {
			t.Errorf("events %v, want whole ones for the new epoch and after the loss", h.events)
		}
		if !equalJSON(t, h.pulse, `{"epoch":2,"seq":7}`) {
			t.Errorf("the listener's pulse is %s", h.pulse)
		}
	})
}

func TestWhatIsNoBlockIsIgnored(t *testing.T) {
	f := start(t, broadcast.Options{})
	f.bus.handle("hustings.block.town-hall", []byte("garbage"))
	f.bus.handle("hustings.block.town-hall", nil)
	good, err := block(0).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.bus.handle("hustings.block.another", good)
	f.bus.handle("hustings.block.town-hall", good[:len(good)-1])
	if f.Ready(town) || f.Ready("another") {
		t.Error("a space is ready without a block")
	}
	if n := f.figure("refused_total"); n != 4 {
		t.Errorf("%d refused, want 4", n)
	}
	f.say(block(0))
	bad := block(1)
	bad.Pulse = []byte("[1,2")
	f.say(bad) // its sound is good all the same
	if _, ok := f.Block(town, 1); !ok {
		t.Error("a block with a bad pulse was not taken")
	}
	if got, _ := f.Pulse(town); !equalJSON(t, string(got), string(block(0).Pulse)) {
		t.Errorf("after a bad pulse it is %s, want the one before", got)
	}
}

func TestAttachSaysWhyNot(t *testing.T) {
	f := start(t, broadcast.Options{})
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	refused := func(l broadcast.Listener, want space.Kind) {
		t.Helper()
		l.Conn = here
		if err := f.Attach(l); space.KindOf(err) != want {
			t.Errorf("got %v, want an error of kind %q", err, want)
		}
	}
	l := broadcast.Listener{Space: town, Format: broadcast.Ogg}
	refused(broadcast.Listener{Space: town, Format: "mp3"}, space.Invalid)
	refused(broadcast.Listener{Space: town, Format: broadcast.MP4, Rung: programme.Rungs}, space.Invalid)
	refused(l, space.TooEarly)
	f.say(block(0))
	f.say(final(block(1)))
	refused(l, space.Gone)
	if f.Ready(town) {
		t.Error("ready after the end")
	}
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused(l, space.Full)
}

func TestASpaceThatIsOverMayBeginAnew(t *testing.T) {
	f := start(t, broadcast.Options{})
	f.say(block(0))
	f.say(final(block(1)))
	f.say(block(2)) // nothing comes after the last block of an epoch
	if f.Ready(town) {
		t.Error("ready after the end")
	}
	again := block(2)
	again.Epoch = 2
	f.say(again)
	if !f.Ready(town) {
		t.Error("not ready in a new epoch")
	}
}

func TestBlockIsAFragmentWhileItIsKept(t *testing.T) {
	f := start(t, broadcast.Options{Keep: 40 * time.Second})
	f.talk(0, 90)
	for seq, want := range map[uint64]bool{0: false, 9: false, 10: true, 89: true, 90: false} {
		data, ok := f.Block(town, seq)
		if ok != want {
			t.Errorf("block %d: %v, want %v", seq, ok, want)
		}
		if !ok {
			continue
		}
		init := fmp4.AppendInit(nil, fmp4.Track{Channels: 1, PacketSamples: programme.PacketSamples})
		if h := parseMP4(t, append(init, data...)); !slices.Equal(h.blocks, []uint64{seq}) || len(h.events) != 1 {
			t.Errorf("block %d holds %v and %v", seq, h.blocks, h.events)
		}
	}
	if _, ok := f.Block("another", 10); ok {
		t.Error("a block of an unknown space")
	}
}

func TestTheTallyIsToldEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.talk(0, 1)
		attach := func(l broadcast.Listener) net.Conn {
			here, there := f.pipe()
			l.Conn, l.Format = here, broadcast.MP4
			f.join(l)
			go listen(there)
			return there
		}
		first := attach(broadcast.Listener{Name: "token-of-ana"})
		attach(broadcast.Listener{Name: "token-of-ana"}) // a second tab
		attach(broadcast.Listener{})
		attach(broadcast.Listener{Name: "simulated-1", Rehearsal: true})
		attach(broadcast.Listener{Name: "a-relay", Relay: true})
		here, deaf := f.pipe() // takes nothing, so it does not hear
		f.join(broadcast.Listener{Conn: here, Format: broadcast.MP4})
		defer deaf.Close()
		f.live(1, 3)
		time.Sleep(100 * time.Millisecond) // the first second is told
		first.Close()
		f.Count(town, "token-of-ben", false) // by HLS
		f.Count(town, "", false)             // nobody knows who
		f.live(3, 5)
		if got, want := f.Tally(town), (space.Tally{Now: 3, Peak: 3, Total: 3}); got != want {
			t.Errorf("tally %+v, want %+v", got, want)
		}
		if got := f.Rehearsing(town); got.Now != 1 || got.Total != 1 {
			t.Errorf("rehearsing %+v, want one", got)
		}
		var told []tally.Message
		for _, text := range f.bus.messages("hustings.tally.town-hall") {
			var m tally.Message
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				t.Fatal(err)
			}
			told = append(told, m)
		}
		ana, ben := tally.Hash(string(town), "token-of-ana"), tally.Hash(string(town), "token-of-ben")
		want := []tally.Message{
			{Node: "here", Now: 2, Total: 2, Anonymous: 1, Rehearsing: 1, Fresh: tally.Hashes{ana}},
			{Node: "here", Now: 3, Total: 3, Anonymous: 1, Rehearsing: 1, HLS: 1, Fresh: tally.Hashes{ben}},
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		again := block(5)
		again.Pulse = []byte(`{"tally":{"now":70,"peak":80,"total":90}}`)
		f.say(again) // what the pulse tells is the sum over all nodes
		if got, want := f.Tally(town), (space.Tally{Now: 70, Peak: 80, Total: 90}); got != want {
			t.Errorf("tally %+v, want that of the pulse, %+v", got, want)
		}
		if got := f.Here(town); got.Now != 3 {
			t.Errorf("%d listen here, want 3", got.Now)
		}
		if got := f.Tally("another"); got != (space.Tally{}) {
			t.Errorf("the tally of an unknown space is %+v", got)
		}
	})
}

func TestASilentSpaceIsForgotten(t *testing.T) {
	for _, over := range []bool{false, true} {
		t.Run(fmt.Sprintf("over=%v", over), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := start(t, broadcast.Options{})
				f.talk(0, 1)
				conn, gone := f.attach(broadcast.MP4, "")
				all := listen(conn)
				synctest.Wait()
				if over {
					f.say(final(block(1)))
					<-gone
				}
				time.Sleep(59 * time.Second)
				if _, ok := f.Pulse(town); !ok {
					t.Error("forgotten too early")
				}
				time.Sleep(3 * time.Second)
				if _, ok := f.Pulse(town); ok {
					t.Error("not forgotten")
				}
				<-gone // it does not wait for ever
				parseMP4(t, <-all)
			})
		})
	}
}

func TestDrainLetsListenersGoAtABlockBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.talk(0, 3)
		quick, _ := f.attach(broadcast.MP4, "")
		all := listen(quick)
		slow, _ := f.attach(broadcast.MP4, "")
		some := make([]byte, 50)
		if _, err := slow.Read(some); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- f.Drain(t.Context()) }()
		synctest.Wait()
		rest := listen(slow)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, data := range [][]byte{<-all, append(some, <-rest...)} {
			if h := parseMP4(t, data); !slices.Equal(h.blocks, run(0, 3)) {
				t.Errorf("heard %v, want 0 to 2", h.blocks)
			}
		}
	})
}

func TestDrainCutsWhoWillNotGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, broadcast.Options{})
		f.talk(0, 3)
		_, gone := f.attach(broadcast.MP4, "")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := f.Drain(ctx); err == nil {
			t.Error("one that takes nothing was not cut")
		}
		<-gone
	})
}

func TestOptionsAreChecked(t *testing.T) {
	if _, err := broadcast.New(broadcast.Options{}); err == nil {
		t.Error("taken without a bus")
	}
	loops, err := delivery.New(delivery.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broadcast.New(broadcast.Options{Bus: newBus(), Delivery: loops, Backlog: -1}); err == nil {
		t.Error("taken with a negative backlog")
	}
	deep := elastic.Options{PinInterval: time.Minute}
	if _, err := broadcast.New(broadcast.Options{Bus: newBus(), Delivery: loops, Elastic: deep}); err == nil {
		t.Error("taken with an interval of a minute")
	}
}
