// Package ear turns what one speaker's browser sends into sound: RTP packets of
// Opus, late, twice, out of order or not at all, go in; a frame comes out every 20
// ms, in time. It is jitter (order and delay) and opus (the codec) at work together,
// with RED (RFC 2198), in-band FEC and concealment for what is missing.
package ear

import (
	"fmt"
	"sync"
	"time"

	"github.com/pion/rtp"

	"hustings/internal/jitter"
	"hustings/internal/opus"
)

// Concealment of what did not arrive: an extrapolation, which fades to silence
// before it begins to sound like a machine.
const (
	concealFull = 60 * opus.SampleRate / 1000  // samples before the fade
	concealFade = 100 * opus.SampleRate / 1000 // samples of the fade
	resumeRamp  = 120                          // samples of fade-in after silence: 2.5 ms
)

// quiet is the mean square below which sound may be cut or stretched at any
// place without being heard: -50 dBFS.
const quiet = 1e-5

// voicedPause is how many frames with a voice in them pass between two that are
// cut or stretched, so that speech keeps its rhythm.
const voicedPause = 3

// Ear is one speaker's way in: RTP packets of Opus on one side, frames of 20 ms
// on the other. It puts packets in order and in time, decodes them, and covers
// for those that are missing: with a copy from a RED packet, with the coarse copy
// in the packet that follows (in-band FEC), or with an extrapolation.
//
// Push is for the goroutine that reads the track, Pull for the 20 ms loop; Stats
// is for any. They share the mutex for no longer than it takes to copy one
// packet: decoding is done by Pull alone, outside of it.
type Ear struct {
	channels int
	now      func() time.Time

	mu     sync.Mutex // guards the fields up to the next gap
	buffer *jitter.Buffer
	blocks []redBlock
	count  Stats

	// All below is of the goroutine that pulls.
	decoder *opus.Decoder
	packet  []byte    // a copy of the packet to decode
	pcm     []float32 // what it decodes to
	queue   []float32 // decoded and not yet pulled
	held    []float32 // storage of queue
	covered int       // samples concealed in a row
	voiced  int       // frames until a voiced one may be cut or stretched
}

// Stats tell how a speaker's line is. Counts are of packets.
type Stats struct {
	Received  uint64
	Corrupt   uint64 // not Opus, or not RED: concealed like lost ones
	Lost      uint64 // never came, or too late
	Concealed uint64 // times that something was made up: lost, late or paused
	FEC       uint64 // lost ones brought back from the packet after
	RED       uint64 // lost ones brought back from a RED packet
	Cut       uint64 // samples left out to come nearer to live
	Stretched uint64 // samples put in to wait for late packets
	Depth     time.Duration
	Jitter    time.Duration
}

// New returns an ear whose frames have 1 or 2 channels, whatever is sent.
func New(channels int) (*Ear, error) {
	dec, err := opus.NewDecoder(channels)
	if err != nil {
		return nil, fmt.Errorf("ear: %w", err)
	}
	most := (opus.MaxSamples + opus.FrameSamples + 2*stretchMost) * channels
	e := &Ear{
		channels: channels,
		now:      time.Now,
		buffer:   jitter.New(jitter.Options{}),
		blocks:   make([]redBlock, 0, redMost+1),
		decoder:  dec,
		packet:   make([]byte, 0, 1500),
		pcm:      make([]float32, (opus.MaxSamples+stretchMost)*channels),
		held:     make([]float32, 0, most),
	}
	e.queue = e.held
	return e, nil
}

// Push takes a packet from the network; red says that its payload is RED
// (RFC 2198). The ear keeps no reference to it. What can't be understood is
// counted, and concealed when its time comes.
func (e *Ear) Push(p *rtp.Packet, red bool, arrived time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(p.Payload) == 0 { // padding, sent to probe the network
		return
	}
	if !red {
		e.store(p, p.Payload, 0, 0, arrived)
		return
	}
	blocks, err := parseRED(p.Payload, e.blocks[:0])
	if err != nil {
		e.count.Corrupt++
		return
	}
	// The newest first: it is the one that tells how the stream goes on.
	for i := len(blocks) - 1; i >= 0; i-- {
		e.store(p, blocks[i].data, len(blocks)-1-i, blocks[i].offset, arrived)
	}
}

// store hands one Opus packet to the buffer, which comes before the RTP packet
// that carried it by a number of packets and of samples.
func (e *Ear) store(p *rtp.Packet, payload []byte, before int, offset uint32, arrived time.Time) {
	samples, err := opus.Duration(payload)
	if err != nil {
		if before == 0 && len(payload) > 0 {
			e.count.Corrupt++
		}
		return
	}
	e.buffer.Push(jitter.Packet{
		Source:    p.SSRC,
		Seq:       p.SequenceNumber - uint16(before),
		Timestamp: p.Timestamp - offset,
		Samples:   samples,
		Repeat:    before > 0,
		Payload:   payload,
	}, arrived)
}

