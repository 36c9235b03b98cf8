package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hustings/internal/ear"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/rtc"
	"hustings/internal/seats"
	"hustings/internal/space"
)

func TestTheBeatNeitherDriftsNorWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second+time.Millisecond)
		defer cancel()
		start := time.Now()
		ticks := 0
		var worst time.Duration
		pace(ctx, func(late time.Duration) bool {
			worst = max(worst, late)
			ticks++
			switch {
			case ticks%7 == 0:
				time.Sleep(13 * time.Millisecond) // work
			case ticks == 500:
				time.Sleep(777 * time.Millisecond) // a pause of the machine
			}
			return true
		})
		if elapsed := time.Since(start); ticks != 3001 || elapsed > 60*time.Second+time.Millisecond {
			t.Errorf("%d ticks in %v, want 3001 in 60 s", ticks, elapsed)
		}
		if want := 757 * time.Millisecond; worst != want {
			t.Errorf("the latest tick was %v late, want %v", worst, want)
		}
	})
}

// deck is one room with its loop and without a network.
type deck struct {
	*room
	log  *blockLog
	work sync.WaitGroup
	stop context.CancelFunc
}

func newDeck(t testing.TB, sp space.Space, change func(*backstage)) *deck {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &deck{log: newBlockLog(), stop: cancel}
	own := &backstage{
		publish: d.log.publish, logger: slog.New(slog.NewTextHandler(io.Discard, nil)), metrics: m,
		resume: func(space.ID) (programme.Resume, error) { return programme.Resume{}, nil },
		edges:  func() string { return "" },
		spawn: func(f func(context.Context)) bool {
			if ctx.Err() != nil {
				return false
			}
			d.work.Go(func() { f(ctx) })
			return true
		},
	}
	if change != nil {
		change(own)
	}
	d.room = newRoom(sp, own)
	t.Cleanup(d.halt)
	if err := d.put(sp); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *deck) halt() {
	d.stop()
	d.work.Wait()
}

// sit gives a seat a microphone that plays a source.
func (d *deck) sit(t testing.TB, id space.SeatID, in source) *link {
	t.Helper()
	l := &link{seat: id, in: in}
	l.end = func() { go d.part(l) }
	if err := d.join(invite(d.id, id, space.Host), l); err != nil {
		t.Fatal(err)
	}
	d.reach(l, true)
	return l
}

func TestAnHourOnAirIsAnHourInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t, liveSpace("hour"), nil)
		paused := &pausing{}
		d.sit(t, "ann", paused)
		for _, pause := range []time.Duration{19 * time.Minute, 41*time.Minute - 13*time.Second, 800 * time.Millisecond} {
			time.Sleep(2 * time.Second)
			paused.sleep.Store(pause) // the machine stands still
			time.Sleep(pause + 2*time.Second)
		}
		time.Sleep(time.Second + 200*time.Millisecond)
		d.halt()
		blocks := d.log.all()
		last := blocks[len(blocks)-1]
		if got, want := last.End(), int64(3601*48000); got < want-programme.BlockSamples || got > want+programme.BlockSamples {
			t.Errorf("after an hour the log ends at %d samples, want %d", got, want)
		}
		for i, b := range blocks {
			if b.Seq != uint64(i) || b.Start != int64(i)*programme.BlockSamples {
				t.Fatalf("block %d has number %d and starts at %d", i, b.Seq, b.Start)
			}
		}
	})
}

// pausing is a silent source that can hold up its loop once.
type pausing struct{ sleep atomicDuration }

func (p *pausing) Pull(frame []float32) bool {
	clear(frame)
	if d := p.sleep.Swap(0); d > 0 {
		time.Sleep(d)
	}
	return false
}

func (p *pausing) Stats() ear.Stats { return ear.Stats{} }

func TestEndPublishesWhatThereIsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := liveSpace("end")
		d := newDeck(t, sp, nil)
		d.sit(t, "ann", &tone{hertz: 440, level: 0.3})
		w, err := d.watch("ann")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(1210 * time.Millisecond)
		sp.Phase = space.Ended
		before := time.Now()
		if err := d.put(sp); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took > tickTime {
			t.Errorf("the end took %v", took)
		}
		blocks := d.log.all()
		last := blocks[len(blocks)-1]
		if len(blocks) != 3 || !last.Final {
			t.Fatalf("%d blocks, the last final: %v; want 3, final", len(blocks), last.Final)
		}
		p := pulses(t, blocks)
		if got := p[len(p)-1].Phase; got != space.Ended || p[1].Phase != space.Live {
			t.Errorf("the last pulse says %q, the one before %q", got, p[1].Phase)
		}
		pcm := decodeRung(t, blocks[2:], programme.Rung48)
		if early, late := power(pcm[960:9600], 440), power(pcm[12000:], 440); early < 0.02 || late > 1e-3 {
			t.Errorf("the last block has %.3f of what was said and %.4f after it", early, late)
		}
		if err := d.put(sp); err != nil || len(d.log.all()) != 3 {
			t.Errorf("a second end: %v, %d blocks", err, len(d.log.all()))
		}
		for range w.Events() { // ends: the watch is over
		}
		_, err = d.watch("ann")
		kindIs(t, err, space.Gone)
	})
}

func TestCancelWhileOpenEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := openSpace("cancel")
		d := newDeck(t, sp, nil)
		time.Sleep(100 * time.Millisecond)
		sp.Phase = space.Cancelled
		if err := d.put(sp); err != nil {
			t.Fatal(err)
		}
		blocks := d.log.all()
		if p := pulses(t, blocks); len(p) != 1 || p[0].Phase != space.Cancelled || !blocks[0].Final {
			t.Errorf("after cancel: %d blocks, %+v", len(blocks), p)
		}
	})
}

// TestDoorsOpenThenLive holds that the log has hold audio only until the space is
// live, sample by sample: the same log without anybody on stage is the same bytes.
func TestDoorsOpenThenLive(t *testing.T) {
	run := func(stage source) (blocks []*programme.Block) {
		synctest.Test(t, func(t *testing.T) {
			sp := openSpace("doors")
			d := newDeck(t, sp, func(b *backstage) {
				b.hold = make([]float32, 48000)
				(&tone{hertz: 250, level: 0.2}).next(b.hold, 1)
			})
			d.sit(t, "ann", stage)
			time.Sleep(3010 * time.Millisecond)
			sp.Phase = space.Live
			if err := d.put(sp); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
			d.halt()
			blocks = d.log.all()
		})
		return blocks
	}
	loud, silent := run(&tone{hertz: 2000, level: 0.9}), run(&tone{})
	for i := range 6 { // three seconds
		for r := range programme.Rungs {
			for j := range loud[i].Rungs[r] {
				if string(loud[i].Rungs[r][j]) != string(silent[i].Rungs[r][j]) {
					t.Fatalf("block %d, rung %d, packet %d depends on what is said behind closed doors", i, r, j)
				}
			}
		}
	}
	live := decodeRung(t, loud[7:9], programme.Rung48)
	if hold, said := power(live, 250), power(live, 2000); hold > 1e-3 || said < 0.02 {
		t.Errorf("live the programme has %.4f of hold audio and %.3f of the stage", hold, said)
	}
}

func TestWhoeverIsMutedIsNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t, liveSpace("mute"), nil)
		d.sit(t, "ann", &tone{hertz: 440, level: 0.3})
		bobHears := rtc.NewOutlet(0, 0)
		monitor := &link{seat: "bob", out: bobHears, end: func() {}}
		if err := d.join(invite("mute", "bob", space.Host), monitor); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := d.mute(invite("mute", "bob", space.Host), "ann", true); err != nil {
			t.Fatal(err)
		}
		w, err := d.watch("bob")
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		time.Sleep(2010 * time.Millisecond)
		pcm := decodeRung(t, d.log.all()[4:], programme.Rung48)
		if p := power(pcm, 440); p > 1e-4 {
			t.Errorf("the programme has %.5f of a muted seat", p)
		}
		for len(w.Events()) > 0 {
			switch e := (<-w.Events()).(type) {
			case LevelsEvent:
				if _, shown := e.Levels["ann"]; shown {
					t.Fatal("the level of a muted seat is shown")
				}
			case StateEvent:
				if len(e.State.Speaking) > 0 {
					t.Fatal("a muted seat speaks")
				}
			}
		}
	})
}

