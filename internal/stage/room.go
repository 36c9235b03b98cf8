package stage

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"hustings/internal/programme"
	"hustings/internal/rtc"
	"hustings/internal/seats"
	"hustings/internal/space"
	"hustings/internal/tally"
)

// link is one connection of a seat: its microphone or its monitor, which is what
// the seat hears. Exactly one of in and out is set.
type link struct {
	seat space.SeatID
	in   source
	out  *rtc.Outlet
	end  func() // ends the connection; returns at once, and leads to room.part

	parted bool // guarded by the room's mu
}

// backstage is what all rooms share and never change.
type backstage struct {
	publish func(subject string, data []byte) error
	resume  func(space.ID) (programme.Resume, error)
	edges   func() string // who serves listeners
	signer  *programme.Signer
	hold    []float32
	logger  *slog.Logger
	metrics *metrics
	// spawn runs a loop until it returns or the stages stop; false, if they do not
	// run (yet, or any more).
	spawn func(func(context.Context)) bool
}

// room is the stage of one space at work: it ties the state machine to the
// connections, the watchers and the loop.
type room struct {
	id  space.ID
	own *backstage
	// putting makes put one at a time. It is held while the log's end is looked up
	// and while the final block is written.
	putting sync.Mutex

	mu       sync.Mutex // guards what follows; held for microseconds and never over I/O
	state    *seats.Stage
	mics     map[space.SeatID]*link
	monitors map[space.SeatID]*link
	watchers map[*Watcher]struct{}
	watches  uint64 // opened so far
	air      *air   // nil while no programme runs
	looping  bool

	cast atomic.Pointer[cast] // what the loop mixes, made anew at every change
}

func newRoom(sp space.Space, own *backstage) *room {
	r := &room{
		id: sp.ID, own: own, state: seats.New(sp),
		mics:     make(map[space.SeatID]*link),
		monitors: make(map[space.SeatID]*link),
		watchers: make(map[*Watcher]struct{}),
	}
	r.cast.Store(&cast{phase: sp.Phase, idle: true})
	return r
}

// put takes over the space as it is now. Going on air, it looks up where the log
// goes on; when the space is over, it waits for the final block, ends all
// connections and tells everybody.
func (r *room) put(sp space.Space) error {
	r.putting.Lock()
	defer r.putting.Unlock()
	if sp.Phase.OnAir() {
		if err := r.goOnAir(sp); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.state.Put(sp, time.Now())
	air := r.air
	r.changed()
	r.mu.Unlock()
	if !sp.Phase.Over() {
		return nil
	}
	err := r.finish(air)
	r.close()
	return err
}

// goOnAir opens an epoch, unless one runs.
func (r *room) goOnAir(sp space.Space) error {
	r.mu.Lock()
	running := r.air != nil
	r.mu.Unlock()
	if running {
		return nil
	}
	resume, err := r.own.resume(sp.ID)
	if err != nil {
		return err
	}
	subject := "hustings.block." + string(sp.ID)
	w := programme.NewWriter(programme.WriterOptions{
		Space: sp.ID, Stereo: sp.Stereo, Resume: resume, Signer: r.own.signer,
		Publish: func(data []byte) error { return r.own.publish(subject, data) },
	})
	air, err := newAir(sp, resume, r.own.hold, w, time.Now())
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.air = air
	r.state.CountOn(resume.Tally)
	r.mu.Unlock()
	r.own.logger.Info("on air", "space", sp.ID, "epoch", resume.Epoch, "block", resume.Seq, "start", air.start)
	return nil
}

// finalWait bounds how long put waits for the final block, which takes the loop
// one tick.
const finalWait = 900 * time.Millisecond

// finish waits until the loop has written the final block.
func (r *room) finish(air *air) error {
	if air == nil {
		return nil
	}
	timer := time.NewTimer(finalWait)
	defer timer.Stop()
	select {
	case <-air.done:
		return nil
	case <-timer.C:
		return space.Errorf(space.Internal, "the end of the programme was not written in time; it will be when this is asked again")
	}
}

// check tells whether the invite may connect now.
func (r *room) check(inv space.Invite) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Check(inv)
}

// join gives a connection its seat. The seat's earlier connection of the same
// direction ends; when it was a microphone, the seat's older pages are told that
// a newer one has it.
//
// Errors: as state.check.
func (r *room) join(inv space.Invite, l *link) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.state.Admit(inv); err != nil {
		return err
	}
	links := r.monitors
	if l.in != nil {
		links = r.mics
	}
	if old := links[l.seat]; old != nil {
		old.end()
		if l.in != nil {
			r.state.Connect(l.seat, false)
			r.replaced(l.seat)
		}
	}
	links[l.seat] = l
	r.changed()
	return nil
}

