package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	askAgain  = time.Second     // after an answer that did not come
	askAnyway = 5 * time.Minute // for what may have been missed without a sign of it
	lookEvery = 200 * time.Millisecond
)

// Bus is what an edge needs of the bus.
type Bus interface {
	Asks
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	Publish(subject string, data []byte) error
	Connected() bool    // messages come and go
	Reconnects() uint64 // how often it was lost and came back
}

// Options configure an Edge. Bus, Name and URL are required.
type Options struct {
	Bus     Bus    // connected by the time of Run
	Name    string // of this edge among all: 1 to 64 characters of a-z, 0-9 and "-"
	URL     string // where people reach it: scheme and host
	Weight  int    // its share of the listeners
	Version string
	// Key is the verifier key of the programme's log; "": the first that the core names
	// is trusted, and told to Pin to be kept.
	Key string
	Pin func(key string) error // nil: it is not kept
	// Changed is told each space that the core tells of when it changes; nil: nobody is.
	Changed func(space.Space)
	// Load says how busy this node is, 0 to 1, and how many listen here; nil: it does not.
	Load    func() (load float64, listeners int)
	Logger  *slog.Logger          // nil: discard
	Metrics prometheus.Registerer // nil: none
}

// Edge is a node's membership, and what it knows by it. Its methods may be called by
// any goroutine.
type Edge struct {
	opts      Options
	log       *slog.Logger
	reader    Reader
	directory directory
	checker   checker
	ready     chan struct{}
	isReady   sync.Once
	leaving   atomic.Bool
	forged    atomic.Uint64

	mu      sync.Mutex // guards what follows
	key     string     // of the core's log; "" until it is known
	core    identity   // as it last answered
	foreign error      // the core names another key than the one that is trusted
	list    string     // of edges, signed
	listed  time.Time  // when it was
}

// New checks the options.
func New(o Options) (*Edge, error) {
	if o.Bus == nil {
		return nil, errors.New("an edge needs a bus")
	}
	if !space.ID(o.Name).Valid() {
		return nil, fmt.Errorf("an edge can't be named %.80q: use 1 to 64 characters of a-z, 0-9 and -", o.Name)
	}
	if own := (programme.Edge{URL: o.URL, Weight: o.Weight}); !own.Valid() {
		return nil, fmt.Errorf("an edge can't be at %q with weight %d: give scheme and host, and a weight from 0 to %d", o.URL, o.Weight, programme.MaxWeight)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Load == nil {
		o.Load = func() (float64, int) { return 0, 0 }
	}
	if o.Changed == nil {
		o.Changed = func(space.Space) {}
	}
	if o.Pin == nil {
		o.Pin = func(string) error { return nil }
	}
	e := &Edge{opts: o, log: o.Logger, reader: Reader{Bus: o.Bus}, key: o.Key, ready: make(chan struct{})}
	e.checker.verifier, e.checker.snapshot = e.trusted, e.reader.Snapshot
	if o.Metrics != nil {
		if err := e.register(o.Metrics); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Edge) register(to prometheus.Registerer) error {
	return errors.Join(
		to.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hustings_edge_connected", Help: "Whether the bus is there: 1, or 0 while it is lost.",
		}, func() float64 {
			if e.Connected() {
				return 1
			}
			return 0
		})),
		to.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "hustings_edge_blocks_refused_total", Help: "Blocks that were not to be believed.",
		}, func() float64 { return float64(e.forged.Load()) })),
	)
}

// Ready is closed when the edge has been told what is on.
func (e *Edge) Ready() <-chan struct{} { return e.ready }

// Connected reports whether the programme can come at all.
func (e *Edge) Connected() bool { return e.opts.Bus.Connected() }

// Health returns what keeps the edge from serving, nil if nothing does.
func (e *Edge) Health() error {
	e.mu.Lock()
	foreign := e.foreign
	e.mu.Unlock()
	if foreign != nil {
		return foreign
	}
	if !e.Connected() {
		return space.Errorf(space.Full, "the bus is lost: listeners keep what they have, and hear on when it is back")
	}
	if !e.isReadyYet() {
		return space.Errorf(space.Full, "the core has not told yet what is on")
	}
	return nil
}

// Edges returns the signed list of all who serve listeners, as the core last told
// it; "" for none.
func (e *Edge) Edges() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.list
}

// CoreURL returns where people reach the core; "" if that is not known.
func (e *Edge) CoreURL() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.core.URL
}

// Keys returns the verifier keys of the programme's log.
func (e *Edge) Keys() []string {
	if key := e.trusted(); key != "" {
		return []string{key}
	}
	return nil
}

func (e *Edge) trusted() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.key
}

// Check says whether the next block of a log is to be believed. It is for one
// goroutine at a time for each space.
//
// Errors: programme.ErrForged, programme.ErrNotNext, those of asking the archive.
func (e *Edge) Check(b *programme.Block) error {
	err := e.checker.check(context.Background(), b) // each question in it has a deadline
	if err != nil {
		e.forged.Add(1)
	}
	if err == nil && b.Final {
		e.checker.forget(b.Space)
	}
	return err
}

// Fetch is Reader.Fetch.
func (e *Edge) Fetch(ctx context.Context, id space.ID, from, to uint64) ([]*programme.Block, error) {
	return e.reader.Fetch(ctx, id, from, to)
}