func TestMutingDoesNotClick(t *testing.T) {
	k, err := newConsole(1)
	if err != nil {
		t.Fatal(err)
	}
	c := &cast{seats: []part{{id: "ann", in: &tone{hertz: 440, level: 0.3}}}}
	var last, jump, peak float64
	for tick := range 400 {
		c.seats[0].muted = tick%20 >= 10
		k.mix(c)
		for _, v := range k.sum {
			jump = max(jump, math.Abs(float64(v)-last))
			peak = max(peak, math.Abs(float64(v)))
			last = float64(v)
		}
		if loud := slices.Max(k.sum) > 0; loud == (tick%20 > 10) {
			t.Fatalf("tick %d: sound is %v", tick, loud)
		}
	}
	if steepest := peak * 2 * math.Pi * 440 / 48000; jump > 1.5*steepest {
		t.Errorf("a jump of %.3f in a tone of %.3f, whose own steepest step is %.3f", jump, peak, steepest)
	}
}

func TestAStageThatStopsAndStartsGoesOnByWallClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := liveSpace("again")
		first := newDeck(t, sp, nil)
		time.Sleep(1250 * time.Millisecond)
		first.halt()
		blocks := first.log.all()
		if n := len(blocks); n != 3 || blocks[2].Final {
			t.Fatalf("%d blocks after a stop, want 3 and none final", n)
		}
		tree := new(programme.Tree)
		for _, b := range blocks {
			tree.Append(b.Leaf().Hash())
		}
		resume := programme.Resume{Epoch: 1, Seq: 3, End: blocks[2].End(), Tree: tree}
		for name, wait := range map[string]time.Duration{"at once": 0, "later": 7 * time.Second} {
			time.Sleep(wait)
			second := newDeck(t, sp, func(b *backstage) {
				resume := resume
				resume.Tree = tree.Clone()
				b.resume = func(space.ID) (programme.Resume, error) { return resume, nil }
			})
			elapsed := time.Since(*sp.OpenedAt)
			time.Sleep(510 * time.Millisecond)
			second.halt()
			b := second.log.all()[0]
			want := max(resume.End, int64(elapsed/tickTime)*programme.PacketSamples)
			if b.Epoch != 1 || b.Seq != 3 || b.Start != want || b.Start%programme.PacketSamples != 0 {
				t.Errorf("%s: epoch %d, block %d, start %d; want 1, 3, %d", name, b.Epoch, b.Seq, b.Start, want)
			}
			if p := pulses(t, second.log.all()[:1]); p[0].Title != sp.Title {
				t.Errorf("%s: the first pulse of an epoch is not whole: %s", name, b.Pulse)
			}
		}
	})
}

func TestAnEmptyGreenRoomRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck(t, space.Space{ID: "green", Phase: space.Scheduled}, nil)
		if d.looping {
			t.Error("the loop runs for nobody")
		}
		l := d.sit(t, "ann", &tone{hertz: 440, level: 0.3})
		time.Sleep(time.Second)
		if show := d.show(); len(show.Heard) != 1 || len(show.Speaking) != 1 {
			t.Errorf("in the green room the stage is %+v, want ann heard", show)
		}
		d.part(l)
		time.Sleep(seats.Linger + time.Second)
		d.work.Wait() // the loop has ended by itself
		if len(d.log.all()) > 0 || len(d.show().Seats) > 0 {
			t.Errorf("%d blocks, stage %+v", len(d.log.all()), d.show())
		}
	})
}

