package stage

import (
	"fmt"
	"time"

	"hustings/internal/mix"
	"hustings/internal/opus"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// air is the programme of one epoch while it runs: the stage's mix or hold audio
// in, blocks out. It belongs to the loop's goroutine, but for done.
type air struct {
	writer   *programme.Writer
	channels int
	hold     *mix.Loop
	fader    *mix.Fader
	limiter  *mix.Limiter
	encoders [programme.Rungs]*opus.Encoder

	frame  []float32 // what goes out this tick
	second []float32 // hold audio, then the mono mix of a stereo programme

	start  int64 // of the block that is being filled
	ticks  int   // packets in it
	block  [programme.Rungs]programme.Packets
	memory [programme.Rungs][programme.PacketsPerBlock][opus.MaxBytes]byte
	rest   [programme.Rungs][]byte // a packet of silence for each rung
	pulse  pulser

	over bool          // the final block was written
	done chan struct{} // closed when over
}

// newAir opens an epoch of the space's programme.
func newAir(sp space.Space, resume programme.Resume, hold []float32, w *programme.Writer, now time.Time) (*air, error) {
	a := &air{writer: w, channels: channelsOf(sp), done: make(chan struct{})}
	a.hold = mix.NewLoop(hold, a.channels)
	a.fader = mix.NewFader(a.channels, sp.Phase == space.Live)
	a.limiter = mix.NewLimiter(a.channels)
	a.frame = make([]float32, a.channels*mix.FrameSamples)
	a.second = make([]float32, a.channels*mix.FrameSamples)
	a.start = startOf(sp, resume, now)
	for r := range programme.Rungs {
		rung := programme.Rung(r)
		channels := 1
		if rung == programme.Rung48 {
			channels = a.channels
		}
		var err error
		// Encoded once for everybody, so as well as it can be: that also lets the
		// codec tell speech from hold audio.
		a.encoders[r], err = opus.NewEncoder(opus.EncoderOptions{
			Channels: channels, Bitrate: rung.Bitrate(sp.Stereo), Complexity: opus.BestComplexity, Music: sp.Stereo && channels == 2,
		})
		if err != nil {
			return nil, fmt.Errorf("encoder of rung %d: %w", r, err)
		}
		a.block[r] = make(programme.Packets, programme.PacketsPerBlock)
		a.rest[r] = opus.Silence(channels)
	}
	return a, nil
}

func channelsOf(sp space.Space) int {
	if sp.Stereo {
		return 2
	}
	return 1
}

// startOf returns where an epoch begins, in samples since the doors opened: by
// wall clock, on a packet's edge, and never before the end of what is durable. A
// fresh log begins at 0, unless it comes much too late for that: then the doors
// were open before and nothing of it was kept.
func startOf(sp space.Space, resume programme.Resume, now time.Time) int64 {
	var start int64
	if sp.OpenedAt != nil {
		elapsed := now.Sub(*sp.OpenedAt)
		start = int64(elapsed/tickTime) * programme.PacketSamples
	}
	if resume.Seq == 0 && start < programme.BlockSamples {
		start = 0
	}
	return max(start, resume.End)
}

// tick takes 20 ms of the stage's mix and returns the packet of the best rung if
// the programme is that mix and nothing else, nil otherwise. It is good until the
// next tick.
func (a *air) tick(stage []float32, live bool) ([]byte, error) {
	a.hold.Next(a.second)
	a.fader.To(live)
	resting, onStage := a.fader.Resting()
	a.fader.Mix(stage, a.second, a.frame)
	if err := a.encode(); err != nil {
		a.skip() // the time passes all the same
		return nil, err
	}
	if resting && onStage {
		return a.block[programme.Rung48][a.ticks-1], nil
	}
	return nil, nil
}

// encode limits a.frame and adds its packets to the block.
func (a *air) encode() error {
	a.limiter.Process(a.frame)
	low := a.frame
	if a.channels == 2 {
		low = a.second[:mix.FrameSamples]
		for i := range low {
			low[i] = (a.frame[2*i] + a.frame[2*i+1]) / 2
		}
	}
	for r, encoder := range a.encoders {
		pcm := low
		if programme.Rung(r) == programme.Rung48 {
			pcm = a.frame
		}
		packet := a.memory[r][a.ticks][:]
		n, err := encoder.Encode(pcm, packet)
		if err != nil {
			return fmt.Errorf("rung %d: %w", r, err)
		}
		a.block[r][a.ticks] = packet[:n]
	}
	a.ticks++
	return nil
}

// skip adds 20 ms of silence without encoding: time that was missed altogether.
func (a *air) skip() {
	for r := range a.block {
		a.block[r][a.ticks] = a.rest[r]
	}
	a.ticks++
}

func (a *air) full() bool { return a.ticks == programme.PacketsPerBlock }

// write publishes the block, filled up with silence if it is not full, with the
// pulse as it is at its end. A block that can't be published is lost, and the next
// one takes its place in time: within an epoch there is no hole.
func (a *air) write(state space.Pulse, now time.Time, final bool) error {
	for !a.full() {
		clear(a.frame)
		if err := a.encode(); err != nil {
			a.skip()
		}
	}
	err := a.publish(state, now, final)
	if !final {
		a.ticks = 0
	} else if err == nil {
		a.over = true
		close(a.done)
	}
	return err
}

func (a *air) publish(state space.Pulse, now time.Time, final bool) error {
	state.Checkpoint = a.writer.Checkpoint()
	patch, whole, err := a.pulse.next(state, now)
	if err != nil {
		return fmt.Errorf("pulse: %w", err)
	}
	if _, err := a.writer.Append(a.start, a.block, patch, final); err != nil {
		return err
	}
	a.pulse.keep(whole)
	a.start += programme.BlockSamples
	return nil
}
