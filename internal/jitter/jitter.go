// Package jitter puts packets of audio back in order and in time. It knows RTP's
// sequence numbers and timestamps, but no codec and no clock: time is passed in.
//
// A receiver pushes packets as they arrive and pulls one whenever it is about to
// run out of samples. The buffer plays a packet late by a delay that is just
// long enough for nearly all packets to be there: it measures how much later
// than the fastest ones packets arrive, and follows a high quantile of that.
// When the delay in use is off (the network changed, or the sender's clock runs
// faster or slower than ours), Advice says so, and the receiver leaves out or
// puts in sound where nobody hears it.
//
//	Push(packet, now)                     from the network
//	Pull(now) -> Play      decode the packet
//	             Lost      conceal; the packet after it may help
//	             Pause     the sender paused (DTX): silence
//	             Empty     nothing has arrived in time: conceal
//	             Waiting   nothing to play (yet)
//
// A packet that did not arrive in time is not lost while nothing newer is there:
// playing waits for it, and the delay has grown by the wait. When newer ones are
// there, the wait counts as the missing packet's own time, so that a loss costs
// no delay.
package jitter

import "time"

// Options configure a Buffer. The zero value is for Opus.
type Options struct {
	Rate   int           // timestamp units a second; 0 means 48000
	Min    time.Duration // least delay aimed at; 0 means 20 ms
	Max    time.Duration // most audio that is kept; 0 means 400 ms
	Give   time.Duration // how long to wait for a stream that fell silent before starting anew; 0 means 500 ms
	Packet time.Duration // assumed length of a packet before the first one came; 0 means 20 ms
}

// Packet is one packet of a stream.
type Packet struct {
	Source    uint32 // who sends: another source starts a new stream (the SSRC)
	Seq       uint16
	Timestamp uint32 // of the first sample
	Samples   int    // per channel
	Repeat    bool   // a copy that came in another packet: it says nothing about the network
	Payload   []byte
}

// Kind is what Pull found.
type Kind uint8

// The kinds of result.
const (
	Waiting Kind = iota // no stream, or its first packets have not waited long enough
	Play                // Packet is due
	Lost                // Samples are missing; Packet, if it has a payload, is the one right after
	Pause               // Samples of silence that the sender did not send
	Empty               // the packet that is due has not come; Samples to bridge
)

// Result is what to play next. Its payload is valid until the next Push or Pull.
type Result struct {
	Kind    Kind
	Samples int
	Packet  Packet
}

// Advice is what the receiver should do to bring the delay to where it belongs.
type Advice uint8

// The kinds of advice.
const (
	Keep   Advice = iota
	Shrink        // leave out a packet's worth of sound
	Grow          // put in a packet's worth of sound
)

// Stats count packets since New.
type Stats struct {
	Received  uint64 // stored for playing
	Late      uint64 // came after their time: not played
	Duplicate uint64
	Lost      uint64 // reported by Pull as Lost
	Dropped   uint64 // left out because more than Max was kept
	Empty     uint64 // times that Pull had nothing in time
	Restarts  uint64
	Delay     time.Duration // in use, beyond that of the fastest packets
	Target    time.Duration // aimed at
	Jitter    time.Duration // quantile of how late packets come
}

// slots is how many packets fit: more than a second of the shortest ones.
const slots = 128

// usualPayload is the room that a slot has for a payload before it must grow, so
// that it hardly ever does: 20 ms at 100 kb/s, in bytes.
const usualPayload = 256

// Buffer is the jitter buffer of one stream. It is not safe for concurrent use,
// and allocates nothing once its slots have held a packet each.
type Buffer struct {
	o     Options
	ring  [slots]slot
	count int

	source  uint32
	started bool // a packet has come
	playing bool
	origin  time.Time // of arrivals
	newest  position  // of the newest packet
	first   int64     // sequence number that plays next, extended
	pos     int64     // its timestamp, extended
	length  int       // samples of a packet, as the last one had
	waited  int       // samples bridged while waiting for the packet at pos

	suspect position // of a packet that does not fit the stream
	doubted bool

	delays delays
	stats  Stats
}

// position is where a packet stands in a stream, free of wrapping.
type position struct{ seq, ts int64 }

// slot holds a packet, or nothing.
type slot struct {
	full   bool
	at     position
	packet Packet
}

// New returns an empty buffer.
func New(o Options) *Buffer {
	if o.Rate == 0 {
		o.Rate = 48000
	}
	if o.Min == 0 {
		o.Min = 20 * time.Millisecond
	}
	if o.Max == 0 {
		o.Max = 400 * time.Millisecond
	}
	if o.Give == 0 {
		o.Give = 500 * time.Millisecond
	}
	if o.Packet == 0 {
		o.Packet = 20 * time.Millisecond
	}
	b := &Buffer{o: o}
	b.delays.reset()
	b.length = b.samples(o.Packet)
	return b
}

// Stats returns the counts and the delay.
func (b *Buffer) Stats() Stats {
	s := b.stats
	s.Target, s.Jitter = b.target(), b.delays.late
	s.Delay, _ = b.delays.inUse()
	return s
}