func TestABlockThatIsNotTakenLeavesNoHole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		d := newDeck(t, liveSpace("bus"), func(b *backstage) {
			publish := b.publish
			b.publish = func(subject string, data []byte) error {
				if failures++; failures == 2 {
					return errors.New("the bus is full")
				}
				return publish(subject, data)
			}
		})
		time.Sleep(2010 * time.Millisecond)
		d.halt()
		for i, b := range d.log.all() {
			if b.Seq != uint64(i) || b.Start != int64(i)*programme.BlockSamples {
				t.Errorf("block %d has number %d and start %d", i, b.Seq, b.Start)
			}
		}
		if p := pulses(t, d.log.all()); p[len(p)-1].Title != "A debate" {
			t.Errorf("the state after a lost block is %+v", p[len(p)-1])
		}
	})
}

// A log without its end would keep the recording open for ever.
func TestTheLastBlockIsTriedUntilItIsTaken(t *testing.T) {
	for name, away := range map[string]time.Duration{"a moment": 700 * time.Millisecond, "longer": 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var back atomic.Int64 // when the bus is there again
			d := newDeck(t, liveSpace("end"), func(b *backstage) {
				publish := b.publish
				b.publish = func(subject string, data []byte) error {
					if time.Now().UnixNano() < back.Load() {
						return errors.New("the bus is away")
					}
					return publish(subject, data)
				}
			})
			d.sit(t, "ann", &tone{hertz: 440, level: 0.3})
			time.Sleep(1210 * time.Millisecond)
			back.Store(time.Now().Add(away).UnixNano())
			sp := liveSpace("end")
			sp.Phase = space.Ended
			err := d.put(sp)
			if late := away > finalWait; (err != nil) != late {
				t.Errorf("%s: the end says %v", name, err)
			}
			time.Sleep(away)
			synctest.Wait()
			blocks := d.log.all()
			last := blocks[len(blocks)-1]
			if len(blocks) != 3 || !last.Final || power(decodeRung(t, blocks[2:], programme.Rung48)[960:9600], 440) < 0.02 {
				t.Errorf("%s: %d blocks, the last final: %v; want 3, final, with what was said", name, len(blocks), last.Final)
			}
			if err := d.put(sp); err != nil {
				t.Errorf("%s: asked again, the end says %v", name, err)
			}
		})
	}
}

func TestStereoIsStereoAtTheTopOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp := liveSpace("wide")
		sp.Stereo = true
		d := newDeck(t, sp, nil)
		d.sit(t, "ann", &left{tone{hertz: 440, level: 0.3}})
		time.Sleep(2010 * time.Millisecond)
		d.halt()
		for r, want := range []int{2, 1, 1} {
			for _, b := range d.log.all() {
				for _, p := range b.Rungs[r] {
					if got := opus.Channels(p); got != want {
						t.Fatalf("rung %d has packets of %d channels", r, got)
					}
				}
			}
		}
		dec, err := opus.NewDecoder(2)
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]float32, 2*opus.MaxSamples)
		var sides [2]float64
		for _, p := range d.log.all()[3].Rungs[0] {
			n, err := dec.Decode(p, frame)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				sides[0] += math.Abs(float64(frame[2*i]))
				sides[1] += math.Abs(float64(frame[2*i+1]))
			}
		}
		if sides[0] < 10*sides[1] || sides[0] == 0 {
			t.Errorf("a voice from the left has %.1f on the left and %.1f on the right", sides[0], sides[1])
		}
	})
}

// left is a tone from the left.
type left struct{ tone }

func (l *left) Pull(frame []float32) bool {
	l.tone.Pull(frame)
	for i := 1; i < len(frame); i += 2 {
		frame[i] = 0
	}
	return true
}

