package aac

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"hustings/internal/fmp4"
	"hustings/internal/space"
)

const (
	// hangs is how long a process may owe frames before it is taken for dead.
	hangs = 10 * time.Second
	// lookEach is how often it is looked after.
	lookEach = time.Second
	// Those that die are started anew after a while that doubles each time, until one
	// has lived for long.
	soonest  = 250 * time.Millisecond
	latest   = 30 * time.Second
	longLife = 30 * time.Second
	// segmentBlocks is how many blocks make a segment: the past that a process begins
	// with is whole segments.
	segmentBlocks = 8
)

// voice is the rendition of one space. One goroutine feeds its process and another
// reads from it; anybody asks.
type voice struct {
	enc    *Encoder
	id     space.ID
	wanted atomic.Int64 // when it was last asked for, in Unix nanoseconds

	// Of the goroutine that feeds:
	at    Block // the newest block that was fed, or had nothing to be fed of
	begun bool  // there is such a block

	mu     sync.Mutex // guards what follows
	config string     // AudioSpecificConfig, once known
	parts  []kept     // oldest first
	final  bool
	// shown: the past is made up to the newest block that there was at the start. Who
	// came sooner would take the end of what there is for the live edge.
	shown  bool
	newest Block
	view   *Window // of parts and final, if shown; nil when it is to be made anew
	change chan struct{}
	packs  *packer   // of the process that runs
	owed   time.Time // since when it owes frames; zero: it does not
}

// kept is a part with its bytes.
type kept struct {
	Part
	data []byte
}

func newVoice(e *Encoder, id space.ID) *voice {
	v := &voice{enc: e, id: id, change: make(chan struct{})}
	v.asked()
	return v
}

func (v *voice) asked() { v.wanted.Store(time.Now().UnixNano()) }

func (v *voice) idle() bool {
	return time.Since(time.Unix(0, v.wanted.Load())) > v.enc.opts.Idle
}

func (v *voice) window() Window {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.view == nil {
		v.view = &Window{Changed: v.change}
		if v.shown {
			v.view.Final, v.view.Parts = v.final, make([]Part, len(v.parts))
			for i, p := range v.parts {
				v.view.Parts[i] = p.Part
			}
		}
	}
	return *v.view
}

func (v *voice) part(epoch uint32, seq uint64) ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.parts) - 1; i >= 0; i-- {
		if p := &v.parts[i]; p.Seq == seq && p.Epoch == epoch {
			return p.data, true
		}
	}
	return nil, false
}

func (v *voice) init() ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.config == "" {
		return nil, false
	}
	channels := int(v.config[1] >> 3 & 0xf)
	return fmp4.AppendInit(nil, fmp4.Track{Channels: channels, PacketSamples: FrameSamples, AAC: v.config}), true
}

// close tells who waits that nothing more comes of this voice.
func (v *voice) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changed()
}

// changed is called with mu held.
func (v *voice) changed() {
	close(v.change)
	v.change, v.view = make(chan struct{}), nil
}

// errEnded says that there is nothing more to encode.
var errEnded = errors.New("the programme has ended, or nobody listens")

// run encodes until the programme ends, nobody asks any more, or ctx is done.
func (v *voice) run(ctx context.Context) {
	wait := soonest
	for {
		began := time.Now()
		err := v.encode(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, errEnded):
			v.linger(ctx)
			return
		case err == nil:
			continue // a new epoch: a new process
		}
		if time.Since(began) > longLife {
			wait = soonest
		}
		v.enc.log.Warn("ffmpeg is started anew", "space", v.id, "after", wait, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, latest)
	}
}

