// Package tally counts who listens.
//
// A Count is for one space on one node. Each connection has a Lane in it; a lane
// hears while its network acknowledges what it is sent, and all lanes of one token
// are one seat, however often it connects. Once a second a Count is swept, and what
// it then says goes to the others as Messages. A Sum adds up the messages of all
// nodes, and counts each token once in all.
//
//	lane.Sent / lane.Acked          the delivery of one connection
//	count.Join / Part / Pull        who comes and goes
//	count.Sweep -> count.Messages   once a second, on each node
//	sum.Add(message) -> sum.At(now) where it is told to everybody
//
// # What is exact, and what is not
//
// A connection that dies without a word is counted until a delivery has gone
// unacknowledged for the interval between two deliveries and 5 s more. One who pulls
// (HLS) is counted for 15 s after each request. A node that falls silent is counted
// for 5 s. One token that listens through two nodes at once is two now, and one in
// total. Who gives no token is one for each connection.
//
// In total, tokens are exact up to Most of them; of more, a sample by hash is kept,
// whose error is 0.12% (one standard deviation, at worst). That bounds what a count
// remembers of tokens at about 40 MB, and the same on the side of the sum; who listens
// now takes about 100 bytes more.
package tally

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

const (
	// Grace is what a lane may take to acknowledge, beyond the interval between two of
	// its deliveries.
	Grace = 5 * time.Second
	// Pulled is how long one who pulls is counted after a request.
	Pulled = 15 * time.Second
	// Silence is how long a node that tells nothing more is counted.
	Silence = 5 * time.Second
)

// Tally is how many listen.
type Tally struct {
	Now   int
	Peak  int
	Total int
}

// Hash names the holder of a token in a space. It is never 0, which stands for none.
func Hash(space, token string) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(space) // never fails
	_, _ = d.WriteString("\x00")
	_, _ = d.WriteString(token)
	return max(d.Sum64(), 1)
}

// Lane is one connection in a count. The goroutine that delivers to it calls Wait and
// Acked; nobody else changes it. Its zero value is ready to join.
type Lane struct {
	acked atomic.Int64 // when something was last acknowledged, in Unix nanoseconds; 0: never
	grace atomic.Int64 // nanoseconds after that in which it is believed to hear

	// The count's, guarded by it.
	seat    *seat // nil for one without a token
	at      int   // index in the count's lanes
	counted bool  // in the total
}

// Wait says how much time may lie between two deliveries.
func (l *Lane) Wait(interval time.Duration) {
	if grace := int64(interval + Grace); l.grace.Load() != grace {
		l.grace.Store(grace)
	}
}

// Acked notes that something was acknowledged.
func (l *Lane) Acked(now time.Time) { l.acked.Store(now.UnixNano()) }

func (l *Lane) heard() bool { return l.acked.Load() != 0 }

func (l *Lane) hears(now int64) bool {
	at := l.acked.Load()
	return at != 0 && now-at < l.grace.Load()
}

// seat is one token that listens.
type seat struct {
	hash    uint64
	lanes   int
	pulled  int64 // when it last pulled, in Unix nanoseconds; 0: never
	sweep   uint64
	counted bool
}

// Count counts the listeners of one space on one node. Its methods may be called by
// any goroutine.
type Count struct {
	mu        sync.Mutex // guards what follows
	lanes     []*Lane
	seats     map[uint64]*seat // by hash
	tokens    Set              // that ever heard
	fresh     []uint64         // of them, not told yet
	anonymous int              // without a token, that ever heard
	sweeps    uint64
	pulling   int // seats that pulled lately
	hls       int // seats at the last sweep that pulled and have no lane that hears
	tally     Tally
}

// Join adds a lane, of the token with this hash; 0: without one.
func (c *Count) Join(l *Lane, hash uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.at = len(c.lanes)
	c.lanes = append(c.lanes, l)
	if hash != 0 {
		l.seat = c.seat(hash)
		l.seat.lanes++
	}
}

// Part takes a lane out.
func (c *Count) Part(l *Lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admit(l) // it may have come and gone between two sweeps
	last := len(c.lanes) - 1
	c.lanes[l.at], c.lanes[last].at = c.lanes[last], l.at
	c.lanes[last] = nil
	c.lanes = c.lanes[:last]
	if l.seat == nil {
		return
	}
	if l.seat.lanes--; l.seat.lanes == 0 && l.seat.pulled == 0 {
		delete(c.seats, l.seat.hash)
	}
}

// Pull notes that the token with this hash has fetched something to hear.
func (c *Count) Pull(hash uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.seat(hash)
	if s.pulled == 0 {
		c.pulling++
	}
	s.pulled = now.UnixNano()
	c.admitSeat(s)
}

func (c *Count) seat(hash uint64) *seat {
	s := c.seats[hash]
	if s == nil {
		if c.seats == nil {
			c.seats = make(map[uint64]*seat)
		}
		s = &seat{hash: hash}
		c.seats[hash] = s
	}
	return s
}

// admit counts a lane in the total once it has heard something.
func (c *Count) admit(l *Lane) {
	if l.counted || !l.heard() {
		return
	}
	l.counted = true
	if l.seat == nil {
		c.anonymous++
		return
	}
	c.admitSeat(l.seat)
}

func (c *Count) admitSeat(s *seat) {
	if s.counted {
		return
	}
	s.counted = true
	if c.tokens.Add(s.hash) {
		c.fresh = append(c.fresh, s.hash)
	}
}

// Sweep looks at all lanes and returns how many hear.
func (c *Count) Sweep(at time.Time) Tally {
	now := at.UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeps++
	hearing := 0
	for _, l := range c.lanes {
		if !l.counted {
			c.admit(l)
		}
		switch {
		case !l.hears(now):
		case l.seat == nil:
			hearing++
		case l.seat.sweep != c.sweeps:
			l.seat.sweep = c.sweeps
			hearing++
		}
	}
	c.hls = c.sweepPulled(now)
	c.tally.Now = hearing + c.hls
	c.tally.Peak = max(c.tally.Peak, c.tally.Now)
	c.tally.Total = c.anonymous + c.tokens.Len()
	return c.tally
}

// sweepPulled counts those who pull, and forgets those who no longer do.
func (c *Count) sweepPulled(now int64) (hearing int) {
	if c.pulling == 0 {
		return 0
	}
	for hash, s := range c.seats {
		if s.pulled != 0 && now-s.pulled >= int64(Pulled) {
			s.pulled = 0
			c.pulling--
		}
		switch {
		case s.pulled != 0 && s.sweep != c.sweeps:
			hearing++
		case s.pulled == 0 && s.lanes == 0:
			delete(c.seats, hash)
		}
	}
	return hearing
}

// Tally returns what the last sweep found.
func (c *Count) Tally() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally
}
