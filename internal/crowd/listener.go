package crowd

import (
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"hustings/internal/hearing"
	"hustings/internal/reach"
	"hustings/internal/wire"
)

// stage is where a listener stands.
type stage uint8

const (
	away    stage = iota // has not come yet
	waiting              // between two attempts
	dialing              // a connection is being made
	asking               // a document, or the stream, was asked for
	joined               // the stream was answered: blocks come
	gone                 // will not come again
	stages
)

// reason is why a connection failed.
type reason uint8

const (
	refused     reason = iota // nobody listens there
	unreachable               // no connection came about
	unnamed                   // the server's name has no address
	insecure                  // an edge wants TLS of a crowd that began without
	mute                      // no answer came
	cut                       // it ended before the programme did
	reset                     // it was broken off
	quiet                     // nothing came any more
	dryHere                   // the sound ran dry, and another edge may have it
	misread                   // what came is not what should come
	misled                    // redirected to something else than the stream
	reasons
)

var reasonNames = [reasons]string{
	"connection refused", "no connection", "name unknown", "TLS not expected", "no answer", "ended early",
	"broken off", "fell silent", "sound ran dry", "not understood", "redirected wrongly",
}

// listener is one of the crowd. There may be tens of thousands, so it is kept small;
// what it needs only while a document or half a block is under way is lent to it.
type listener struct {
	fd   int32  // its socket; -1 is none. The carrier's own
	turn uint32 // counts its connections, so that what comes late from an old one is known
	next int32  // behind it in the wheel
	slow int32  // bytes that it reads in a second; 0 is all

	stage  stage
	flags  flags
	tries  uint8  // in a row that were in vain
	site   uint16 // where it listens, or asks
	redirs uint8

	framing wire.Framing // of the answer that comes
	boxes   wire.Boxes   // of the stream
	visit   *visit       // until the stream was answered

	seq  uint32 // of the newest block that was heard
	end  int64  // of that block, in samples; 0 before the first
	here int64  // end of the newest block of this connection

	due      time.Duration // when it comes, or tries again
	since    time.Duration // when it set out
	asked    time.Duration // when it asked for the stream
	came     time.Duration // when anything came, or was begun
	depth    time.Duration // that it was told; 0 is none
	failures reach.Failures
	playback hearing.Playback
}

type flags uint16

const (
	hadAsked flags = 1 << iota // for the stream, once
	hadJoined
	hadByte
	hadSound
	hadGap
	hadDry
	hadHole
	picked   // it knows where to go, and waits until that can be reached
	toldOver // the newest pulse says that the programme is over
)

// first sets a flag and reports whether it was not set before.
func (f *flags) first(flag flags) bool {
	before := *f
	*f |= flag
	return before&flag == 0
}

const blockRate = 48000 // samples a second

func duration(samples int64) time.Duration {
	return time.Duration(samples) * (time.Second / 1000) / (blockRate / 1000)
}

// How long a listener waits, and for what.
const (
	answerWithin = 20 * time.Second // for a connection, and for the first byte of an answer
	deadAfter    = 8 * time.Second  // without a byte, beyond its depth
	nearlyDry    = 300 * time.Millisecond
	silentFor    = 1200 * time.Millisecond // nearly dry and nothing for so long: is the line of the edge up?
	linePatience = 2 * time.Second         // dry at an edge that says it is well
	goodAfter    = 5 * time.Second         // a connection that lasted so long was a good one
	mostRedirs   = 5
)

func (c *Crowd) to(i int32, s stage) {
	l := &c.listeners[i]
	c.now[l.stage]--
	c.now[s]++
	if l.stage == joined {
		c.sites.list[l.site].joined--
	}
	if s == joined {
		c.sites.list[l.site].joined++
	}
	l.stage = s
}

// arrive has a listener set out.
func (c *Crowd) arrive(i int32, now time.Duration) {
	l := &c.listeners[i]
	l.since = now
	c.figures.Arrived++
	l.visit = c.visits.lend()
	c.attempt(i, now)
}

// attempt begins a connection: for the documents, if they are not loaded, else for
// the stream.
func (c *Crowd) attempt(i int32, now time.Duration) {
	l := &c.listeners[i]
	if l.flags&picked != 0 {
		l.flags &^= picked
		c.dial(i, now)
		return
	}
	if l.visit == nil {
		l.visit = c.visits.lend()
		l.visit.step = len(c.documents)
	}
	if l.visit.step < len(c.documents) {
		l.site, l.visit.step = 0, 0
	} else {
		c.pick(i, now)
	}
	c.dial(i, now)
}

