// Package broadcast brings the programme to the audience.
//
// It hears the blocks of every space on the bus. For each space it keeps a feed:
// the last minute of blocks, each rendered once for every container and rung that
// somebody listens to, and the whole pulse. A listener is a connection that delivery
// owns, and a cursor on the feed: all listeners are sent the same bytes, so that one
// more of them costs one write for each delivery and no copy.
//
//	bus -> Broadcast.hear -> intake (what is missing is fetched) -> feed.put
//	                                                                   |
//	        conn <- delivery <- listener.Next: bytes to send, and the next turn
//
// Nothing waits for a listener. One that reads slowly keeps what it was being sent,
// to the byte; if it then is too far behind, it goes on at the live edge, and is
// told the whole pulse there.
//
// How late the audience is, how often it is sent something and at which rung follows
// from the load (package elastic): a listener has its own interval, which never is
// more than it has in hand. Pages follow the depth that they are told; see pace.go.
//
// HLS reads the same feed by Window, Fragment and Init. Who listens is counted by
// package tally.
package broadcast

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hustings/internal/delivery"
	"hustings/internal/elastic"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// Subjects on the bus, each followed by the id of a space.
const (
	blockSubject = "hustings.block."
	tallySubject = "hustings.tally."
)

// Bus is what carries blocks in and tallies out.
type Bus interface {
	// Subscribe calls handle with each message, in order. handle may keep data.
	Subscribe(subject string, handle func(subject string, data []byte)) (stop func(), err error)
	// Publish never waits.
	Publish(subject string, data []byte) error
}

// Delivery owns the sockets of the audience: *delivery.Loops.
type Delivery interface {
	// Take takes a connection over, unless it returns an error.
	Take(conn net.Conn, head []byte, s delivery.Stream) error
	Load() delivery.Load
	// Drain lets all go in good order, until ctx is done.
	Drain(ctx context.Context) error
}

// Options configure a Broadcast. Bus and Delivery are required.
type Options struct {
	Bus      Bus
	Delivery Delivery
	Node     string          // name of this node, in the tallies that it publishes
	Backlog  time.Duration   // audio that a joiner is sent at once, at least; 0: 3 s
	Keep     time.Duration   // audio that is kept for late requests; 0: 60 s
	Elastic  elastic.Options // Rates are those of the rungs, whatever they say
	// Slack is how much more than it has in hand a listener may fall behind before it
	// is moved to the live edge; 0: 4 s.
	Slack time.Duration
	// Forget is how long a feed is kept that gets no more blocks; its listeners, if
	// it was not the end, are let go then; 0: 60 s.
	Forget time.Duration

	// Check says whether the next block of a log is to be believed; nil: all are. It is
	// called in order, for one space by one goroutine at a time. The listeners of a
	// space whose blocks are not to be believed are let go, to hear it elsewhere.
	Check func(*programme.Block) error
	// Fetch returns blocks [from, to) of a log, or as many of the last of them as there
	// are; nil: what was missed stays missed.
	Fetch func(ctx context.Context, id space.ID, from, to uint64) ([]*programme.Block, error)
	// Snapshot returns what a reader must know who begins at seq; nil: it has to do
	// with what comes.
	Snapshot func(ctx context.Context, id space.ID, seq uint64) (programme.Snapshot, error)
	// Connected reports whether blocks can come at all; nil: always. While they can't,
	// no listener is let go for want of them.
	Connected func() bool

	Logger  *slog.Logger          // nil: discard
	Metrics prometheus.Registerer // nil: none
}

// Broadcast serves the listeners of all spaces. Its methods may be called by any
// goroutine.
type Broadcast struct {
	opts    Options
	log     *slog.Logger
	limits  limits
	figures figures
	began   time.Time // the zero of all durations that stand for a time
	pacing  atomic.Pointer[pacing]

	mu       sync.RWMutex // guards what follows
	feeds    map[space.ID]*feed
	doubted  map[space.ID]bool // their newest block is not to be believed
	draining bool              // nobody is taken any more
	running  context.Context   // nil unless Run runs
	menders  sync.WaitGroup    // adding needs mu, and running

	conducting sync.Mutex // guards what follows
	policy     *elastic.Policy
	past       measured  // at the last look
	heardBus   time.Time // when blocks were last known not to come through; only Run uses it
}

