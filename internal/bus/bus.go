// Package bus carries messages between rooms and between nodes, over NATS.
//
// A node alone runs the NATS server inside its own process and opens no port for
// it, unless edges are to join it (server.go); with a URL the same rooms speak to
// another node's server, or to a NATS cluster. Messages are sent once: who is not
// subscribed misses them, and asks for them by a request.
//
//	hustings.block.{space}     blocks, as the stage writes them
//	hustings.blocks.{space}    request {"from":a,"to":b}: blocks that were
//	hustings.snapshot.{space}  request {"seq":n}: what comes before block n
//	hustings.tally.{space}     how many listen, from each broadcast
//	hustings.served.{node}     what a node counts of a rehearsal, while one is on
//	hustings.space.{space}     a space as it is now, from the desk
//	hustings.edge.{name}       an edge is there, once a second
//	hustings.edges             who serves listeners, from the core
//	hustings.ask.{what}        requests of an edge to the core
//
// Publishing never waits: not for a subscriber that is slow (its messages queue up
// to a limit and are then dropped, which the log tells), nor for the network.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Errors of the bus.
var (
	ErrNotReady = errors.New("the bus is not connected")
	ErrFull     = errors.New("the bus is full: the network takes messages slower than they come")
	ErrNoAnswer = errors.New("nobody answers on the bus")
	ErrLost     = errors.New("the bus is lost; it is connected again as soon as it is back")
	ErrRefused  = errors.New("the bus does not know this user and password")
)

// Limits. A message of at most 1 MiB is NATS' own default.
const (
	MaxMessage = 1 << 20

	queueMessages = 4096     // waiting to be sent, while the network is slow
	queueBytes    = 64 << 20 // of them, in bytes

	pendingMessages = 1 << 16   // waiting for one subscriber: one that hangs loses what is
	pendingBytes    = 64 << 20  // more, which is 40 min of one space's blocks, and is told
	pendingServer   = 256 << 20 // on the way from our server to one connection, in all

	retryAfter   = time.Second
	answerWithin = 30 * time.Second // the longest that a request waits for its answer
	drainTime    = 2 * time.Second  // at the end, for what is on its way

	connectTime = 5 * time.Second
	// A connection that says nothing is lost after three pings.
	pingEvery = 2 * time.Second
	pingsLost = 2
)

// Options configure a Bus. Their zero value is a server of our own, in process.
type Options struct {
	Name string // of this node, as NATS' own logs and monitors show it
	// URL of a NATS server or cluster to use instead of our own: nats://, tls://,
	// ws:// or wss://, several separated by commas. It needs credentials: a user and
	// password, or a token, within the URL, or the Credentials file.
	URL         string
	Credentials string // path of a NATS .creds file
	// Listen is the address, HOST:PORT, on which our own server takes edges; "": it
	// takes none. Secret is the password of their user, EdgeUser.
	Listen string
	Secret string
	TLS    *tls.Config  // how Listen speaks TLS; nil: it does not
	Logger *slog.Logger // nil: discard
}

// Bus is the connection to NATS. Its methods may be called by any goroutine.
type Bus struct {
	opts  Options
	log   *slog.Logger
	ready chan struct{}

	out      chan *nats.Msg // to be sent, in order
	outBytes atomic.Int64   // in out

	// Two connections, so that nothing that comes in can hold up what goes out.
	conns   atomic.Pointer[conns]
	address atomic.Pointer[string] // where edges are taken
	refused atomic.Bool            // by the server that was lost, since it is back
}

type conns struct {
	in, out *nats.Conn
	drained <-chan struct{} // closed when in is
}

// New checks the options.
func New(o Options) (*Bus, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		o.Name = "hustings"
	}
	if err := errors.Join(checkURL(o), checkListen(o)); err != nil {
		return nil, err
	}
	return &Bus{
		opts: o, log: o.Logger, ready: make(chan struct{}),
		out: make(chan *nats.Msg, queueMessages),
	}, nil
}

// checkURL refuses a URL that can't work, and one without credentials: whoever
// can reach an open NATS server could speak in any space.
func checkURL(o Options) error {
	if o.URL == "" {
		if o.Credentials != "" {
			return errors.New("credentials for the bus, but no URL of a NATS server to use them with")
		}
		return nil
	}
	if o.Credentials != "" {
		if _, err := os.Stat(o.Credentials); err != nil {
			return fmt.Errorf("credentials for the bus: %w", err)
		}
	}
	for part := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil {
			return errors.New("the bus URL can't be read: give nats://USER:PASSWORD@HOST:PORT") // err would show what may be the password
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return fmt.Errorf("the bus URL %s must begin with nats://, tls://, ws:// or wss://", redacted(u))
		}
		if u.Host == "" {
			return fmt.Errorf("the bus URL %s names no host", redacted(u))
		}
		if u.User == nil && o.Credentials == "" {
			return fmt.Errorf("the bus URL %s has no credentials: put user:password@ before the host, or give a credentials file", redacted(u))
		}
	}
	return nil
}

// redacted is a URL without its user: that may be a token, which is a secret too.
func redacted(u *url.URL) string { return u.Scheme + "://" + u.Host }