// replaced tells all but the newest page of a seat that it lost it.
func (r *room) replaced(id space.SeatID) {
	var newest *Watcher
	for w := range r.watchers {
		if w.seat == id && (newest == nil || w.order > newest.order) {
			newest = w
		}
	}
	for w := range r.watchers {
		if w.seat == id && w != newest {
			delete(r.watchers, w)
			w.finish(ReplacedEvent{Detail: "You joined from another page or device; this one has left the stage"})
		}
	}
}

// reach notes whether a microphone's sound arrives.
func (r *room) reach(l *link, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mics[l.seat] == l && r.state.Connect(l.seat, on) {
		r.changed()
	}
}

// part takes a connection that ended off its seat. A second call does nothing.
func (r *room) part(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.parted {
		return
	}
	l.parted = true
	if l.in != nil && r.mics[l.seat] == l {
		delete(r.mics, l.seat)
		r.state.Connect(l.seat, false)
	}
	if l.out != nil && r.monitors[l.seat] == l {
		delete(r.monitors, l.seat)
	}
	r.state.Leave(l.seat, time.Now())
	r.changed()
}

func (r *room) mute(by space.Invite, id space.SeatID, muted bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed, err := r.state.Mute(by, id, muted)
	if changed {
		r.changed()
	}
	return err
}

func (r *room) remove(by space.Invite, id space.SeatID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.state.Remove(by, id); err != nil {
		return err
	}
	r.disconnect(id)
	for w := range r.watchers {
		if w.seat == id {
			delete(r.watchers, w)
			w.finish(RemovedEvent{Detail: "The host took you off the stage"})
		}
	}
	r.changed()
	return nil
}

// pagesPerSeat bounds how many pages of one seat follow the stage at a time.
const pagesPerSeat = 16

// watch opens a watch, which begins with the stage as it is.
func (r *room) watch(id space.SeatID) (*Watcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Space().Phase.Over() {
		return nil, seats.OverError(r.state.Space())
	}
	r.makePlace(id)
	r.watches++
	w := newWatcher(id, r.watches, r.unwatch)
	r.watchers[w] = struct{}{}
	w.send(StateEvent{State: r.state.Show()})
	return w, nil
}

// makePlace ends the oldest watch of a seat that has too many.
func (r *room) makePlace(id space.SeatID) {
	var oldest *Watcher
	n := 0
	for w := range r.watchers {
		if w.seat != id {
			continue
		}
		if n++; oldest == nil || w.order < oldest.order {
			oldest = w
		}
	}
	if n >= pagesPerSeat {
		delete(r.watchers, oldest)
		oldest.finish(ReplacedEvent{Detail: "You have opened many more pages of this stage; this one follows it no longer"})
	}
}

func (r *room) unwatch(w *Watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, w)
}

func (r *room) show() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Show()
}

func (r *room) count(m tally.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state.Count(m, time.Now()) {
		r.tell()
	}
}

// disconnect ends what connections a seat has. The caller holds r.mu.
func (r *room) disconnect(id space.SeatID) {
	for _, links := range []map[space.SeatID]*link{r.mics, r.monitors} {
		if l := links[id]; l != nil {
			delete(links, id)
			l.end()
		}
	}
}

// close ends every connection and watch.
func (r *room) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range r.state.OnStage() {
		r.disconnect(in.ID)
	}
	for w := range r.watchers {
		delete(r.watchers, w)
		w.end()
	}
}

// changed makes the loop and the watchers see the state as it is now, and starts
// the loop if there is work for it. The caller holds r.mu.
func (r *room) changed() {
	c := &cast{phase: r.state.Space().Phase, air: r.air}
	for _, in := range r.state.OnStage() {
		p := part{id: in.ID, slot: in.Slot, muted: in.Muted}
		if mic := r.mics[in.ID]; mic != nil {
			p.in = mic.in
		}
		if monitor := r.monitors[in.ID]; monitor != nil {
			p.out = monitor.out
		}
		c.seats = append(c.seats, p)
	}
	c.idle = r.air == nil && (len(c.seats) == 0 || c.phase.Over())
	r.cast.Store(c)
	r.tell()
	r.wake()
}

// wake starts the loop if it is needed and the stages run. The caller holds r.mu.
func (r *room) wake() {
	if !r.looping && !r.cast.Load().idle {
		r.looping = r.own.spawn(func(ctx context.Context) { newLoop(r).run(ctx) })
	}
}

// tell sends the state to the watchers. The caller holds r.mu.
func (r *room) tell() {
	if len(r.watchers) == 0 {
		return
	}
	e := StateEvent{State: r.state.Show()}
	for w := range r.watchers {
		w.send(e)
	}
}