// New checks the options.
func New(o Options) (*Broadcast, error) {
	if o.Bus == nil || o.Delivery == nil {
		return nil, errors.New("broadcast: it needs a bus to hear blocks on, and a delivery to send them by")
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"backlog", &o.Backlog, 3 * time.Second},
		{"keep", &o.Keep, time.Minute},
		{"slack", &o.Slack, 4 * time.Second},
		{"forget", &o.Forget, time.Minute},
	} {
		if *d.value < 0 {
			return nil, fmt.Errorf("broadcast: %s is %v; it can't be negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Broadcast{
		opts: o, log: o.Logger, began: time.Now(), heardBus: time.Now(),
		feeds: make(map[space.ID]*feed), doubted: make(map[space.ID]bool),
	}
	b.figures.paces = paceChanges()
	if err := b.startPacing(); err != nil {
		return nil, fmt.Errorf("broadcast: %w", err)
	}
	most := max(o.Backlog, b.deepest()) // that anybody has in hand
	b.limits = limits{backlog: blocksIn(o.Backlog), deepest: blocksIn(most), slack: o.Slack}
	b.limits.keep = max(blocksIn(o.Keep), blocksIn(most+o.Slack)+1)
	if o.Metrics != nil {
		if err := b.figures.register(o.Metrics, b); err != nil {
			return nil, fmt.Errorf("broadcast: %w", err)
		}
	}
	return b, nil
}

const blockTime = time.Second * programme.BlockSamples / programme.SampleRate

// blocksIn returns how many blocks make up d, at least one.
func blocksIn(d time.Duration) uint64 {
	return uint64(max(1, (d+blockTime-1)/blockTime))
}

// Run hears blocks, and once a second looks at the load and publishes tallies, until
// ctx is done. Listeners are delivery's: whoever wants them to leave in good order
// calls Drain before.
func (b *Broadcast) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	b.running = ctx
	b.mu.Unlock()
	defer b.end(cancel)
	stop, err := b.opts.Bus.Subscribe(blockSubject+"*", b.hear)
	if err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	defer stop()
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-each.C:
			b.conduct(now)
			b.tell(now)
		}
	}
}

// end waits for what Run has begun, and lets the listeners go.
func (b *Broadcast) end(cancel func()) {
	cancel()
	b.refuse()
	b.mu.Lock()
	b.running = nil
	b.mu.Unlock()
	b.menders.Wait()
}

// hear takes a block from the bus into its feed.
func (b *Broadcast) hear(subject string, data []byte) {
	block, err := programme.UnmarshalBlock(data)
	if err == nil && blockSubject+string(block.Space) != subject {
		err = fmt.Errorf("a block of space %s", block.Space)
	}
	if err != nil {
		b.figures.refused.Add(1)
		b.log.Error("a message on the bus is no block: ignored", "subject", subject, "err", err)
		return
	}
	f := b.feed(block.Space)
	if f == nil || f.over() && block.Epoch > f.newest().block.Epoch {
		f = b.begin(block.Space)
	}
	b.take(f, block)
}

func (b *Broadcast) feed(id space.ID) *feed {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.feeds[id]
}

// begin makes a feed for a space, in place of one that is over.
func (b *Broadcast) begin(id space.ID) *feed {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := newFeed(id, b.limits)
	if b.draining {
		f.close()
	}
	b.feeds[id] = f
	return f
}

// tell counts who listens to each space and publishes it, and forgets feeds that
// have long been silent.
func (b *Broadcast) tell(now time.Time) {
	connected := b.connected(now)
	for _, f := range b.all() {
		f.audience.Sweep(now)
		f.rehearsal.Sweep(now)
		e := f.newest()
		switch {
		case e == nil || f.over() && now.Sub(e.came) <= b.opts.Forget:
		case now.Sub(e.came) > b.opts.Forget && now.Sub(b.heardBus) > b.opts.Forget:
			b.forget(f)
		case connected:
			if err := b.publishTally(f); err != nil {
				b.log.Warn("the tally is not published", "space", f.id, "err", err)
			}
		}
	}
}

// connected reports whether blocks can come. heardBus is when they last could not.
func (b *Broadcast) connected(now time.Time) bool {
	if b.opts.Connected == nil || b.opts.Connected() {
		return true
	}
	b.heardBus = now
	return false
}

func (b *Broadcast) all() []*feed {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]*feed, 0, len(b.feeds))
	for _, f := range b.feeds {
		all = append(all, f)
	}
	return all
}

func (b *Broadcast) forget(f *feed) {
	b.remove(f)
	if !f.over() {
		b.log.Warn("no block for long: its listeners are let go", "space", f.id, "listeners", f.audience.Tally().Now)
	}
	f.close()
}

func (b *Broadcast) remove(f *feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.feeds[f.id] == f {
		delete(b.feeds, f.id)
	}
}

// Ready reports whether listeners of the space can be attached: a block of it is
// here, and not its last one.
func (b *Broadcast) Ready(id space.ID) bool {
	f := b.feed(id)
	return f != nil && f.newest() != nil && !f.over()
}

// Lost reports whether the space can't go on here just now, since no blocks come
// through to this node: what it has of it is what it had before.
func (b *Broadcast) Lost(space.ID) bool {
	return b.opts.Connected != nil && !b.opts.Connected()
}

// Drain takes no more listeners, and lets each of those there go in good order. When
// ctx is done first, the rest are cut.
//
// Errors: that of ctx, if some had to be cut.
func (b *Broadcast) Drain(ctx context.Context) error {
	b.refuse()
	return b.opts.Delivery.Drain(ctx)
}

// refuse turns all away who come, and ends the feeds of those who are there.
func (b *Broadcast) refuse() {
	b.mu.Lock()
	b.draining = true
	b.mu.Unlock()
	for _, f := range b.all() {
		f.close()
	}
}