func TestASlowWatcherHasTheNewestState(t *testing.T) {
	w := newWatcher("ann", 1, func(*Watcher) {})
	for i := range 100 {
		w.send(StateEvent{State: State{Title: fmt.Sprint(i)}})
		w.send(LevelsEvent{})
	}
	w.finish(RemovedEvent{Detail: "gone"})
	w.send(StateEvent{State: State{Title: "after the end"}})
	var title string
	var removed bool
	n := 0
	for e := range w.Events() {
		n++
		switch e := e.(type) {
		case StateEvent:
			title = e.State.Title
		case RemovedEvent:
			removed = true
		}
	}
	if title != "99" || !removed || n > watcherDepth {
		t.Errorf("%d events, the newest state %q, removed %v; want 99 and true", n, title, removed)
	}
	w.Close()
}

func TestPagesOfASeatAreBounded(t *testing.T) {
	r := newDeck(t, openSpace("pages"), nil).room
	var pages []*Watcher
	for range pagesPerSeat + 3 {
		for _, seat := range []space.SeatID{"ann", "bob"} {
			w, err := r.watch(seat)
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, w)
		}
	}
	for i, w := range pages {
		replaced := false
		for len(w.Events()) > 0 {
			_, replaced = (<-w.Events()).(ReplacedEvent)
		}
		if older := i < 2*3; replaced != older {
			t.Errorf("page %d: replaced is %v, want the three oldest of each seat to be", i, replaced)
		}
		w.Close()
	}
	if n := len(r.watchers); n != 0 {
		t.Errorf("%d pages still watch", n)
	}
}

// BenchmarkTick prints what share of one core the loop of a live stage takes, when
// everybody speaks at once and hears a mix of their own.
func BenchmarkTick(b *testing.B) {
	for _, speakers := range []int{2, 5, 13} {
		b.Run(fmt.Sprintf("speakers=%d", speakers), func(b *testing.B) {
			d := newDeck(b, liveSpace("bench"), func(own *backstage) {
				own.spawn = func(func(context.Context)) bool { return true } // ticked by hand
			})
			for i := range speakers {
				id := space.SeatID(fmt.Sprint("seat", i))
				d.sit(b, id, &tone{hertz: 200 + 37*float64(i), level: 0.2})
				out := &link{seat: id, out: rtc.NewOutlet(0, 0), end: func() {}}
				if err := d.join(invite("bench", id, space.Host), out); err != nil {
					b.Fatal(err)
				}
			}
			l := newLoop(d.room)
			l.tick(0)
			b.ReportAllocs()
			for b.Loop() {
				l.tick(0)
			}
			b.ReportMetric(100*b.Elapsed().Seconds()/float64(b.N)/tickTime.Seconds(), "%core")
		})
	}
}

// BenchmarkMouthToEar prints how long it takes from a sound at one microphone to
// the same sound at another person's ear, over WHIP, the loop and WHEP on this
// machine: from the sample's own time, so with the 20 ms that its packet takes to
// fill, up to the packet's arrival, so without the listener's own jitter buffer.
func BenchmarkMouthToEar(b *testing.B) {
	r := newRig(b, nil)
	if err := r.Put(liveSpace("clock")); err != nil {
		b.Fatal(err)
	}
	clicks := make(chan time.Time, 10000)
	ears := r.listen(b, invite("clock", "bob", space.Speaker), callerOptions{})
	mouth := r.speak(b, invite("clock", "ann", space.Host), callerOptions{clicks: clicks})
	until(b, "sound", func() bool { return len(ears.heard()) > 0 && len(r.Stage("clock").Heard) > 0 })
	var heard []time.Time
	for b.Loop() {
		heard = append(heard, ears.click(b))
	}
	mouth.close()
	close(clicks)
	var said []time.Time
	for at := range clicks {
		said = append(said, at)
	}
	var delays []time.Duration
	for _, at := range heard {
		next, _ := slices.BinarySearchFunc(said, at, time.Time.Compare)
		delays = append(delays, at.Sub(said[max(next, 1)-1])+tickTime)
	}
	slices.Sort(delays)
	b.ReportMetric(float64(delays[len(delays)/2].Milliseconds()), "ms-median")
	b.ReportMetric(float64(delays[len(delays)*95/100].Milliseconds()), "ms-p95")
	b.ReportMetric(0, "ns/op")
}