// Ready is closed when the bus is connected.
func (b *Bus) Ready() <-chan struct{} { return b.ready }

// Connected reports whether messages come and go at the moment.
func (b *Bus) Connected() bool {
	c := b.conns.Load()
	return c != nil && c.in.IsConnected() && c.out.IsConnected()
}

// Reconnects returns how often the bus was lost and came back. What others published
// meanwhile did not come.
func (b *Bus) Reconnects() uint64 {
	c := b.conns.Load()
	if c == nil {
		return 0
	}
	return c.in.Stats().Reconnects
}

// Run connects and carries messages until ctx is done. What was published by then
// is still sent.
func (b *Bus) Run(ctx context.Context) error {
	var inProcess []nats.Option
	if b.opts.URL == "" {
		own, err := b.startServer(ctx)
		if err != nil {
			return err
		}
		defer own.stop()
		inProcess = own.connectBy()
	}
	c, err := b.connectBoth(ctx, inProcess)
	if err != nil || c == nil {
		return err
	}
	b.conns.Store(c)
	close(b.ready)
	b.send(ctx, c.out)
	b.conns.Store(nil)
	c.close()
	return nil
}

// connectBoth returns nil connections and no error when ctx is done first.
func (b *Bus) connectBoth(ctx context.Context, inProcess []nats.Option) (*conns, error) {
	drained := make(chan struct{})
	closed := sync.OnceFunc(func() { close(drained) })
	in, err := b.connect(ctx, "in", inProcess, nats.ClosedHandler(func(*nats.Conn) { closed() }))
	if err != nil || in == nil {
		return nil, err
	}
	out, err := b.connect(ctx, "out", inProcess)
	if err != nil || out == nil {
		in.Close()
		return nil, err
	}
	return &conns{in: in, out: out, drained: drained}, nil
}

// connect tries until it is connected or refused for good.
func (b *Bus) connect(ctx context.Context, direction string, inProcess []nats.Option, more ...nats.Option) (*nats.Conn, error) {
	options := append(more,
		nats.Name(b.opts.Name+" "+direction),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(retryAfter),
		nats.DrainTimeout(drainTime),
		nats.ErrorHandler(b.onError),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("bus disconnected; trying again until it is back", "direction", direction, "err", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			b.refused.Store(false)
			b.log.Info("bus connected again", "direction", direction, "server", c.ConnectedAddr())
		}),
	)
	if inProcess == nil {
		inProcess = byNetwork()
	}
	options = append(options, inProcess...)
	if b.opts.Credentials != "" {
		options = append(options, nats.UserCredentials(b.opts.Credentials))
	}
	for {
		c, err := nats.Connect(b.opts.URL, options...)
		if err == nil {
			return c, nil
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("connecting to the bus: %w", ErrRefused)
		}
		if b.opts.URL == "" {
			return nil, fmt.Errorf("connecting to the bus: %w", err)
		}
		b.log.Warn("bus can't be reached; trying again", "err", err, "after", retryAfter)
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(retryAfter):
		}
	}
}

// byNetwork is what is so for a connection to a server elsewhere.
func byNetwork() []nats.Option {
	return []nats.Option{
		nats.CustomInboxPrefix(inbox),
		nats.Timeout(connectTime),
		nats.PingInterval(pingEvery),
		nats.MaxPingsOutstanding(pingsLost),
		// Whoever let us in once is tried for ever: a server that is set up anew may
		// not know us yet.
		nats.IgnoreAuthErrorAbort(),
	}
}

func (b *Bus) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrAuthorization) {
		if !b.refused.Swap(true) { // else it would be told each second
			b.log.Error("the bus is back but does not know this user and password; trying again until it does")
		}
		return
	}
	if sub == nil {
		b.log.Error("bus error", "err", err)
		return
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		dropped, _ := sub.Dropped()
		b.log.Error("a subscriber of the bus is too slow: messages for it are dropped",
			"subject", sub.Subject, "dropped", dropped)
		return
	}
	b.log.Error("bus error", "subject", sub.Subject, "err", err)
}

// send hands messages to the network in order, until ctx is done and none is left.
func (b *Bus) send(ctx context.Context, c *nats.Conn) {
	for {
		select {
		case m := <-b.out:
			b.sendOne(c, m)
			continue
		case <-ctx.Done():
		}
		for {
			select {
			case m := <-b.out:
				b.sendOne(c, m)
			default:
				return
			}
		}
	}
}

func (b *Bus) sendOne(c *nats.Conn, m *nats.Msg) {
	b.outBytes.Add(-int64(len(m.Data)))
	if err := c.PublishMsg(m); err != nil {
		b.log.Error("bus lost a message", "subject", m.Subject, "bytes", len(m.Data), "err", err)
	}
}

// close lets what was sent arrive, at subscribers too, before it ends the
// connections.
func (c *conns) close() {
	_ = c.out.FlushTimeout(drainTime) // an error says that the network is gone
	c.out.Close()
	if c.in.FlushTimeout(drainTime) == nil && c.in.Drain() == nil {
		<-c.drained
		return
	}
	c.in.Close()
	<-c.drained
}
