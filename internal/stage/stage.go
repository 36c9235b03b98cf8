// Package stage is where those who can be heard meet: it takes their microphones
// by WebRTC, mixes them, lets each hear the others, and writes the programme.
//
// Its parts know little of each other:
//
//   - loop, console, air: the media path. Every 20 ms the loop of a space pulls a
//     frame from each ear (room ear), mixes, sends everybody on stage what they are
//     to hear, and gives the mix, or hold audio, to the programme, which is encoded
//     in three rungs and written as a block every 25 ticks. It never waits.
//   - session: one WHIP (RFC 9725) or WHEP connection of one seat; room rtc has the
//     WebRTC of it.
//   - room and Stages: a room ties these to the state machine of its stage (room
//     seats) and to the pages that watch; Stages is all rooms of this process, and
//     what others call.
//
// What is said while the doors are open stays on stage: until the space is live
// the programme is hold audio alone.
package stage

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/programme"
	"hustings/internal/rtc"
	"hustings/internal/seats"
	"hustings/internal/space"
	"hustings/internal/tally"
)

// Options configure the stages of a process. UDP and Publish are required.
type Options struct {
	// UDP is the address of the one UDP port of all WebRTC ("host:port"). Without a
	// host, or with an unspecified one, it is opened on every address of the machine.
	UDP string
	// Loopback also opens it on 127.0.0.1 and ::1 when UDP names no host.
	Loopback bool
	// ICETCP accepts connections for those whose network lets no UDP through. Its
	// Addr must be the address that clients connect to. nil: no ICE-TCP. Stages
	// closes it.
	ICETCP net.Listener
	// PublicIPs are addresses that a router in front of this machine maps to it, one
	// to one and with the same ports.
	PublicIPs []string

	// Publish sends a block on hustings.block.{space}. It must not wait for readers.
	Publish func(subject string, data []byte) error
	// Subscribe follows hustings.tally.*; nil: the tally stays zero.
	Subscribe func(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	// Resume tells where the log of a space goes on; nil: each log is a fresh one.
	Resume func(space.ID) (programme.Resume, error)
	// Signer signs checkpoints; nil: there are none.
	Signer *programme.Signer
	// Edges returns the signed list of who serves listeners, as it rides in the pulse;
	// nil, or "": this server alone. It must not wait.
	Edges func() string
	// Hold is what the audience hears before the space is live: mono at 48 kHz, and
	// its end meets its beginning. nil: silence.
	Hold []float32

	Logger  *slog.Logger          // nil: discard
	Metrics prometheus.Registerer // nil: none
}

// Stages is all stages of this process. Its methods are safe for concurrent use.
type Stages struct {
	opts  Options
	own   backstage
	net   *rtc.Network
	ready chan struct{} // closed once Run serves

	mu       sync.Mutex      // guards what follows; a room's is never taken inside it
	running  context.Context // nil unless Run runs
	rooms    map[space.ID]*room
	over     map[space.ID]space.Space // those that ended here, to say so; at most overMost
	sessions map[string]*session
	work     sync.WaitGroup // loops and sessions
}

// New opens the UDP port and starts nothing.
//
// Errors: the port's (in use, not allowed, no such address) and the registry's.
func New(o Options) (*Stages, error) {
	if o.Publish == nil {
		return nil, errors.New("stage: Options.Publish is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Edges == nil {
		o.Edges = func() string { return "" }
	}
	if o.Resume == nil {
		o.Resume = func(space.ID) (programme.Resume, error) { return programme.Resume{}, nil }
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	network, err := rtc.New(rtc.Options{UDP: o.UDP, Loopback: o.Loopback, TCP: o.ICETCP, PublicIPs: o.PublicIPs, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	st := &Stages{
		opts: o, net: network, ready: make(chan struct{}),
		rooms:    make(map[space.ID]*room),
		over:     make(map[space.ID]space.Space),
		sessions: make(map[string]*session),
	}
	st.own = backstage{
		publish: o.Publish, resume: o.Resume, edges: o.Edges, signer: o.Signer, hold: o.Hold,
		logger: o.Logger, metrics: m, spawn: st.spawn,
	}
	return st, nil
}

// Run serves until ctx ends. A programme that is on air then is written up to its
// last tick, and goes on in a new epoch when its space is put on a stage again.
func (st *Stages) Run(ctx context.Context) error {
	if err := st.net.Start(); err != nil {
		return err
	}
	defer st.net.Close()
	if st.opts.Subscribe != nil {
		stop, err := st.opts.Subscribe("hustings.tally.*", st.count)
		if err != nil {
			return err
		}
		defer stop()
	}
	for _, r := range st.serve(ctx, true) {
		r.mu.Lock()
		r.wake()
		r.mu.Unlock()
	}
	close(st.ready)
	<-ctx.Done()
	rooms := st.serve(ctx, false)
	st.work.Wait()
	for _, r := range rooms {
		r.close()
	}
	return nil
}

// serve makes spawn work, or stops that, and returns the rooms.
func (st *Stages) serve(ctx context.Context, on bool) []*room {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.running = nil; on {
		st.running = ctx
	}
	return slices.Collect(maps.Values(st.rooms))
}

// spawn runs f until Run ends, which waits for it; false, if Run does not run.
func (st *Stages) spawn(f func(context.Context)) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.running == nil {
		return false
	}
	ctx := st.running
	st.work.Go(func() { f(ctx) })
	return true
}

// overMost is how many spaces that are over are remembered. Those before them are
// not known here any more, as after a restart.
const overMost = 1024

// Put tells a stage how its space is now: announced, opened, started, edited, ended
// or cancelled. When it goes on air the programme begins, or goes on where its log
// ends. When it is over, Put returns after the final block was published, within a
// second, and everybody on stage is disconnected.
//
// Errors: those of Options.Resume; Internal, if the final block could not be written.
func (st *Stages) Put(sp space.Space) error {
	r := st.roomFor(sp)
	if r == nil {
		return nil
	}
	err := r.put(sp)
	if sp.Phase.Over() && err == nil {
		st.mu.Lock()
		delete(st.rooms, sp.ID)
		if len(st.over) >= overMost {
			clear(st.over)
		}
		st.over[sp.ID] = space.Space{ID: sp.ID, Phase: sp.Phase}
		st.mu.Unlock()
	}
	return err
}

// roomFor returns the space's room, a new one if it needs one.
func (st *Stages) roomFor(sp space.Space) *room {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.rooms[sp.ID]
	if r == nil && !sp.Phase.Over() {
		r = newRoom(sp, &st.own)
		st.rooms[sp.ID] = r
	}
	return r
}

// room returns the room of a space.
//
// Errors: Gone, NotFound.
func (st *Stages) room(id space.ID) (*room, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if r := st.rooms[id]; r != nil {
		return r, nil
	}
	if sp, ok := st.over[id]; ok {
		return nil, seats.OverError(sp)
	}
	return nil, space.Errorf(space.NotFound, "there is no such stage here")
}

// Watch follows a stage for the page of a seat. Close the watcher after use.
//
// Errors: NotFound, Gone.
func (st *Stages) Watch(id space.ID, seat space.SeatID) (*Watcher, error) {
	r, err := st.room(id)
	if err != nil {
		return nil, err
	}
	return r.watch(seat)
}

// Mute mutes a seat, or unmutes one's own.
//
// Errors: NotFound, Gone, Forbidden.
func (st *Stages) Mute(id space.ID, by space.Invite, seat space.SeatID, muted bool) error {
	r, err := st.room(id)
	if err != nil {
		return err
	}
	return r.mute(by, seat, muted)
}

// Remove takes a seat off the stage for good.
//
// Errors: NotFound, Gone, Forbidden.
func (st *Stages) Remove(id space.ID, by space.Invite, seat space.SeatID) error {
	r, err := st.room(id)
	if err != nil {
		return err
	}
	return r.remove(by, seat)
}

// Stage returns a stage as it is; a zero State, if there is none here.
func (st *Stages) Stage(id space.ID) State {
	r, err := st.room(id)
	if err != nil {
		return State{Space: id}
	}
	return r.show()
}

// count takes a tally from the bus.
func (st *Stages) count(subject string, data []byte) {
	var m tally.Message
	if json.Unmarshal(data, &m) != nil || m.Check() != nil {
		return
	}
	id := space.ID(strings.TrimPrefix(subject, "hustings.tally."))
	if r, err := st.room(id); err == nil {
		r.count(m)
	}
}