// pick says at which edge a listener asks for the stream.
func (c *Crowd) pick(i int32, now time.Duration) {
	l := &c.listeners[i]
	before := l.site
	address, _ := c.sites.edges.Pick(&l.failures, now, rand.Float64())
	l.site, l.asked = c.sites.known(address), now
	if l.flags.first(hadAsked) {
		return
	}
	c.figures.Reconnects++
	if l.site != before {
		c.figures.Moves++
	}
}

func (c *Crowd) dial(i int32, now time.Duration) {
	l := &c.listeners[i]
	l.came, l.framing, l.here = now, wire.Framing{}, 0
	l.boxes.Drop(&c.pool)
	l.boxes.Begin()
	l.visit.head.Begin()
	l.turn++
	c.to(i, dialing)
	switch s := &c.sites.list[l.site]; {
	case s.state == resolving: // it is looked up by another goroutine
		l.flags |= picked
		c.later(i, now+50*time.Millisecond)
	case s.state == unknown:
		c.fail(i, now, unnamed)
	case s.secure && !c.carrier.secure():
		c.fail(i, now, insecure)
	default:
		c.carrier.dial(i)
	}
}

func (c *Crowd) later(i int32, due time.Duration) {
	c.listeners[i].due = due
	c.to(i, waiting)
	c.wheel.add(c.listeners, i)
}

// connected returns what a listener says first on a connection that stands.
func (c *Crowd) connected(i int32, now time.Duration, buf []byte) (request []byte) {
	c.to(i, asking)
	c.listeners[i].came = now
	return c.request(i, buf)
}

// request appends what a listener says now to buf.
func (c *Crowd) request(i int32, buf []byte) []byte {
	l := &c.listeners[i]
	if l.visit.step < len(c.documents) {
		return append(buf, c.documents[l.visit.step]...)
	}
	buf = append(buf, "GET /live/"...)
	buf = append(buf, c.link.Space...)
	buf = append(buf, ".mp4?follow=1&listener="...)
	buf = append(buf, c.prefix...)
	buf = append(buf, '-')
	buf = strconv.AppendInt(buf, int64(i), 36)
	if c.opts.Rung > 0 {
		buf = append(buf, "&rung="...)
		buf = strconv.AppendInt(buf, int64(c.opts.Rung), 10)
	}
	if c.opts.Permit != "" {
		buf = append(buf, "&rehearsal="...)
		buf = append(buf, url.QueryEscape(c.opts.Permit)...)
	}
	return appendHeaders(buf, c.sites.list[l.site].host, "audio/mp4")
}

// requests are those for the documents of a page.
func (c *Crowd) requests(assets bool) (all [][]byte) {
	host := c.sites.list[0].host
	add := func(path, accept string) {
		all = append(all, appendHeaders([]byte("GET "+path), host, accept))
	}
	add("/s/"+string(c.link.Space), "text/html\r\nAccept-Encoding: gzip, deflate, br")
	add("/api/v1/spaces/"+string(c.link.Space), "application/json")
	if assets {
		for _, address := range c.page.Assets {
			if u, err := url.Parse(address); err == nil {
				add(u.RequestURI(), "*/*\r\nAccept-Encoding: gzip, deflate, br")
			}
		}
	}
	return all
}

func appendHeaders(buf []byte, host, accept string) []byte {
	buf = append(buf, " HTTP/1.1\r\nHost: "...)
	buf = append(buf, host...)
	buf = append(buf, "\r\nUser-Agent: hustings-crowd\r\nAccept: "...)
	buf = append(buf, accept...)
	return append(buf, "\r\n\r\n"...)
}

// again has a listener come back later: when the server asked for it, else as the
// page does. A first move to another edge is made at once.
func (c *Crowd) again(i int32, now, asked time.Duration) {
	l := &c.listeners[i]
	if now-l.asked > goodAfter && l.flags&hadJoined != 0 {
		l.tries = 0
	}
	tries := l.tries
	l.tries = min(tries+1, 200)
	moving := false
	if l.visit == nil || l.visit.step >= len(c.documents) {
		moving = tries == 0 && c.sites.edges.Others(c.sites.list[l.site].url, &l.failures, now)
	}
	if moving {
		asked = 0
	} else {
		asked = max(reach.Pause(int(tries)), asked+time.Duration(rand.Float64()/4*float64(asked)))
	}
	c.later(i, now+asked)
}

