// Package crowd is an audience in one process: thousands of real listeners of a
// space, who speak nothing but the public protocol.
//
//	c, err := crowd.New(crowd.Options{URL: link, Listeners: 15000, Permit: permit})
//	go c.Run(ctx)
//	figures := c.Snapshot()   // at any time, by anyone
//
// Each listener opens the page's documents, asks for the stream and takes apart what
// comes: block by block, that each came in order and once, and that its bytes are
// those that others heard. What is distinct is held against the signed log. It keeps
// a model of the page's playback buffer, follows the depth that the server tells at
// 0.97 to 1.03 times the speed, and counts when a person would have heard silence.
// When a connection breaks it comes back as the page does, at another edge if the
// space has any.
//
//	socket -> framing (answer.go) -> boxes (boxes.go) -> listener -> ledger (is it in the log?)
//	                                                        |
//	                                                        +-> playback (was it in time?)
//
// A listener is a struct of some 250 bytes. On Linux one goroutine owns all sockets
// (engine_linux.go): it reads each into one large buffer and looks at it there.
// Elsewhere, and behind TLS, there is a goroutine for each (plain.go). Both only
// carry bytes; what a listener does with them is in listener.go.
package crowd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"hustings/internal/client"
	"hustings/internal/hearing"
	"hustings/internal/reach"
	"hustings/internal/wire"
)

// What is counted is said in the words of hearing.
type (
	// Figures say how a crowd fares.
	Figures = hearing.Figures
	// Gaps count something that a listener misses.
	Gaps = hearing.Gaps
	// Generator says how the crowd's own process fared.
	Generator = hearing.Generator
	// Times are how long something took.
	Times = hearing.Times
)

// Opens says which documents a listener loads before it listens.
type Opens uint8

// What a listener may open.
const (
	// OpensPage is the page's HTML and the space's JSON, on one connection, which the
	// stream then goes on with if it is at the same server. Scripts and styles are
	// loaded once by the crowd as a whole: they are the same for all, and caches on
	// the way may keep them.
	OpensPage Opens = iota
	// OpensAll is the page, and all that it names, for each listener: nobody has ever
	// been here.
	OpensAll
	// OpensNothing is the stream alone.
	OpensNothing
)

// Options say who comes. URL and Listeners are required.
type Options struct {
	URL       string // a link to the space
	Listeners int

	// Shape says when listener i of n sets out, after Run has begun; nil is at once.
	Shape func(i, n int) time.Duration
	// Hold is how long all stay after the last has set out; 0 is until ctx ends.
	Hold time.Duration
	// Stay says for how long listener i stays after setting out; nil, or 0, is to the end.
	Stay func(i, n int) time.Duration
	// Slow says how many bytes a second listener i reads; nil, or 0, is all at once.
	Slow func(i, n int) int

	Opens  Opens
	Rung   int    // in kb/s: 48, 24 or 16; 0 is what the server has for all
	Permit string // of the rehearsal; "" is none
	// Proofs is how many listeners there are to one that finds each of its blocks in
	// the signed log by itself; 0 is 100. What others hear is compared with that.
	Proofs int

	// Sources are local addresses to connect from, in turn: there are 28,000 ports to
	// each. Empty is the system's choice, or for a server at 127.0.0.1 a number of
	// addresses of this machine.
	Sources []netip.Addr
	TLS     *tls.Config // nil is what the system trusts

	// OnTick, if set, is given the figures once a second. It must not wait.
	OnTick func(Figures)
	Logger *slog.Logger // nil is silence
}

// Crowd is a crowd. Make it with New. Its methods may be called by any goroutine.
type Crowd struct {
	opts   Options
	log    *slog.Logger
	link   reach.Link
	http   *reach.HTTP
	prefix string        // of the listeners' tokens
	order  []int32       // listeners by their arrival
	last   time.Duration // arrival of the last of them

	mu        sync.Mutex    // guards what follows
	zero      time.Time     // all times count from here
	lasted    time.Duration // 0 until the crowd is over
	listeners []listener
	carrier   carrier
	now       [stages]int64 // listeners in each stage
	hearing   int64
	dry       int64
	figures   Figures // what is counted
	failed    [reasons]int64
	page      reach.Page
	documents [][]byte // requests for what a page needs, the same for all
	sites     sites
	ledger    hearing.Ledger
	events    hearing.Events
	wheel     wheel
	pool      wire.Pool
	visits    visits
	meter     hearing.Meter
	ear       ear
	came      int // of order have set out
	share     int // of the listeners that is to be looked at next
}

