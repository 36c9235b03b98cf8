package broadcast

import (
	"math/rand/v2"
	"net"
	"time"

	"hustings/internal/delivery"
	"hustings/internal/elastic"
	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/tally"
)

// Listener is a connection that has asked for the programme of a space.
type Listener struct {
	Space  space.ID
	Format Format
	Rung   programme.Rung // the best that it wants
	Conn   net.Conn       // taken over: nobody else reads, writes or closes it any more
	Head   []byte         // the head of the HTTP response, sent first; kept
	Done   func()         // called once, when Conn is closed; may be nil

	Name    string // its token, the same however often it connects; "": unknown
	Follows bool   // it moves towards the depth that it is told (MP4 only)
	// Depth is how far behind the newest sound one plays that follows and was elsewhere
	// before: it goes on where it is. 0: it begins as deep as it is told.
	Depth     time.Duration
	Rehearsal bool // simulated: counted apart
	Relay     bool // it hands the programme on: not counted
}

// Attach takes a listener and returns at once. After an error the connection is
// still the caller's, to answer on.
//
// Errors: a *space.Error: Invalid for a form that does not exist, TooEarly before
// the first block, Gone after the last, Full while the server goes down. Those of
// delivery.
func (b *Broadcast) Attach(l Listener) error {
	as := form{l.Format, l.Rung}
	if !as.valid() {
		return space.Errorf(space.Invalid, "there is no format %q at rung %d", l.Format, l.Rung)
	}
	f, err := b.open(l.Space)
	if err != nil {
		return err
	}
	attached := &listener{to: b, feed: f, done: l.Done, own: as, follows: l.Follows && l.Format == MP4, had: l.Depth}
	switch {
	case l.Relay:
	case l.Rehearsal:
		attached.count, attached.rehearses = &f.rehearsal, true
	default:
		attached.count = &f.audience
	}
	attached.lane.Wait(elastic.Shortest)
	if attached.count != nil {
		attached.count.Join(&attached.lane, hashOf(l.Space, l.Name))
	}
	b.figures.listeners.Add(1)
	if err := b.opts.Delivery.Take(l.Conn, l.Head, attached); err != nil {
		attached.done = nil // the connection is the caller's again
		attached.Gone(delivery.Left)
		return err
	}
	b.figures.joins.Add(1)
	return nil
}

// open returns the feed of a space that listeners can come in to.
func (b *Broadcast) open(id space.ID) (*feed, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	f := b.feeds[id]
	switch {
	case b.draining:
		return nil, space.Errorf(space.Full, "this server is going down; connect again in a few seconds")
	case f == nil || f.newest() == nil:
		return nil, space.Errorf(space.TooEarly, "the programme has not begun here; try again in a second")
	case f.over():
		return nil, space.Errorf(space.Gone, "the programme is over; its recording is up")
	}
	return f, nil
}

// listener is one who is attached: where it stands in its feed, and what is believed
// of it. It is a delivery.Stream, and belongs to the goroutine that delivers to it.
type listener struct {
	to    *Broadcast
	feed  *feed
	done  func()
	count *tally.Count // nil: not counted
	lane  tally.Lane
	model elastic.Model

	next     uint64        // number of the entry that it is sent next
	turn     time.Duration // when its next turn is, since to.began
	interval time.Duration // between its turns
	had      time.Duration // its depth before it came; 0: not known
	offered  offer         // what the last Next had for it

	own       form
	in        bool // the door that it came in by has been begun
	stuck     bool // it stalled, and nothing has been begun since
	follows   bool
	rehearses bool
	told      uint32 // version of the plan that it knows
}

// offer is what the pieces of one Next are.
type offer struct {
	pacing *pacing // what they were made by
	door   *door   // nil: blocks, one piece each, from listener.next on
	lead   int     // pieces before these: one, if the depth is told
	missed uint64  // blocks that are skipped over
}

// Next says what the listener is to be sent now: what it comes in by, or all blocks
// since the last ones. Only between two pieces does it look at the feed, so that what
// was begun is always finished.
func (l *listener) Next(now time.Time, stalled bool, pieces [][]byte) ([][]byte, delivery.Turn) {
	at := now.Sub(l.to.began)
	v := l.feed.view.Load()
	p := l.to.pacing.Load()
	as := form{l.own.Format, max(l.own.Rung, programme.Rung(p.plan.Rung))}
	l.offered = offer{pacing: p}
	had := len(pieces)
	switch {
	case !l.in && v.closed:
		return pieces, delivery.Turn{At: now, Leave: true}
	case !l.in:
		pieces = l.enter(at, as, p, pieces)
	default:
		pieces = l.pace(p, pieces)
		if l.behind(now, v, p, stalled) {
			pieces = l.skipAhead(as, p, pieces)
		} else {
			pieces = l.follow(v, as, pieces)
		}
	}
	if v.final || v.closed { // it has until then to take what there is
		return pieces, delivery.Turn{At: now.Add(max(l.interval, elastic.Shortest)), Leave: true}
	}
	return pieces, delivery.Turn{At: l.to.began.Add(l.schedule(at, p, len(pieces)-had > l.offered.lead))}
}