// linger leaves what there is to those who have not got it all yet.
func (v *voice) linger(ctx context.Context) {
	look := time.NewTicker(lookEach)
	defer look.Stop()
	for !v.idle() {
		if blocks, _, _, ok := v.enc.opts.Log.Window(v.id); !ok || v.nextOf(blocks) >= 0 {
			return // all is forgotten, or it goes on after all: whoever asks begins anew
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// encode runs one process, over blocks that follow from one another.
//
// Errors: nil when the next block does not follow, errEnded, and what went wrong.
func (v *voice) encode(ctx context.Context) error {
	first, before, err := v.await(ctx)
	if err != nil {
		return err
	}
	packets, channels, ok := v.enc.opts.Log.Packets(v.id, first.Epoch, first.Seq)
	if !ok {
		v.at, v.begun = first, true // it was thrown away meanwhile: the next one then
		return nil
	}
	p, err := start(v.enc.program, channels)
	if err != nil {
		return err
	}
	at := first.Start / anchorStep * anchorStep
	if before != nil {
		at = (before.Start + anchorStep - 1) / anchorStep * anchorStep // within the block before
	}
	defer context.AfterFunc(ctx, p.kill)() // it may not even take what it is fed
	v.mu.Lock()
	v.packs, v.owed = newPacker(at, first, before != nil), time.Time{}
	v.mu.Unlock()
	read := make(chan error, 1)
	go func() { read <- v.read(p) }()
	f := newFeeder(v, p, read, channels)
	if err = f.begin(at, before, first, packets); err == nil {
		err = f.follow(ctx)
	}
	return f.finish(err)
}

// await waits for the block that comes next, and returns it with the one before, if
// that can lead up to it.
func (v *voice) await(ctx context.Context) (next Block, before *Block, err error) {
	look := time.NewTicker(lookEach)
	defer look.Stop()
	for {
		blocks, final, changed, ok := v.enc.opts.Log.Window(v.id)
		if i := v.nextOf(blocks); ok && i >= 0 {
			if i > 0 && follows(blocks[i-1], blocks[i]) {
				before = &blocks[i-1]
			}
			return blocks[i], before, nil
		}
		if !ok || final || v.idle() {
			if final {
				v.end()
			}
			return next, nil, errEnded
		}
		select {
		case <-ctx.Done():
			return next, nil, ctx.Err()
		case <-changed:
		case <-look.C:
		}
	}
}

// nextOf returns the index of the block to go on with, -1 for none yet. To begin
// with it is that of some whole segments ago.
func (v *voice) nextOf(blocks []Block) int {
	if v.begun {
		for i, b := range blocks {
			if b.Epoch > v.at.Epoch || b.Epoch == v.at.Epoch && b.Seq > v.at.Seq {
				return i
			}
		}
		return -1
	}
	v.expect(blocks)
	first := max(0, len(blocks)-int(v.enc.opts.History*48000/(blockSamples*time.Second)))
	for i := first; i < len(blocks); i++ {
		if i == 0 && len(blocks) < 2*segmentBlocks || blocks[i].Seq%segmentBlocks == 0 {
			return i
		}
	}
	return len(blocks) - 1
}

// expect notes which block is the newest, as long as nothing is shown.
func (v *voice) expect(blocks []Block) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(blocks) > 0 && !v.shown {
		v.newest = blocks[len(blocks)-1]
	}
}

// follows reports whether b is the block after a, without a hole.
func follows(a, b Block) bool {
	return a.Epoch == b.Epoch && a.Seq+1 == b.Seq && a.Start+blockSamples == b.Start
}

// end says that the newest part is the last one.
func (v *voice) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.final {
		v.final, v.shown = true, true
		v.changed()
	}
}

// read takes the frames of a process until it ends.
func (v *voice) read(p *process) error {
	r := newFrames(p.out)
	for {
		frame, config, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		v.mu.Lock()
		v.config = config
		if part, frames, ok := v.packs.take(frame); ok {
			v.keep(part, frames)
		}
		v.owed = time.Time{}
		if len(v.packs.blocks) > 0 {
			v.owed = time.Now()
		}
		v.mu.Unlock()
	}
}

// keep is called with mu held.
func (v *voice) keep(p Part, frames [][]byte) {
	v.parts = append(v.parts, kept{p, render(p, frames)})
	v.shown = v.shown || p.Epoch > v.newest.Epoch || p.Epoch == v.newest.Epoch && p.Seq >= v.newest.Seq
	oldest := p.Start - int64(v.enc.opts.Keep*48000/time.Second)
	drop := 0
	for drop < len(v.parts)-1 && v.parts[drop].Start < oldest {
		drop++
	}
	if drop > 0 {
		v.parts = append([]kept(nil), v.parts[drop:]...) // not to hold on to what was dropped
	}
	v.changed()
}

// late reports whether the process owes frames for too long.
func (v *voice) late() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.owed.IsZero() && time.Since(v.owed) > hangs
}
