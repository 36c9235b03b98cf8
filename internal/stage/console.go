package stage

import (
	"hustings/internal/ear"
	"hustings/internal/mix"
	"hustings/internal/opus"
	"hustings/internal/space"
)

// source is where a seat's sound comes from: an ear, or a tone in a test.
type source interface {
	// Pull fills the next 20 ms. It never waits: without sound it fills silence and
	// returns false.
	Pull(frame []float32) bool
	Stats() ear.Stats
}

// cast is what the 20 ms loop needs to know of a stage. It is immutable: the room
// makes a new one at every change and the loop picks it up with its next tick, so
// that the loop takes no lock to mix.
type cast struct {
	phase space.Phase
	idle  bool // nobody has a seat and nothing is on air: the loop may end
	air   *air // nil while there is no programme
	seats []part
}

// part is one seat in the cast.
type part struct {
	id    space.SeatID
	slot  int
	muted bool
	in    source  // nil without a microphone
	out   monitor // nil without a monitor
}

// monitor takes the packets of what a seat hears, and never waits: an outlet, or a
// tape in a test.
type monitor interface{ Send(packet []byte) }

// Rates of what those on stage hear. They are few and close to the server, so
// there is no ladder.
const (
	monitorMono   = 48000
	monitorStereo = 64000
)

// console mixes: the frames of those on stage in, the mix of the whole stage and
// the packets for each person's own ears out. It belongs to the loop's goroutine.
type console struct {
	channels int
	bus      *mix.Bus
	seats    [space.MaxSeats]channel
	sum      []float32 // the whole stage, this tick
	scratch  []float32
	heard    []float32 // the whole stage of the last tick, limited
	stage    *voice    // the whole stage, for those who are silent
}

// channel is what the console keeps for a slot.
type channel struct {
	id      space.SeatID // who sits here
	in      source       // the microphone of the last tick
	strip   *mix.Strip
	frame   []float32
	audible bool
	muted   bool   // in the tick before
	own     *voice // the mix without this seat; nil until it is heard for the first time
	earlier ear.Stats
}

func newConsole(channels int) (*console, error) {
	k := &console{
		channels: channels,
		bus:      mix.NewBus(channels),
		sum:      make([]float32, channels*mix.FrameSamples),
		scratch:  make([]float32, channels*mix.FrameSamples),
		heard:    make([]float32, channels*mix.FrameSamples),
	}
	var err error
	k.stage, err = newVoice(channels)
	return k, err
}

// mix takes one tick of everybody's sound and leaves the mix of all in k.sum.
func (k *console) mix(c *cast) {
	k.bus.Begin()
	for i := range k.seats {
		k.seats[i].audible = false
	}
	for i := range c.seats {
		p := &c.seats[i]
		ch := k.sit(p)
		if p.in == nil {
			continue
		}
		// A muted microphone is emptied all the same, so that what is heard after
		// unmuting is now and not what was said meanwhile.
		p.in.Pull(ch.frame)
		closing, opening := p.muted && !ch.muted, !p.muted && ch.muted
		switch ch.muted = p.muted; {
		case closing || opening:
			fade(ch.frame, k.channels, closing)
		case p.muted:
			clear(ch.frame)
		}
		ch.strip.Process(ch.frame)
		if ch.strip.Audible() && (closing || !p.muted) {
			ch.audible = !p.muted
			k.bus.Add(p.slot, ch.frame)
		}
	}
	k.bus.Sum(k.sum)
}

// fade lets a frame end in silence, or begin in it, so that muting does not click.
func fade(frame []float32, channels int, out bool) {
	for i := range frame {
		gain := float32(i/channels+1) / mix.FrameSamples
		if out {
			gain = 1 - gain
		}
		frame[i] *= gain
	}
}