// enter appends the door for one who joins.
func (l *listener) enter(at time.Duration, as form, p *pacing, pieces [][]byte) [][]byte {
	key := doorKey{joining, l.own.Rung, as}
	if l.follows {
		key.kind = following
	}
	d := l.feed.enter(key, max(l.feed.limits.backlog, p.backlog), p)
	l.offered.door = d
	inHand := time.Duration(d.blocks) * blockTime
	if l.had > 0 {
		inHand = min(inHand, l.had)
	}
	l.model = elastic.Seat(at, inHand, l.follows, p.plan)
	return append(pieces, d.bytes)
}

// pace appends what tells the depth, if that has changed.
func (l *listener) pace(p *pacing, pieces [][]byte) [][]byte {
	if !l.follows || l.told == p.plan.Version {
		return pieces
	}
	l.offered.lead = 1
	return append(pieces, p.event)
}

// behind reports whether the listener has to be moved to the live edge: it stalled
// and more than the newest block has come, or it is slower than the programme and
// what comes next is older than anybody keeps in hand.
func (l *listener) behind(now time.Time, v *view, p *pacing, stalled bool) bool {
	l.stuck = l.stuck || stalled
	switch {
	case l.next+1 >= v.edge:
		return false
	case l.stuck:
		return true
	}
	e := l.feed.at(l.next)
	if e == nil {
		return true
	}
	inHand := max(time.Duration(l.feed.limits.backlog)*blockTime, l.model.Depth(now.Sub(l.to.began), p.plan))
	return now.Sub(e.came) > inHand+l.feed.limits.slack
}

// skipAhead appends the door at the live edge.
func (l *listener) skipAhead(as form, p *pacing, pieces [][]byte) [][]byte {
	d := l.feed.enter(doorKey{skipping, l.own.Rung, as}, 1, p)
	l.offered.door, l.offered.missed = d, d.edge-1-l.next
	return append(pieces, d.bytes)
}

// follow appends all blocks that it has not had. Who plays on over a hole has so much
// less in hand behind it.
func (l *listener) follow(v *view, as form, pieces [][]byte) [][]byte {
	for n := l.next; n < v.edge; n++ {
		e := l.feed.at(n)
		if e == nil { // only after many blocks at once: the next turn skips
			break
		}
		if e.hole > 0 {
			l.model.Lost(e.hole)
		}
		pieces = append(pieces, e.bytes(as))
	}
	return pieces
}

// Begun notes what of the offer is on its way.
func (l *listener) Begun(n int) {
	o := &l.offered
	if n > 0 && o.lead > 0 {
		l.told, n = o.pacing.plan.Version, n-1
		l.model.Told(o.pacing.plan)
	}
	switch {
	case n <= 0:
		return
	case o.door == nil:
		l.next += uint64(n)
	case !l.in:
		l.in, l.next, l.told = true, o.door.edge, o.pacing.plan.Version
	default:
		l.next = o.door.edge
		l.skipped(o.missed)
	}
	l.stuck = false
	l.to.figures.deliveries.Add(1)
}

// skipped notes that blocks were left out.
func (l *listener) skipped(blocks uint64) {
	l.model.Skipped(time.Since(l.to.began))
	l.to.figures.skips.add(blocks)
	if l.rehearses {
		l.feed.lost.add(blocks)
	}
}

// schedule says when the next turn is, in its interval. Turns of all listeners are
// spread evenly: the second one comes anywhere within the interval, and so does the
// first one after the interval has grown by a jump. Who is moved to the live edge has
// next to nothing in hand there, and needs what comes next at once.
func (l *listener) schedule(at time.Duration, p *pacing, something bool) time.Duration {
	moved := l.in && l.offered.door != nil
	if l.in && !moved && at < l.turn-turnSlack {
		return l.turn // it was asked early: for the rest of what it was offered
	}
	if !something {
		l.turn = at + l.soon(at)
		return l.turn
	}
	interval := l.model.Interval(at, p.plan)
	if moved {
		interval = elastic.Shortest // the model learns of it by Begun
	}
	switch {
	case !l.in:
		l.turn = at + dither(interval)
	case moved:
		l.turn = at + interval
	case interval > l.interval+l.interval/4:
		l.turn = at + max(elastic.Shortest, dither(interval))
	case at-l.turn < interval:
		l.turn += interval
	default:
		l.turn = at + interval
	}
	if l.interval != interval {
		l.interval = interval
		l.lane.Wait(interval)
	}
	return l.turn
}

const (
	// turnSlack is how much before its time a turn still is that turn.
	turnSlack = 20 * time.Millisecond
	// A turn to which nothing has come is repeated when the next block should be there,
	// and then ever less often.
	soonest = 20 * time.Millisecond
	latest  = 500 * time.Millisecond
)

// soon is the time to a repeated turn.
func (l *listener) soon(at time.Duration) time.Duration {
	age := latest
	if e := l.feed.newest(); e != nil {
		age = at - e.came.Sub(l.to.began)
	}
	if wait := blockTime + soonest/2 - age; wait > 0 {
		return wait + dither(4*soonest)
	}
	return min(max(soonest, age/8), latest)
}

// dither returns a time of up to d, none more likely than another.
func dither(d time.Duration) time.Duration { return rand.N(d) + 1 }

// Acked counts the listener as one who hears.
func (l *listener) Acked(time.Time) { l.lane.Acked(time.Now()) }

// Gone takes the listener out of the count.
func (l *listener) Gone(why delivery.Reason) {
	if l.count != nil {
		l.count.Part(&l.lane)
	}
	l.to.figures.listeners.Add(-1)
	if why == delivery.Stalled {
		l.to.figures.stalled.Add(1)
	}
	if l.done != nil {
		l.done()
	}
}
