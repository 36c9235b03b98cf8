package crowd

import (
	"net/url"
	"time"

	"hustings/internal/hearing"
	"hustings/internal/wire"
)

// visit is what a listener needs until its stream is answered. Visits are lent.
type visit struct {
	head wire.Head
	step int    // of the documents; behind the last, the stream
	doc  []byte // the space's JSON as far as it came
}

const (
	about     = 1       // the step at which the space's JSON comes
	mostAbout = 1 << 20 // bytes of it
)

// visits lends them.
type visits struct {
	free []*visit
	all  int
}

func (v *visits) lend() *visit {
	if n := len(v.free); n > 0 {
		last := v.free[n-1]
		v.free = v.free[:n-1]
		return last
	}
	v.all++
	return new(visit)
}

// keptVisits bounds those that are kept when a rush is over.
const keptVisits = 4096

func (v *visits) takeBack(old *visit) {
	if len(v.free) >= keptVisits {
		v.all--
		return
	}
	old.step, old.doc = 0, old.doc[:0]
	v.free = append(v.free, old)
}

// data takes what came on a listener's connection. speak says that the listener has
// something to say on it now. Whoever carries it looks at the listener's turn
// afterwards: the connection may be given up.
func (c *Crowd) data(i int32, now time.Duration, b []byte) (speak bool) {
	l := &c.listeners[i]
	l.came = now
	turn := l.turn
	for len(b) > 0 && l.turn == turn {
		if l.framing.InHead() {
			taken, done, err := l.visit.head.Take(b)
			b = b[taken:]
			if err != nil {
				c.fail(i, now, misread)
				return false
			}
			if !done {
				return false
			}
			c.answered(i, now)
			if l.turn != turn {
				return false
			}
		} else {
			body, rest, err := l.framing.Take(b)
			if err != nil {
				c.fail(i, now, misread)
				return false
			}
			b = rest
			if !c.body(i, now, body) {
				return false
			}
		}
		if l.framing.Complete() {
			break
		}
	}
	if l.turn != turn {
		return false
	}
	if l.stage == joined {
		c.settle(i, now)
	}
	return l.framing.Complete() && c.over(i, now)
}

// body takes a piece of what was asked for. It is false if that ended the connection.
func (c *Crowd) body(i int32, now time.Duration, b []byte) bool {
	l := &c.listeners[i]
	switch {
	case len(b) == 0:
	case l.stage == joined:
		return c.stream(i, now, b)
	case l.visit.step == about && len(l.visit.doc)+len(b) <= mostAbout:
		l.visit.doc = append(l.visit.doc, b...)
	}
	return true
}

// stream takes a piece of the stream.
func (c *Crowd) stream(i int32, now time.Duration, b []byte) bool {
	l := &c.listeners[i]
	c.figures.Bytes += int64(len(b))
	if l.flags.first(hadByte) {
		c.figures.FirstByte.Record(now - l.asked)
	}
	c.play(i, now)
	c.ear.i, c.ear.now = i, now
	if err := l.boxes.Feed(b, &c.pool, &c.ear); err != nil {
		c.log.Debug("a stream is not understood", "err", err)
		c.fail(i, now, misread)
		return false
	}
	return true
}

// answered looks at the head of an answer.
func (c *Crowd) answered(i int32, now time.Duration) {
	l := &c.listeners[i]
	h := &l.visit.head
	l.framing.Begin(h)
	switch asksStream := l.visit.step >= len(c.documents); {
	case h.Status == 200 && asksStream:
		c.to(i, joined)
		c.visits.takeBack(l.visit)
		l.visit, l.redirs = nil, 0
		if l.flags.first(hadJoined) {
			c.figures.EverJoined++
		}
	case h.Status == 200:
	case h.Redirect() && asksStream:
		c.redirected(i, now, h.Location)
	default:
		c.refuse(i, now, h.Status, h.Retry)
	}
}

// refuse takes another answer than the one that was hoped for.
func (c *Crowd) refuse(i int32, now time.Duration, status int, retry time.Duration) {
	l := &c.listeners[i]
	if c.figures.Refused == nil {
		c.figures.Refused = make(map[int]int64)
	}
	c.figures.Refused[status]++
	switch status {
	case 404:
		if l.site == 0 { // an edge may not know the space yet; the page's own server does
			c.giveUp(i, now)
			return
		}
	case 400, 401, 403, 406, 410, 422:
		c.giveUp(i, now)
		return
	}
	c.hang(i)
	if status != 425 { // which says something of the space, and not of the edge
		l.failures.Add(c.sites.list[l.site].url, now)
	}
	c.again(i, now, retry)
}