// sit returns the channel of the part's slot, cleared if someone else sat there.
func (k *console) sit(p *part) *channel {
	ch := &k.seats[p.slot]
	if ch.strip == nil {
		ch.strip = mix.NewStrip(k.channels)
		ch.frame = make([]float32, k.channels*mix.FrameSamples)
	}
	if ch.id != p.id {
		ch.id, ch.own = p.id, nil
		ch.strip.Reset()
	}
	if ch.in != p.in {
		ch.in, ch.earlier = p.in, ear.Stats{}
	}
	return ch
}

// listen sends everybody the stage as they are to hear it: those who are heard a
// mix without themselves, encoded for them alone, and all others the same packets
// of the whole stage. Those are the programme's if it is that mix (programme is
// not nil), and else encoded here, if there is anyone to hear them.
func (k *console) listen(c *cast, programme []byte) error {
	for i := range c.seats {
		p := &c.seats[i]
		if ch := &k.seats[p.slot]; p.out != nil && ch.audible {
			if err := k.minus(p, ch); err != nil {
				return err
			}
		} else if ch.own != nil {
			ch.own.rest()
		}
	}
	shared, err := k.whole(c, programme)
	if err != nil {
		return err
	}
	for i := range c.seats {
		p := &c.seats[i]
		if p.out != nil && !k.seats[p.slot].audible {
			p.out.Send(shared)
		}
	}
	return nil
}

// minus sends a seat the mix without itself.
func (k *console) minus(p *part, ch *channel) (err error) {
	if ch.own == nil {
		if ch.own, err = newVoice(k.channels); err != nil {
			return err
		}
	}
	if !ch.own.awake {
		ch.own.limiter.CopyFrom(k.stage.limiter) // until now they heard that mix
		if err := ch.own.wake(k.heard); err != nil {
			return err
		}
	}
	k.bus.Minus(p.slot, k.scratch)
	packet, err := ch.own.encode(k.scratch)
	if err != nil {
		return err
	}
	p.out.Send(packet)
	return nil
}

// whole returns the packet of the whole stage; nil if nobody is to hear it. Its
// limiter runs all the time, so that a mix of one's own can go on from it.
func (k *console) whole(c *cast, programme []byte) ([]byte, error) {
	needed := false
	for i := range c.seats {
		needed = needed || (c.seats[i].out != nil && !k.seats[c.seats[i].slot].audible)
	}
	if programme != nil || !needed {
		copy(k.heard, k.sum)
		k.stage.limiter.Process(k.heard)
		k.stage.rest()
		return programme, nil
	}
	if err := k.stage.wake(k.heard); err != nil {
		return nil, err
	}
	copy(k.heard, k.sum)
	return k.stage.encode(k.heard)
}

// voice is a limiter and an encoder for one mix.
type voice struct {
	limiter *mix.Limiter
	encoder *opus.Encoder
	packet  [opus.MaxBytes]byte
	awake   bool // the tick before was encoded too
}

func newVoice(channels int) (*voice, error) {
	rate := monitorMono
	if channels == 2 {
		rate = monitorStereo
	}
	// With in-band FEC: these packets go to phones over networks that lose some.
	encoder, err := opus.NewEncoder(opus.EncoderOptions{Channels: channels, Bitrate: rate, FEC: true, LossPercent: 5})
	if err != nil {
		return nil, err
	}
	return &voice{limiter: mix.NewLimiter(channels), encoder: encoder}, nil
}

// wake makes the encoder ready to go on from what was heard in the last tick, which
// another one has encoded: it hears that too, so that nothing clicks. While it is
// awake this does nothing.
func (v *voice) wake(before []float32) error {
	if v.awake {
		return nil
	}
	v.awake = true
	if err := v.encoder.Reset(); err != nil {
		return err
	}
	_, err := v.encoder.Encode(before, v.packet[:])
	return err
}

// encode limits the frame in place and returns its packet, which is good until the
// next call.
func (v *voice) encode(frame []float32) ([]byte, error) {
	v.limiter.Process(frame)
	n, err := v.encoder.Encode(frame, v.packet[:])
	return v.packet[:n], err
}

// rest notes that this tick was not encoded: what the encoder remembers is not what
// was heard last.
func (v *voice) rest() { v.awake = false }