// Depth returns how much audio is kept, from the next sample to the newest.
func (b *Buffer) Depth() time.Duration {
	if b.count == 0 {
		return 0
	}
	p := b.next()
	return b.duration(b.newest.ts + int64(b.length) - p.at.ts)
}

// Push takes a packet that arrived now. The payload is copied. It reports
// whether the packet will be played: late ones, duplicates and the first stray
// packet of an unlikely sequence number are not.
func (b *Buffer) Push(p Packet, now time.Time) bool {
	if p.Samples <= 0 {
		return false
	}
	if !b.started || p.Source != b.source {
		b.restart(p, now)
	}
	at := b.locate(p)
	if !b.plausible(at, p, now) {
		return false
	}
	if at = b.locate(p); !p.Repeat {
		b.delays.arrived(now.Sub(b.origin) - b.duration(at.ts))
	}
	if at.seq < b.first || !b.makeRoom(at.seq) {
		if !p.Repeat {
			b.stats.Late++
		}
		return false
	}
	return b.store(at, p)
}

// restart forgets the stream before and begins one at p.
func (b *Buffer) restart(p Packet, now time.Time) {
	if b.started {
		b.stats.Restarts++
	}
	b.empty()
	b.delays.reset()
	b.started, b.playing, b.doubted = true, false, false
	b.source, b.origin = p.Source, now
	// Extended numbers start high enough that packets from before the first one
	// do not fall below zero.
	b.newest = position{seq: int64(p.Seq) + 1<<16, ts: int64(p.Timestamp) + 1<<32}
	b.first, b.length, b.waited = 0, p.Samples, 0
}

func (b *Buffer) empty() {
	for i := range b.ring {
		b.ring[i].full = false
	}
	b.count = 0
}

// locate extends a packet's numbers to the ones nearest the newest packet's.
func (b *Buffer) locate(p Packet) position {
	return position{
		seq: b.newest.seq + int64(int16(p.Seq-uint16(b.newest.seq))),
		ts:  b.newest.ts + int64(int32(p.Timestamp-uint32(b.newest.ts))),
	}
}

// plausible tells a stream that goes on from a sender that started over with the
// same source: its numbers jump, or its clock does. One stray packet is not
// believed; the second that fits it restarts the stream (RFC 3550, appendix A.1).
func (b *Buffer) plausible(at position, p Packet, now time.Time) bool {
	const (
		misorder = 100  // packets
		dropout  = 3000 // packets
		leap     = time.Second
	)
	// A timestamp is off when it is more than a second from where the packet's
	// arrival puts it: pauses and losses take their own time, a leap does not.
	transit := now.Sub(b.origin) - b.duration(at.ts)
	base, known := b.delays.fastest()
	off := known && (transit > base+4*leap || transit < base-leap)
	if d := at.seq - b.newest.seq; d > -misorder && d < dropout && !off {
		b.doubted = false
		return true
	}
	if p.Repeat {
		return false
	}
	if b.doubted && at.seq == b.suspect.seq+1 && at.ts >= b.suspect.ts && at.ts-b.suspect.ts < int64(b.o.Rate) {
		b.restart(p, now)
		return true
	}
	b.suspect, b.doubted = at, true
	return false
}

// makeRoom moves the oldest packets out if the new one needs their slots, and
// reports whether the new one has a place at all.
func (b *Buffer) makeRoom(seq int64) bool {
	for b.count > 0 {
		oldest := b.next().at.seq
		if seq-oldest < slots {
			return oldest-seq < slots && b.newest.seq-seq < slots
		}
		b.drop()
	}
	return true
}

// store puts the packet into its slot.
func (b *Buffer) store(at position, p Packet) bool {
	s := &b.ring[at.seq%slots]
	if s.full {
		if !p.Repeat {
			b.stats.Duplicate++
		}
		return false
	}
	payload := s.packet.Payload[:0]
	if cap(payload) < len(p.Payload) {
		payload = make([]byte, 0, max(len(p.Payload), usualPayload))
	}
	payload = append(payload, p.Payload...)
	s.full, s.at, s.packet = true, at, p
	s.packet.Payload = payload
	b.count++
	b.stats.Received++
	if at.seq >= b.newest.seq {
		b.newest = at
		b.length = p.Samples
	}
	return true
}

// next returns the slot of the oldest packet; there must be one.
func (b *Buffer) next() *slot {
	for seq := max(b.newest.seq-slots+1, b.first); ; seq++ {
		if s := &b.ring[seq%slots]; s.full && s.at.seq == seq {
			return s
		}
	}
}

// drop leaves out the oldest packet.
func (b *Buffer) drop() {
	s := b.next()
	s.full = false
	b.count--
	b.stats.Dropped++
	b.passed(s)
}

// passed moves the playing position behind a packet.
func (b *Buffer) passed(s *slot) {
	b.first = s.at.seq + 1
	b.pos = s.at.ts + int64(s.packet.Samples)
	b.waited = 0
}

func (b *Buffer) duration(samples int64) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(b.o.Rate)
}

func (b *Buffer) samples(d time.Duration) int {
	return int(d * time.Duration(b.o.Rate) / time.Second)
}