// redirected goes where an answer points, if that is the same stream elsewhere.
func (c *Crowd) redirected(i int32, now time.Duration, location string) {
	l := &c.listeners[i]
	c.figures.Redirected++
	l.redirs++
	here, err := url.Parse(c.sites.list[l.site].url)
	if err == nil {
		here, err = here.Parse(location)
	}
	if err != nil || l.redirs > mostRedirs || here.Path != "/live/"+string(c.link.Space)+".mp4" {
		c.fail(i, now, misled)
		return
	}
	c.hang(i)
	l.site = c.sites.known(here.Scheme + "://" + here.Host)
	c.dial(i, now)
}

// over goes on behind a complete answer. speak says that it does so on the same
// connection.
func (c *Crowd) over(i int32, now time.Duration) (speak bool) {
	l := &c.listeners[i]
	if l.stage == joined {
		c.ended(i, now)
		return false
	}
	last := l.visit.head.Close
	if l.visit.step == about {
		c.sites.read(l.visit.doc)
	}
	if l.visit.step++; l.visit.step == len(c.documents) {
		c.figures.Documents.Record(now - l.since)
		c.pick(i, now)
	}
	l.visit.doc = l.visit.doc[:0]
	if last || l.site != 0 {
		c.hang(i)
		c.dial(i, now)
		return false
	}
	l.framing = wire.Framing{}
	l.visit.head.Begin()
	return true
}

// closed is called when a connection has ended, for the given reason if it was not
// in good order.
func (c *Crowd) closed(i int32, now time.Duration, why reason) {
	l := &c.listeners[i]
	switch {
	case l.stage == joined && why == cut:
		c.ended(i, now)
	case l.stage == asking && why == cut && l.framing.UntilClose():
		l.visit.head.Close = true
		c.over(i, now)
	default:
		c.fail(i, now, why)
	}
}

// ended is called when the stream is over.
func (c *Crowd) ended(i int32, now time.Duration) {
	if c.listeners[i].flags&toldOver != 0 {
		c.leave(i, now)
		return
	}
	c.fail(i, now, cut)
}

// ear is the sink of the stream that is being read.
type ear struct {
	crowd *Crowd
	i     int32
	now   time.Duration
}

func (e *ear) Init(box []byte) error { return e.crowd.events.Init(box) }

// Event takes what rides beside the sound.
func (e *ear) Event(box []byte) error {
	c := e.crowd
	m, fresh, err := c.events.Look(box)
	if err != nil {
		return err
	}
	l := &c.listeners[e.i]
	if m.Depth > 0 {
		l.depth = m.Depth
		c.figures.Depth = max(m.Depth.Seconds(), 0)
	}
	switch m.Phase {
	case hearing.PhaseOver:
		l.flags |= toldOver
	case hearing.PhaseOn:
		l.flags &^= toldOver
	}
	if fresh && m.Edges != nil {
		c.sites.learn(*m.Edges)
	}
	return nil
}

// Fragment takes a block: is it the one that is due?
func (e *ear) Fragment(f wire.Fragment) error {
	c := e.crowd
	l := &c.listeners[e.i]
	from, to := int64(f.Time), int64(f.Time)+int64(f.Packets)*packetSamples
	if from < l.here {
		c.figures.Repeated++
		return nil
	}
	l.here = to
	if l.end > 0 && from < l.end {
		return nil // the backlog after a reconnect begins with what was heard before
	}
	if l.end > 0 && from > l.end {
		e.missing(from-l.end, int64(int32(f.Seq-l.seq))-1)
	}
	l.seq, l.end = f.Seq, to
	c.figures.Blocks++
	c.ledger.Heard(f, l.boxes.Whole, e.now, &c.figures)
	l.playback.Add(e.now, duration(to-from))
	return nil
}

const (
	packetSamples = 960
	blockSamples  = 25 * packetSamples
)

// missing counts what lies between two blocks: those that were lost on the way, and
// what was never spoken.
func (e *ear) missing(samples, blocks int64) {
	c := e.crowd
	flags := &c.listeners[e.i].flags
	lost := min(samples, max(0, blocks)*blockSamples)
	if lost > 0 {
		c.figures.LostBlocks += blocks
		c.figures.Gaps.Add(float64(lost)/blockRate, flags.first(hadGap))
	}
	if hole := samples - lost; hole > 0 {
		c.figures.Holes.Add(float64(hole)/blockRate, flags.first(hadHole))
	}
}
