// Package broadcast brings the programme to the audience.
//
// It hears the blocks of every space on the bus. For each space it keeps a feed:
// the last minute of blocks, each rendered once for every container and rung that
// somebody listens to, and the whole pulse. A listener is a connection taken over
// from the web room, and a cursor on the feed: all listeners are sent the same
// bytes, so that one more of them costs one write for each block and no copy.
//
//	bus -> Broadcast.hear -> feed.put -> view (the live edge moves)
//	                                       |
//	            conn <- deliver <- cursor.next: bytes to send, or wait for the edge to move
//
// Nothing waits for a listener. One that reads slowly keeps what it was being sent,
// to the byte; if it then is too far behind, it goes on at the live edge, and is
// told the whole pulse there. One that takes nothing for long is closed.
//
// The cursor decides what a listener gets and does no I/O; deliver.go does the I/O
// and decides nothing. It has a goroutine for each listener.
package broadcast

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// Options configure a Broadcast. Only Bus is required.
type Options struct {
	Bus     Bus
	Node    string        // name of this node, in the tallies that it publishes
	Backlog time.Duration // audio that a joiner is sent at once; 0: 3 s
	Keep    time.Duration // audio that is kept for late requests; 0: 60 s
	// Slack is how far beyond the backlog a listener may fall behind before it is
	// moved to the live edge; 0: 4 s.
	Slack time.Duration
	// Stall is how long a listener may take nothing before it is closed; 0: 30 s.
	Stall time.Duration
	// Forget is how long a feed is kept that gets no more blocks; its listeners, if
	// it was not the end, are closed then; 0: 60 s.
	Forget  time.Duration
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

	mu        sync.RWMutex // guards what follows
	feeds     map[space.ID]*feed
	listeners map[*listener]struct{} // also those of feeds that are forgotten
	draining  bool                   // nobody is taken any more

	// serving counts the goroutines of listeners. Adding needs mu and !draining.
	serving sync.WaitGroup
}

// New checks the options.
func New(o Options) (*Broadcast, error) {
	if o.Bus == nil {
		return nil, fmt.Errorf("broadcast: no bus to hear blocks on")
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"backlog", &o.Backlog, 3 * time.Second},
		{"keep", &o.Keep, time.Minute},
		{"slack", &o.Slack, 4 * time.Second},
		{"stall", &o.Stall, 30 * time.Second},
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
	b := &Broadcast{opts: o, log: o.Logger, feeds: make(map[space.ID]*feed), listeners: make(map[*listener]struct{})}
	b.limits = limits{backlog: blocksIn(o.Backlog), behind: blocksIn(o.Backlog + o.Slack)}
	b.limits.keep = max(blocksIn(o.Keep), b.limits.behind+1)
	if o.Metrics != nil {
		if err := b.figures.register(o.Metrics); err != nil {
			return nil, fmt.Errorf("broadcast: %w", err)
		}
	}
	return b, nil
}

// blocksIn returns how many blocks make up d, at least one.
func blocksIn(d time.Duration) uint64 {
	const block = time.Second * programme.BlockSamples / programme.SampleRate
	return uint64(max(1, (d+block-1)/block))
}

// Run hears blocks and publishes tallies until ctx is done, then closes what
// listeners are left and waits for them to be gone. Whoever wants them to leave in
// good order calls Drain before.
func (b *Broadcast) Run(ctx context.Context) error {
	stop, err := b.opts.Bus.Subscribe(blockSubject+"*", b.hear)
	if err != nil {
		return fmt.Errorf("broadcast: %w", err)
	}
	defer b.cut()
	defer stop()
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-each.C:
			b.tell(now)
		}
	}
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
	took, err := f.put(block)
	if took {
		b.figures.blocks.Add(1)
	}
	if err != nil {
		b.log.Error("the pulse of a block can't be read: the one before it stays",
			"space", block.Space, "epoch", block.Epoch, "seq", block.Seq, "err", err)
	}
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

// tell publishes how many listen to each space, and forgets feeds that have long
// been silent.
func (b *Broadcast) tell(now time.Time) {
	for _, f := range b.all() {
		if e := f.newest(); e != nil && now.Sub(e.came) > b.opts.Forget {
			b.forget(f)
			continue
		}
		if f.over() {
			continue
		}
		if err := b.publishTally(f); err != nil {
			b.log.Warn("the tally is not published", "space", f.id, "err", err)
		}
	}
}

func (b *Broadcast) publishTally(f *feed) error {
	tally := f.count()
	data, err := json.Marshal(struct {
		Node  string `json:"node"`
		Now   int    `json:"now"`
		Total int    `json:"total"`
	}{b.opts.Node, tally.Now, tally.Total})
	if err != nil {
		return err
	}
	return b.opts.Bus.Publish(tallySubject+string(f.id), data)
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
	b.mu.Lock()
	if b.feeds[f.id] == f {
		delete(b.feeds, f.id)
	}
	b.mu.Unlock()
	if !f.over() {
		b.log.Warn("no block for long: its listeners are closed", "space", f.id, "listeners", f.count().Now)
	}
	f.close()
}

// Ready reports whether listeners of the space can be attached: a block of it is
// here, and not its last one.
func (b *Broadcast) Ready(id space.ID) bool {
	f := b.feed(id)
	return f != nil && f.newest() != nil && !f.over()
}

// Block returns a block as a fragment of MP4 at the top rung, while it is kept.
// The bytes are shared and must not be changed.
func (b *Broadcast) Block(id space.ID, seq uint64) ([]byte, bool) {
	if f := b.feed(id); f != nil {
		if e := f.find(seq); e != nil {
			return e.bytes(form{MP4, programme.Rung48}), true
		}
	}
	return nil, false
}

// Pulse returns the newest pulse of the space, whole, as JSON. The bytes are
// shared and must not be changed.
func (b *Broadcast) Pulse(id space.ID) ([]byte, bool) {
	f := b.feed(id)
	if f == nil {
		return nil, false
	}
	if e := f.newest(); e != nil && len(e.after) > 0 {
		return e.after, true
	}
	return nil, false
}

// Tally returns how many listen to the space on this node.
func (b *Broadcast) Tally(id space.ID) space.Tally {
	if f := b.feed(id); f != nil {
		return f.count()
	}
	return space.Tally{}
}

// Drain takes no more listeners, and lets each of those there go in good order
// after the block that it is being sent. When ctx is done first, the rest are cut.
//
// Errors: that of ctx, if some had to be cut.
func (b *Broadcast) Drain(ctx context.Context) error {
	b.refuse()
	gone := make(chan struct{})
	go func() {
		b.serving.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	b.cut()
	return fmt.Errorf("some listeners did not take their last block: %w", ctx.Err())
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

// cut closes all connections and waits for their goroutines.
func (b *Broadcast) cut() {
	b.refuse()
	b.mu.RLock()
	for l := range b.listeners {
		_ = underneath(l.conn).Close() // its goroutine sees it and tidies up
	}
	b.mu.RUnlock()
	b.serving.Wait()
}
