package crowd

import (
	"context"
	"maps"
	"time"
	"unsafe"

	"hustings/internal/client"
	"hustings/internal/hearing"
)

// carrier carries bytes between listeners and servers. Its methods are called under
// the crowd's lock; it calls connected, data and closed under it too.
type carrier interface {
	// run carries until the crowd is over, or ctx ends.
	run(ctx context.Context) error
	// dial begins a connection for a listener, which has none.
	dial(i int32)
	// hangup ends it, if there is one. Nothing that comes from it is told any more.
	hangup(i int32)
	// pull reads up to n bytes for a slow listener.
	pull(i int32, n int)
	// secure reports whether it speaks TLS.
	secure() bool
}

// Each listener is looked at twice a second, a part of them at each tick.
const (
	tick           = 10 * time.Millisecond
	looksPerSecond = 2
	ticksPerLook   = int(time.Second / looksPerSecond / tick)
)

// tick does what is due by now. It returns true once the crowd is over.
func (c *Crowd) tick(ctx context.Context, now time.Duration) (over bool) {
	if ctx.Err() != nil || c.opts.Hold > 0 && now >= c.last+c.opts.Hold {
		for i := range c.listeners {
			if s := c.listeners[i].stage; s != gone && s != away {
				c.leave(int32(i), now)
			}
		}
		return true
	}
	c.arrivals(now)
	c.wheel.due(c.listeners, now, func(i int32) {
		if c.listeners[i].stage == waiting {
			c.attempt(i, now)
		}
	})
	n := len(c.listeners)
	for i := n * c.share / ticksPerLook; i < n*(c.share+1)/ticksPerLook; i++ {
		c.look(int32(i), now)
	}
	c.share = (c.share + 1) % ticksPerLook
	return c.now[gone] == int64(len(c.listeners))
}

// arrivals has those set out whose time has come.
func (c *Crowd) arrivals(now time.Duration) {
	for ; c.came < len(c.order); c.came++ {
		i := c.order[c.came]
		due := c.listeners[i].due
		if due > now {
			break
		}
		c.meter.Overdue(now - due)
		c.arrive(i, now)
	}
}

// each second, the meter and whoever wants the figures are served.
func (c *Crowd) second(now time.Duration) {
	c.meter.Second(now, c.figures.Bytes)
	if c.opts.OnTick != nil {
		c.opts.OnTick(c.snapshot(now))
	}
}

// snapshot returns the figures as they are.
func (c *Crowd) snapshot(now time.Duration) Figures {
	f := c.figures
	f.Taken, f.Seconds = time.Now().UTC(), now.Seconds()
	f.Asked = int64(len(c.listeners))
	f.Waiting, f.Connecting, f.Joined = c.now[waiting], c.now[dialing]+c.now[asking], c.now[joined]
	f.Hearing, f.Dry = c.hearing, c.dry
	f.NeverHeard = f.Arrived - f.EverHeard
	f.Refused = maps.Clone(f.Refused)
	f.Failed = nil
	for why, n := range c.failed {
		if n > 0 {
			f.Failed = hearing.Sum(f.Failed, map[string]int64{reasonNames[why]: n})
		}
	}
	f.Unproven += c.ledger.Unsettled()
	f.Edges = nil
	for _, s := range c.sites.list {
		if s.joined > 0 {
			f.Edges = hearing.Sum(f.Edges, map[string]int64{s.url: s.joined})
		}
	}
	f.Documents, f.FirstByte, f.FirstSound = f.Documents.Clone(), f.FirstByte.Clone(), f.FirstSound.Clone()
	f.BytesPerSecond = c.meter.Rate()
	f.Generator = c.meter.Generator(cpuSeconds())
	f.Generator.Memory = c.memory()
	return f
}

// memory is what is held for listeners: themselves, and what is lent to them.
func (c *Crowd) memory() int64 {
	const each = int(unsafe.Sizeof(listener{})) + int(unsafe.Sizeof(int32(0)))
	return int64(len(c.listeners)*each + c.visits.all*int(unsafe.Sizeof(visit{})) + c.pool.Memory())
}

// Blocks are proven as often as checkpoints come.
const proveEvery = 5 * time.Second

// prove holds what was heard against the log, until ctx ends.
func (c *Crowd) prove(ctx context.Context, prover *client.Prover) {
	each := time.NewTicker(proveEvery)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-each.C:
			c.proveSome(ctx, prover)
			c.mu.Lock()
			c.ledger.Forget(c.time(), &c.figures)
			c.mu.Unlock()
		}
	}
}

// proveSome proves what can be proven now, and returns how many blocks are left.
func (c *Crowd) proveSome(ctx context.Context, prover *client.Prover) (left int) {
	c.mu.Lock()
	keys, blocks := c.ledger.Waiting()
	c.mu.Unlock()
	verdicts, err := prover.Judge(ctx, blocks)
	if err != nil {
		c.log.Debug("not everything that was heard is proven yet", "reason", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Judge(keys, verdicts, &c.figures)
	for _, v := range verdicts {
		if v == hearing.Waiting {
			left++
		}
	}
	return left
}

// checkpointWithin is the longest time until a checkpoint covers a block.
const checkpointWithin = 6 * time.Second

// proveRest proves what is left at the end. With patience it waits for the
// checkpoint that covers the newest block.
func (c *Crowd) proveRest(ctx context.Context, prover *client.Prover, patient bool) {
	within := 2 * time.Second
	if patient {
		within = checkpointWithin
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for c.proveSome(ctx, prover) > 0 && patient {
		select {
		case <-ctx.Done():
			patient = false
		case <-time.After(500 * time.Millisecond):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.Close(&c.figures)
}
