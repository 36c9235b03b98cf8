package stage

import (
	"sync"

	"hustings/internal/seats"
	"hustings/internal/space"
)

// State is a stage as those on it see it.
type State = seats.State

// Event is what a Watcher gets: a StateEvent, LevelsEvent, RemovedEvent or
// ReplacedEvent. After one of the last two nothing follows.
type Event interface{ event() }

// StateEvent tells the stage as it is now, after every change and at the start.
type StateEvent struct{ State State }

// LevelsEvent tells ten times a second how loud each connected and unmuted seat
// is, in dBFS: -100 for silence. Receivers share the map and must not change it.
type LevelsEvent struct{ Levels map[space.SeatID]float64 }

// RemovedEvent tells a seat that a host took it off the stage.
type RemovedEvent struct{ Detail string }

// ReplacedEvent tells an older page that a newer one has the seat now.
type ReplacedEvent struct{ Detail string }

func (StateEvent) event()    {}
func (LevelsEvent) event()   {}
func (RemovedEvent) event()  {}
func (ReplacedEvent) event() {}

// watcherDepth is how many events wait for a slow watcher; levels only use half of it.
const watcherDepth = 16

// Watcher follows one stage on behalf of one seat's page. A slow one misses
// levels and states that a newer state has overtaken, but never the newest state,
// and it delays nobody.
type Watcher struct {
	seat   space.SeatID
	order  uint64 // of opening: the newest page of a seat keeps it
	events chan Event
	leave  func(*Watcher)

	mu   sync.Mutex // guards last, and makes send one at a time
	last bool       // nothing is sent any more
}

func newWatcher(seat space.SeatID, order uint64, leave func(*Watcher)) *Watcher {
	return &Watcher{seat: seat, order: order, events: make(chan Event, watcherDepth), leave: leave}
}

// Events returns the channel of events. It is closed after Close, and when the
// stage is over or stops.
func (w *Watcher) Events() <-chan Event { return w.events }

// Close ends the watch. It may be called more than once.
func (w *Watcher) Close() {
	w.leave(w)
	w.end()
}

// end closes the channel; what is in it can still be read.
func (w *Watcher) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.last {
		w.last = true
		close(w.events)
	}
}

// send hands an event over without waiting. When the channel is full the oldest
// event goes: the levels before it have gone already, so it is a state that the
// states behind it have overtaken.
func (w *Watcher) send(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last {
		return
	}
	if _, levels := e.(LevelsEvent); levels && len(w.events) >= watcherDepth/2 {
		return
	}
	for {
		select {
		case w.events <- e:
			return
		default:
		}
		select {
		case <-w.events:
		default:
		}
	}
}

// finish sends a last event and ends the watch.
func (w *Watcher) finish(e Event) {
	w.send(e)
	w.end()
}
