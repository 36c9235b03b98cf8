package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by Take once the loops are drained or have ended.
var ErrClosed = errors.New("delivery takes no more listeners")

// Options configure Loops. All of them may be left out.
type Options struct {
	Loops int           // how many; 0: one for each processor that Go uses
	Stall time.Duration // how long a listener may take nothing before it is closed; 0: 30 s
	// Linger is how long a listener has to close its side after we have ended; 0: 5 s.
	Linger time.Duration
	// SendBuffer bounds what the kernel holds for one listener, in bytes; 0: 64 kB.
	// Left to itself it would take minutes of audio, and who can't keep up would hear
	// the past. 64 kB are 10 s of the top rung: more than a delivery in calm, less than
	// the 144 kB of one every 24 s. Those are finished in two or three writes, as the
	// socket drains: that costs next to nothing at such a pace, while an audience that
	// stalls all at once must not take hundreds of kilobytes of kernel memory each.
	SendBuffer int
	Logger     *slog.Logger // nil: discard
}

// complete checks the options and fills in what was left out.
func (o *Options) complete() error {
	if o.Loops < 0 || o.Stall < 0 || o.Linger < 0 || o.SendBuffer < 0 {
		return fmt.Errorf("delivery: loops (%d), stall (%v), linger (%v) and send buffer (%d) can't be negative",
			o.Loops, o.Stall, o.Linger, o.SendBuffer)
	}
	if o.Loops == 0 {
		o.Loops = runtime.GOMAXPROCS(0)
	}
	if o.Stall == 0 {
		o.Stall = 30 * time.Second
	}
	if o.Linger == 0 {
		o.Linger = 5 * time.Second
	}
	if o.SendBuffer == 0 {
		o.SendBuffer = 64 << 10
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Loops deliver to an audience. Its methods may be called by any goroutine.
type Loops struct {
	opts   Options
	engine *engine
	plain  plain
	crowd  crowd

	// mu guards closed. Take holds it for reading all the time, so that nobody comes
	// in behind those who are let go last.
	mu     sync.RWMutex
	closed bool
}

// New checks the options.
func New(o Options) (*Loops, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &Loops{opts: o, crowd: crowd{empty: make(chan struct{}, 1)}}
	d.engine = newEngine(&d.opts, &d.crowd)
	d.plain = newPlain(&d.opts, &d.crowd)
	return d, nil
}

// Run delivers until ctx is done, then cuts who is still there. Whoever wants them
// to leave in good order calls Drain before. It may be called once.
//
// Errors: what the system refuses at the start.
func (d *Loops) Run(ctx context.Context) error {
	err := d.engine.start()
	if err != nil {
		err = fmt.Errorf("delivery: %w", err)
	} else {
		<-ctx.Done()
	}
	d.refuse() // before the last look at who is there
	d.cut()
	return err
}

// Take takes over a connection whose request has been read: head, the head of the
// response, is sent before anything else. Listeners that are taken before Run begins
// wait for it. After an error the connection is still the caller's.
//
// A loop takes a *net.TCPConn, however wrapped (by NetConn), and a *tls.Conn over a
// connection over TCP that has
//
//	Divert(to io.Writer) error
//
// which must close its own descriptor and from then on send to that writer what is
// written (see package split).
//
// Errors: ErrClosed; those of the system, when there are no descriptors left, say.
func (d *Loops) Take(conn net.Conn, head []byte, s Stream) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return ErrClosed
	}
	taken, err := d.engine.take(conn, head, s)
	if err != nil {
		return fmt.Errorf("delivery: %w", err)
	}
	if !taken {
		d.plain.take(conn, head, s)
	}
	return nil
}

// cut closes all connections, and waits for who served them.
func (d *Loops) cut() {
	d.engine.cut()
	d.plain.cut()
}

func (d *Loops) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// Drain takes no more listeners, and lets each of those there go in good order: it
// is sent what its Stream has for it now, as much of it as its socket takes at once.
// When ctx is done first, the rest are cut.
//
// Errors: that of ctx, if some had to be cut.
func (d *Loops) Drain(ctx context.Context) error {
	d.refuse()
	d.engine.drain()
	d.plain.drain()
	for d.crowd.now.Load() > 0 {
		select {
		case <-d.crowd.empty:
		case <-ctx.Done():
			left := d.crowd.now.Load()
			d.cut()
			return fmt.Errorf("delivery: %d listeners did not take what was under way: %w", left, ctx.Err())
		}
	}
	return nil
}

// crowd counts who is there.
type crowd struct {
	now   atomic.Int64
	empty chan struct{} // told when the last one has gone; holds one
}

func (c *crowd) came() { c.now.Add(1) }

func (c *crowd) went() {
	if c.now.Add(-1) == 0 {
		select {
		case c.empty <- struct{}{}:
		default:
		}
	}
}
