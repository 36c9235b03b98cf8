package stage

import (
	"context"
	"math"
	"time"

	"hustings/internal/space"
)

const (
	// catchUp is how late a tick may be and still be mixed. After a longer pause of
	// the whole process the time beyond it goes by as silence, which costs next to
	// nothing, so that the clock is right again within milliseconds.
	catchUp = time.Second
	// levelTicks is how many ticks there are from levels to levels: ten a second.
	levelTicks = 5
	// retryTicks is how many there are from one try to write the final block to the
	// next, should it not be taken.
	retryTicks = 5
)

// loop is the media path of one room: every 20 ms it mixes, encodes and sends, and
// every 25 ticks it writes a block. It waits for nobody. Its goroutine owns it.
type loop struct {
	room    *room
	console *console
	ticks   int
	ending  int // ticks since the space is over
	heard   []space.SeatID
	levels  []level
	broken  time.Time // when a fault was logged last
}

// level is how loud a seat is, in dBFS.
type level struct {
	seat space.SeatID
	db   float64
}

func newLoop(r *room) *loop { return &loop{room: r} }

func (l *loop) run(ctx context.Context) {
	pace(ctx, l.tick)
	if ctx.Err() != nil {
		l.stop()
	}
}

// tick is one beat; false ends the loop.
func (l *loop) tick(late time.Duration) bool {
	c := l.room.cast.Load()
	l.room.own.metrics.tick(late)
	if c.idle && l.mayEnd() {
		return false
	}
	if c.phase.Over() {
		l.conclude(c)
		return true
	}
	if late > catchUp {
		l.skip(c)
	} else if err := l.mix(c); err != nil {
		l.fault("mixing", err)
	}
	if l.ticks++; l.ticks%levelTicks == 0 {
		l.report(c)
	}
	if c.air != nil && c.air.full() {
		l.write(c.air, false)
	}
	return true
}

// mayEnd makes sure that nobody came since the cast was made.
func (l *loop) mayEnd() bool {
	l.room.mu.Lock()
	defer l.room.mu.Unlock()
	if !l.room.cast.Load().idle {
		return false
	}
	l.room.looping = false
	return true
}

// mix is 20 ms of everything.
func (l *loop) mix(c *cast) error {
	if l.console == nil {
		var err error
		if l.console, err = newConsole(l.room.channels()); err != nil {
			return err
		}
	}
	l.console.mix(c)
	var packet []byte
	if c.air != nil {
		var err error
		if packet, err = c.air.tick(l.console.sum, c.phase == space.Live); err != nil {
			return err
		}
	}
	return l.console.listen(c, packet)
}

// skip lets 20 ms go by that nobody was there for.
func (l *loop) skip(c *cast) {
	l.room.own.metrics.skips.Inc()
	if c.air != nil {
		c.air.skip()
	}
	for i := range c.seats {
		if out := c.seats[i].out; out != nil {
			out.Send(nil)
		}
	}
}

// report tells the room who is heard and how loud everybody is.
func (l *loop) report(c *cast) {
	if l.console == nil {
		return
	}
	l.heard, l.levels = l.heard[:0], l.levels[:0]
	for i := range c.seats {
		p := &c.seats[i]
		ch := &l.console.seats[p.slot]
		if p.in == nil || p.muted || ch.strip == nil {
			continue
		}
		l.levels = append(l.levels, level{p.id, math.Round(float64(ch.strip.LevelDB())*10) / 10})
		if ch.audible {
			l.heard = append(l.heard, p.id)
		}
	}
	l.room.report(l.heard, l.levels, time.Now())
}

// write publishes the block of the programme.
func (l *loop) write(a *air, final bool) {
	now := time.Now()
	if err := a.write(l.room.pulse(now), now, final); err != nil {
		l.fault("writing a block", err)
		l.room.own.metrics.lost.Inc()
	} else {
		l.room.own.metrics.blocks.Inc()
	}
	if l.console != nil {
		l.console.account(l.room.own.metrics)
	}
}

// conclude writes the final block when the space is over. If it is not taken it is
// tried again, for without it the recording has no end.
func (l *loop) conclude(c *cast) {
	if c.air == nil || c.air.over {
		return
	}
	if l.ending++; l.ending%retryTicks != 1 {
		return
	}
	if l.write(c.air, true); c.air.over {
		l.room.offAir(c.air)
	}
}

// stop is for a stage that stops while the space goes on: what was said up to now
// is published, and a later start opens a new epoch.
func (l *loop) stop() {
	c := l.room.cast.Load()
	if over := c.phase.Over(); c.air != nil && !c.air.over && (over || c.air.ticks > 0) {
		l.write(c.air, over)
	}
	l.room.stopped()
}

// fault logs what went wrong in the loop, at most once a second.
func (l *loop) fault(doing string, err error) {
	if now := time.Now(); now.Sub(l.broken) >= time.Second {
		l.broken = now
		l.room.own.logger.Error("stage loop: "+doing, "space", l.room.id, "err", err)
	}
}

// report takes over what the loop heard. A seat that left its last connection long
// enough ago goes off the list here.
func (r *room) report(heard []space.SeatID, levels []level, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := r.state.Expire(now)
	if r.state.Speak(heard, now) || gone {
		r.changed()
	}
	if len(r.watchers) == 0 {
		return
	}
	e := LevelsEvent{Levels: make(map[space.SeatID]float64, len(levels))}
	for _, l := range levels {
		e.Levels[l.seat] = l.db
	}
	for w := range r.watchers {
		w.send(e)
	}
}

func (r *room) pulse(now time.Time) space.Pulse {
	edges := r.own.edges()
	r.mu.Lock()
	defer r.mu.Unlock()
	pulse := r.state.Pulse(now)
	pulse.Edges = edges
	return pulse
}

func (r *room) channels() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return channelsOf(r.state.Space())
}

// offAir forgets the programme that ended.
func (r *room) offAir(a *air) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.air == a {
		r.air = nil
		r.changed()
	}
}

// stopped notes that the loop ended because the stages stop.
func (r *room) stopped() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.air, r.looping = nil, false
}

// account adds what the ears lost since the last time to the metrics.
func (k *console) account(m *metrics) {
	for i := range k.seats {
		ch := &k.seats[i]
		if ch.in == nil {
			continue
		}
		now := ch.in.Stats()
		m.packets(ch.earlier, now)
		ch.earlier = now
	}
}