// hang ends a listener's connection, if it has one.
func (c *Crowd) hang(i int32) {
	l := &c.listeners[i]
	c.carrier.hangup(i)
	l.turn++
	l.boxes.Drop(&c.pool)
}

// fail ends a connection that was no good.
func (c *Crowd) fail(i int32, now time.Duration, why reason) {
	l := &c.listeners[i]
	c.failed[why]++
	c.hang(i)
	l.failures.Add(c.sites.list[l.site].url, now)
	c.again(i, now, 0)
}

// leave has a listener go for good.
func (c *Crowd) leave(i int32, now time.Duration) {
	c.figures.Left++
	c.part(i, now)
}

// giveUp is for a listener who was told that there is nothing to come back for.
func (c *Crowd) giveUp(i int32, now time.Duration) {
	c.figures.GaveUp++
	c.part(i, now)
}

func (c *Crowd) part(i int32, now time.Duration) {
	l := &c.listeners[i]
	c.hang(i)
	c.play(i, now)
	if l.playback.State == hearing.Playing {
		c.hearing--
	}
	if l.playback.State == hearing.Dried {
		c.resumed(i, l.playback.End(now))
	}
	l.playback.State = hearing.Ending
	if l.visit != nil {
		c.visits.takeBack(l.visit)
		l.visit = nil
	}
	c.to(i, gone)
}

// play brings a listener's playback up to now.
func (c *Crowd) play(i int32, now time.Duration) {
	if c.listeners[i].playback.Advance(now) {
		c.hearing--
		c.dry++
	}
}

// resumed counts a time of silence that is over.
func (c *Crowd) resumed(i int32, lasted time.Duration) {
	c.dry--
	c.figures.Dries.Add(lasted.Seconds(), c.listeners[i].flags.first(hadDry))
}

// settle decides how a listener's playback goes on after something came.
func (c *Crowd) settle(i int32, now time.Duration) {
	l := &c.listeners[i]
	depth := l.depth
	if depth == 0 {
		depth = hearing.CalmDepth
	}
	if l.flags&toldOver != 0 { // what is there will do
		depth = 0
	}
	begun, dry := l.playback.Settle(now, depth)
	if begun || dry > 0 {
		c.hearing++
	}
	if begun && l.flags.first(hadSound) {
		c.figures.EverHeard++
		c.figures.FirstSound.Record(now - l.since)
	}
	if dry > 0 {
		c.resumed(i, dry)
	}
}

// look is to be called a few times a second: for what did not happen.
func (c *Crowd) look(i int32, now time.Duration) {
	l := &c.listeners[i]
	switch l.stage {
	case away, gone:
		return
	case dialing, asking:
		if now-l.came > answerWithin {
			c.fail(i, now, map[bool]reason{true: unreachable, false: mute}[l.stage == dialing])
		}
	case joined:
		c.watch(i, now)
	}
	c.play(i, now)
	if state := l.playback.State; l.stage != gone && (state == hearing.Silent || state == hearing.Dried) {
		c.settle(i, now) // it may have waited long enough for more
	}
	if stay := c.opts.Stay; stay != nil && l.stage != gone {
		if d := stay(int(i), len(c.listeners)); d > 0 && now-l.since >= d {
			c.leave(i, now)
		}
	}
}

// watch looks whether the sound still comes to someone who is connected.
func (c *Crowd) watch(i int32, now time.Duration) {
	l := &c.listeners[i]
	site := &c.sites.list[l.site]
	switch quietFor, p := now-l.came, &l.playback; {
	case quietFor > deadAfter+p.Target(max(l.depth, hearing.CalmDepth)) && site.line != reach.LineLost:
		c.fail(i, now, quiet)
	case p.State == hearing.Silent || p.Ahead > nearlyDry || quietFor < silentFor || l.flags&toldOver != 0:
	case !c.sites.asked(l.site, now):
	case site.line == reach.LineDead,
		p.State == hearing.Dried && now-p.Since > linePatience && site.line == reach.LineFine && c.sites.edges.Others(site.url, &l.failures, now):
		c.fail(i, now, dryHere)
	}
	if l.slow > 0 && l.stage == joined {
		c.carrier.pull(i, int(l.slow)/looksPerSecond)
	}
}