// Snapshot is Reader.Snapshot, for a reader who then checks the block that comes after
// it.
func (e *Edge) Snapshot(ctx context.Context, id space.ID, seq uint64) (programme.Snapshot, error) {
	at, err := e.reader.Snapshot(ctx, id, seq)
	if err == nil {
		e.checker.keep(id, at)
	}
	return at, err
}

// Run is a member until ctx is done.
//
// Errors: a core with another key than the one that is trusted, if that is found out
// before the edge is ready.
func (e *Edge) Run(ctx context.Context) error {
	for subject, handle := range map[string]func(string, []byte){spaceSubject + "*": e.onSpace, listSubject: e.onList} {
		stop, err := e.opts.Bus.Subscribe(subject, handle)
		if err != nil {
			return err
		}
		defer stop()
	}
	var beating sync.WaitGroup
	defer beating.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	beating.Go(func() { e.beat(ctx) })
	return e.follow(ctx)
}

// Leave says goodbye: no more listeners are to be sent here.
func (e *Edge) Leave() {
	e.leaving.Store(true)
	e.say(true)
}

// beat says once a second that the edge is there. What could not be said while the
// bus was lost is not said later. An edge that does not know what is on is not there
// yet.
func (e *Edge) beat(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-e.ready:
	}
	each := time.NewTicker(beatEvery)
	defer each.Stop()
	for {
		if !e.leaving.Load() && e.Health() == nil {
			e.say(false)
		}
		select {
		case <-ctx.Done():
			return
		case <-each.C:
		}
	}
}

func (e *Edge) say(bye bool) {
	load, listeners := e.opts.Load()
	data, err := json.Marshal(Beat{
		Name: e.opts.Name, URL: e.opts.URL, Weight: e.opts.Weight,
		Listeners: listeners, Load: min(max(load, 0), 1), Version: e.opts.Version, Bye: bye,
	})
	if err == nil {
		err = e.opts.Bus.Publish(beatSubject+e.opts.Name, data)
	}
	if err != nil {
		e.log.Warn("the core is not told of this edge", "err", err)
	}
}

// follow asks the core what there is: at first, whenever the bus was lost, and from
// time to time.
func (e *Edge) follow(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var asked time.Time
	var seen uint64
	for {
		now := e.opts.Bus.Reconnects()
		if e.Connected() && (asked.IsZero() || now != seen || time.Since(asked) > askAnyway) {
			if err := e.ask(ctx); err == nil {
				asked, seen = time.Now(), now
				e.isReady.Do(func() { close(e.ready) })
			} else if ctx.Err() == nil {
				if errors.Is(err, ErrKey) && !e.isReadyYet() {
					return err
				}
				e.log.Warn("the core does not answer; asking again", "err", err)
				look.Reset(askAgain)
				asked = time.Time{}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			look.Reset(lookEvery)
		}
	}
}

func (e *Edge) isReadyYet() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// ask asks the core who it is and what is on.
func (e *Edge) ask(ctx context.Context) error {
	var who identity
	if err := e.request(ctx, coreSubject, struct{}{}, &who); err != nil {
		return err
	}
	if err := e.trust(who); err != nil {
		return err
	}
	return e.directory.fill(func(want spacesRequest) (page spacesAnswer, err error) {
		err = e.request(ctx, spacesSubject, want, &page)
		return page, err
	})
}

func (e *Edge) request(ctx context.Context, subject string, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	request, err := json.Marshal(question)
	if err != nil {
		return err
	}
	data, err := e.opts.Bus.Request(ctx, subject, request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the core's answer to %s: %w", subject, err)
	}
	return nil
}

// ErrKey says that the core signs with another key than the one that is trusted.
var ErrKey = errors.New("the core signs its programme with another key than the one that this edge trusts")

// trust takes the core's word on who it is, unless its key is another than the one
// that is trusted already.
func (e *Edge) trust(who identity) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.key == "" {
		if !programme.ValidVerifier(who.Key) {
			return fmt.Errorf("the core names a key that is none: %.200q", who.Key)
		}
		if err := e.opts.Pin(who.Key); err != nil {
			return fmt.Errorf("the core's key can't be kept: %w", err)
		}
		e.key = who.Key
		e.log.Info("the core's key is trusted from now on", "key", who.Key)
	}
	e.foreign = nil
	if who.Key != e.key {
		e.foreign = fmt.Errorf("%w: it names %.200q, trusted is %q", ErrKey, who.Key, e.key)
		return e.foreign
	}
	if own := (programme.Edge{URL: who.URL}); !own.Valid() {
		who.URL = ""
	}
	e.core = who
	return nil
}

func (e *Edge) onSpace(subject string, data []byte) {
	sp, err := e.directory.hear(subject, data)
	if err != nil {
		e.log.Error("a message about a space can't be read: ignored", "err", err)
		return
	}
	e.opts.Changed(sp)
}

// onList takes a list of edges, if it is signed and newer than the one before.
func (e *Edge) onList(_ string, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(data) == 0 {
		e.list = "" // the core serves alone; an edge that is lost there still serves who is here
		return
	}
	if e.key == "" {
		return // it comes again within half a minute
	}
	edges, err := programme.OpenEdges(string(data), e.key)
	switch {
	case err != nil:
		e.log.Error("a list of edges is not to be believed: the one before stays", "err", err)
	case edges.At.Before(e.listed):
		e.log.Warn("an older list of edges: the newer one stays", "at", edges.At)
	default:
		e.list, e.listed = string(data), edges.At
	}
}