// New checks the options.
//
// Errors say what to do, also when a process can't hold so many connections.
func New(o Options) (*Crowd, error) {
	link, err := reach.ParseLink(o.URL)
	if err != nil {
		return nil, err
	}
	most, why := Most(strings.HasPrefix(link.Server, "https:"))
	switch {
	case o.Listeners < 1:
		return nil, errors.New("a crowd has at least one listener")
	case o.Listeners > most:
		return nil, fmt.Errorf("one process holds %d listeners at most, not %d: %s; use more workers", most, o.Listeners, why)
	case o.Rung != 0 && o.Rung != 48 && o.Rung != 24 && o.Rung != 16:
		return nil, fmt.Errorf("there is no rung %d: use 48, 24 or 16", o.Rung)
	case o.Hold < 0:
		return nil, fmt.Errorf("a crowd can't stay for %v", o.Hold)
	}
	if o.Proofs <= 0 {
		o.Proofs = 100
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Sources) == 0 {
		o.Sources = link.Sources()
	}
	c := &Crowd{opts: o, log: o.Logger, link: link, http: reach.NewHTTP(o.TLS), prefix: rand.Text()[:16]}
	c.arrange()
	return c, nil
}

// arrange puts the listeners in the order of their arrival.
func (c *Crowd) arrange() {
	n := c.opts.Listeners
	c.listeners, c.order = make([]listener, n), make([]int32, n)
	for i := range c.listeners {
		l := &c.listeners[i]
		l.fd, l.next = -1, none
		if c.opts.Shape != nil {
			l.due = max(0, c.opts.Shape(i, n))
		}
		if c.opts.Slow != nil {
			l.slow = int32(max(0, c.opts.Slow(i, n)))
		}
		l.boxes.Whole = i%c.opts.Proofs == 0
		c.last = max(c.last, l.due)
		c.order[i] = int32(i)
	}
	slices.SortStableFunc(c.order, func(a, b int32) int { return cmp.Compare(c.listeners[a].due, c.listeners[b].due) })
	c.now[away] = int64(n)
	c.zero = time.Now()
	c.ledger, c.events = hearing.NewLedger(), hearing.NewEvents()
	c.ear.crowd = c
}

// Run is there until all have left: at the end of Hold, or of the programme, or when
// ctx ends. It waits a moment for the proofs of the last blocks.
//
// Errors: those of opening the page for the first time. Whatever happens to
// listeners is in the figures.
func (c *Crowd) Run(ctx context.Context) error {
	defer c.http.CloseIdleConnections()
	page, err := reach.Document(ctx, c.link, reach.DocumentOptions{
		HTTP: c.http, Assets: c.opts.Opens != OpensNothing, Bare: c.opts.Opens == OpensNothing,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("the crowd found nobody at the door: %w", err)
	}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helping, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := c.open(helping, page, &helpers, newCarrier); err != nil {
		return err
	}
	prover := client.NewProver(page.Link, c.http)
	proving, stop := context.WithCancel(ctx)
	defer stop()
	proven := make(chan struct{})
	go func() {
		defer close(proven)
		c.prove(proving, prover)
	}()
	err = c.carrier.run(ctx)
	c.mu.Lock()
	c.lasted = c.time()
	c.mu.Unlock()
	stop()
	<-proven
	c.proveRest(helping, prover, ctx.Err() == nil)
	return err
}

// open sets the scene for the first listener.
func (c *Crowd) open(ctx context.Context, page reach.Page, helpers *sync.WaitGroup, carry func(*Crowd, bool) (carrier, error)) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.page = page
	c.zero = time.Now()
	c.sites = newSites(ctx, c, helpers)
	c.sites.edges = page.Edges
	c.sites.known(page.Link.Server)
	c.sites.all()
	if c.opts.Opens != OpensNothing {
		c.documents = c.requests(c.opts.Opens == OpensAll)
	}
	c.carrier, err = carry(c, c.sites.secure())
	return err
}

// time is how long ago the crowd began; once it is over, how long it was there.
func (c *Crowd) time() time.Duration {
	if c.lasted > 0 {
		return c.lasted
	}
	return time.Since(c.zero)
}

// Snapshot returns the figures as they are now.
func (c *Crowd) Snapshot() Figures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot(c.time())
}

// Storm breaks the connections of all who listen, or of those that who picks; nil is
// all. They come back as after an outage of their network.
func (c *Crowd) Storm(who func(i int) bool) {
	c.each(who, func(i int32, now time.Duration) {
		if c.listeners[i].stage == joined {
			c.hang(i)
			c.again(i, now, 0)
		}
	})
}

// Exit has all who came leave, or those that who picks; nil is all.
func (c *Crowd) Exit(who func(i int) bool) {
	c.each(who, func(i int32, now time.Duration) {
		if s := c.listeners[i].stage; s != away && s != gone {
			c.leave(i, now)
		}
	})
}

func (c *Crowd) each(who func(i int) bool, do func(i int32, now time.Duration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier == nil {
		return
	}
	for i := range c.listeners {
		if who == nil || who(i) {
			do(int32(i), c.time())
		}
	}
}

// Pulse returns the newest state of the programme that any listener was told, as
// JSON; nil before the first. It must not be changed.
func (c *Crowd) Pulse() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events.Pulse
}