// Pull fills the next 20 ms. It returns false, with silence, when the speaker
// sends nothing. It never waits for the network.
func (e *Ear) Pull(frame []float32) bool {
	now := e.now()
	for len(e.queue) < len(frame) && e.refill(now) {
	}
	n := copy(frame, e.queue)
	clear(frame[n:])
	e.queue = e.queue[n:]
	return n > 0
}

// refill adds what comes next to the queue, and returns false if nothing does.
func (e *Ear) refill(now time.Time) bool {
	r, advice := e.take(now)
	switch r.Kind {
	case jitter.Waiting:
		e.covered = concealFull + concealFade
		return false
	case jitter.Play:
		e.play(r.Samples, advice)
	case jitter.Lost:
		if advice == jitter.Shrink { // what is missing is left out best
			e.moved(-r.Samples)
			return true
		}
		e.recover(r)
	default:
		e.conceal(r.Samples)
	}
	return true
}

// take gets what comes next from the buffer, and copies its payload.
func (e *Ear) take(now time.Time) (jitter.Result, jitter.Advice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.buffer.Pull(now)
	e.packet = append(e.packet[:0], r.Packet.Payload...)
	if r.Kind == jitter.Play && r.Packet.Repeat {
		e.count.RED++
	}
	return r, e.buffer.Advice()
}

// play decodes the packet in e.packet.
func (e *Ear) play(samples int, advice jitter.Advice) {
	n, err := e.decoder.Decode(e.packet, e.pcm)
	if err != nil {
		e.tally(func(c *Stats) { c.Corrupt++ })
		e.conceal(samples)
		return
	}
	pcm := e.pcm[:n*e.channels]
	if e.covered >= concealFull+concealFade {
		ramp(pcm[:min(resumeRamp, n)*e.channels], e.channels)
	}
	e.covered = 0
	e.add(e.adjust(pcm, advice))
}

// adjust cuts or stretches decoded sound as the buffer advises.
func (e *Ear) adjust(pcm []float32, advice jitter.Advice) []float32 {
	if e.voiced > 0 {
		e.voiced--
	}
	if advice == jitter.Keep || longest(pcm, e.channels) < stretchLeast {
		return pcm
	}
	still := meanSquare(pcm) < quiet
	if !still && e.voiced > 0 {
		return pcm
	}
	lag, fit := pitch(pcm, e.channels)
	if still {
		lag = longest(pcm, e.channels)
	} else if !fit {
		return pcm
	}
	before := len(pcm)
	if advice == jitter.Shrink {
		pcm = cut(pcm, lag, e.channels)
	} else {
		pcm = stretch(pcm, e.pcm[:cap(e.pcm)], lag, e.channels)
	}
	e.voiced = voicedPause
	e.moved((len(pcm) - before) / e.channels)
	return pcm
}

// recover fills in for a lost packet, by FEC if the one after it is in e.packet.
func (e *Ear) recover(r jitter.Result) {
	if len(r.Packet.Payload) > 0 && opus.HasFEC(e.packet) {
		pcm := e.pcm[:whole(r.Samples)*e.channels]
		if e.decoder.DecodeFEC(e.packet, pcm) == nil {
			e.tally(func(c *Stats) { c.FEC++ })
			e.covered = 0
			e.add(pcm)
			return
		}
	}
	e.conceal(r.Samples)
}

// conceal makes up for samples that are not there.
func (e *Ear) conceal(samples int) {
	samples = whole(samples)
	pcm := e.pcm[:samples*e.channels]
	e.tally(func(c *Stats) { c.Concealed++ })
	if e.covered >= concealFull+concealFade || e.decoder.Conceal(pcm) != nil {
		clear(pcm)
	}
	for i := 0; i < samples; i++ {
		past := e.covered + i - concealFull
		if past <= 0 {
			continue
		}
		gain := max(0, 1-float32(past)/concealFade)
		for c := range e.channels {
			pcm[i*e.channels+c] *= gain
		}
	}
	e.covered = min(e.covered+samples, concealFull+concealFade)
	e.add(pcm)
}

// add appends to the queue.
func (e *Ear) add(pcm []float32) {
	if len(e.queue)+len(pcm) > cap(e.queue) {
		e.queue = append(e.held[:0], e.queue...) // back to the start of its storage
	}
	e.queue = append(e.queue, pcm...)
}

// moved tells the buffer and the counts that samples were put in or left out.
func (e *Ear) moved(samples int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.buffer.Moved(samples)
	if samples < 0 {
		e.count.Cut += uint64(-samples)
	} else {
		e.count.Stretched += uint64(samples)
	}
}

func (e *Ear) tally(count func(*Stats)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	count(&e.count)
}

// Stats returns the counts so far and the state of the line.
func (e *Ear) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, b := e.count, e.buffer.Stats()
	s.Received, s.Lost = b.Received, b.Lost
	s.Depth, s.Jitter = e.buffer.Depth(), b.Jitter
	return s
}

// whole rounds samples to what the decoder can make up: multiples of 2.5 ms, up
// to 120 ms.
func whole(samples int) int {
	return min((samples+119)/120*120, opus.MaxSamples)
}
