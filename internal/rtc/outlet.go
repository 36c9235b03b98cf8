package rtc

import (
	"sync"

	"github.com/pion/rtp"

	"hustings/internal/opus"
)

// outletDepth is how many packets wait for one subscriber's socket: a quarter of a
// second. A socket that takes longer loses the oldest, since late sound on a stage
// is worse than none.
const outletDepth = 12

// Outlet is the stream of RTP that one subscriber hears. Send puts packets in and
// never waits; a goroutine of the session takes them out and writes. Sequence
// numbers and timestamps run on whoever encoded the packet, and are given at the
// entrance, so that the other end sees a dropped packet as a lost one.
type Outlet struct {
	mu      sync.Mutex // guards the ring: from and count, and the slots between
	slots   [outletDepth]outPacket
	from    int
	count   int
	dropped uint64

	seq  uint16 // of the goroutine that sends
	time uint32 // of the goroutine that sends

	wake   chan struct{}
	closed chan struct{}
	once   sync.Once
}

type outPacket struct {
	seq  uint16
	time uint32
	size int
	data [opus.MaxBytes + 1]byte
}

// NewOutlet returns a stream that begins after the given sequence number and
// timestamp, which are to be random (RFC 3550, section 5.1).
func NewOutlet(seq uint16, time uint32) *Outlet {
	return &Outlet{seq: seq, time: time, wake: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Send takes a copy of an Opus packet of 20 ms; empty lets 20 ms pass unsent. It is
// for one goroutine.
func (o *Outlet) Send(packet []byte) {
	o.time += opus.FrameSamples
	if len(packet) == 0 {
		return
	}
	o.seq++
	o.mu.Lock()
	if o.count == outletDepth {
		o.from = (o.from + 1) % outletDepth
		o.count--
		o.dropped++
	}
	slot := &o.slots[(o.from+o.count)%outletDepth]
	slot.seq, slot.time = o.seq, o.time
	slot.size = copy(slot.data[:], packet)
	o.count++
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take moves the oldest packet to p and reports whether there was one.
func (o *Outlet) take(p *outPacket) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count == 0 {
		return false
	}
	slot := &o.slots[o.from]
	p.seq, p.time, p.size = slot.seq, slot.time, slot.size
	copy(p.data[:p.size], slot.data[:slot.size])
	o.from = (o.from + 1) % outletDepth
	o.count--
	return true
}

// run writes packets until the outlet closes. An error of write is not the end: the
// connection may be between two networks.
func (o *Outlet) run(write func(*rtp.Packet) error) {
	var out outPacket
	var packet rtp.Packet
	for {
		for o.take(&out) {
			packet.Header = rtp.Header{Version: 2, SequenceNumber: out.seq, Timestamp: out.time}
			packet.Payload = out.data[:out.size]
			_ = write(&packet)
		}
		select {
		case <-o.wake:
		case <-o.closed:
			return
		}
	}
}

func (o *Outlet) close() { o.once.Do(func() { close(o.closed) }) }
