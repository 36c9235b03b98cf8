// Package aac makes a rendition of the programme in AAC, for players that take no
// Opus: those of Safari and iOS by HLS, and older ones.
//
// For each space that it is asked for there is one process of ffmpeg: blocks of the
// log go in as Ogg Opus, ADTS comes out, and its frames are packed into fragments of
// MP4, a part for each block. The process is started when the rendition is first
// asked for, and ended when nobody has asked for a minute, or with the programme.
//
//	e, err := aac.New(aac.Options{Log: log})
//	go e.Run(ctx)
//	window, ok := e.Window(id)             // starts it; the first parts come soon
//	data, ok := e.Part(id, epoch, seq)
//
// Its times are those of the log, to the sample. All frames lie on one grid, the
// multiples of 1024 samples since the doors opened, whenever a process was begun and
// on whatever node: so a restart is not heard, and parts have the same limits
// everywhere. The part of a block begins Lag before the block, since an encoder looks
// ahead: so all of it comes out as soon as the block is in.
//
// Nothing here holds up the blocks. A process that hangs or dies is started anew,
// after a while that grows, and goes on where it was.
package aac

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"hustings/internal/space"
)

const (
	// FrameSamples is the length of a frame of AAC-LC.
	FrameSamples = 1024
	// Lag is how long before its block a part begins, in samples: what an encoder
	// keeps back of what it was given is less: about four frames.
	Lag = 6 * FrameSamples
	// Bandwidth is that of the mono rendition in bits a second; stereo has twice that.
	Bandwidth = 64000
)

// Block is a block of the log.
type Block struct {
	Epoch uint32
	Seq   uint64
	Start int64 // in samples at 48 kHz since the doors opened
}

// Log is where the programme comes from.
type Log interface {
	// Window returns the newest blocks that are kept, oldest first, and whether the
	// last of them is the end; changed is closed when there are newer ones.
	Window(id space.ID) (blocks []Block, final bool, changed <-chan struct{}, ok bool)
	// Packets returns the Opus packets of a block's best rung.
	Packets(id space.ID, epoch uint32, seq uint64) (packets [][]byte, channels int, ok bool)
}

// Options configure an Encoder. Only Log is required.
type Options struct {
	Log     Log
	FFmpeg  string        // the program; "": ffmpeg, wherever it is installed
	Idle    time.Duration // how long it goes on when nobody asks; 0: a minute
	Keep    time.Duration // how much is kept; 0: a minute
	History time.Duration // how much of the past a new process begins with; 0: 40 s
	Most    int           // spaces at a time; 0: 16
	Logger  *slog.Logger  // nil: discard
}

// Encoder makes the renditions of all spaces. Its methods may be called by any
// goroutine.
type Encoder struct {
	opts    Options
	log     *slog.Logger
	program string // path of ffmpeg

	mu     sync.Mutex      // guards what follows
	reason string          // why there is no AAC; "" if there is
	ctx    context.Context // of Run; nil while it does not run
	voices map[space.ID]*voice

	running sync.WaitGroup // of the voices; adding needs mu and a ctx that is not done
}

// New checks the options and looks for ffmpeg. That there is none is no error:
// Available tells.
func New(o Options) (*Encoder, error) {
	if o.Log == nil {
		return nil, errors.New("aac: no log to encode")
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&o.Idle, time.Minute}, {&o.Keep, time.Minute}, {&o.History, 40 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if o.FFmpeg == "" {
		o.FFmpeg = "ffmpeg"
	}
	if o.Most <= 0 {
		o.Most = 16
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Encoder{opts: o, log: o.Logger, voices: make(map[space.ID]*voice)}
	var err error
	if e.program, err = exec.LookPath(o.FFmpeg); err != nil {
		e.reason = "ffmpeg is not installed on this server; install it and start the server anew, for iPhones and older players"
	}
	return e, nil
}

// Available reports whether there is an AAC rendition, and if not, why and what to do.
func (e *Encoder) Available() (ok bool, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reason == "", e.reason
}

// Run lets renditions be made until ctx is done, then ends all processes.
func (e *Encoder) Run(ctx context.Context) error {
	e.probe(ctx)
	if ok, reason := e.Available(); !ok {
		e.log.Warn("no AAC rendition by HLS", "reason", reason)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e.mu.Lock()
	e.ctx = ctx
	e.mu.Unlock()
	<-ctx.Done()
	e.mu.Lock()
	e.ctx = nil
	e.mu.Unlock()
	e.running.Wait()
	return nil
}

// probe tries whether this ffmpeg can do it: some builds lack what is needed.
func (e *Encoder) probe(ctx context.Context) {
	if ok, _ := e.Available(); !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := try(ctx, e.program)
	if err == nil || ctx.Err() != nil {
		return // a machine that is too busy right now may be able to later
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log.Warn("ffmpeg can't encode AAC", "err", err)
	e.reason = "the ffmpeg of this server can't encode AAC; install one that can, and start the server anew"
}

// Window is what is kept of a rendition at a time. It must not be changed.
type Window struct {
	Parts   []Part          // oldest first
	Final   bool            // the newest is the last
	Changed <-chan struct{} // closed when this is not the newest window any more
}

// Part is a run of frames: those of one block. After the final block there is a part
// for what the encoder had kept back, under the number that comes next.
type Part struct {
	Epoch   uint32
	Seq     uint64
	Start   int64 // in samples since the doors opened: a multiple of FrameSamples
	Samples int64
	Came    time.Time
}

// Window returns what is kept of a space's rendition, and has it made as long as it
// is asked for. Of one that has just begun there are no parts before it has reached
// the newest block, about a second later. It is false where there is none: ffmpeg is absent, the space has no
// programme, or too many have one.
func (e *Encoder) Window(id space.ID) (Window, bool) {
	v := e.voice(id)
	if v == nil {
		return Window{}, false
	}
	return v.window(), true
}

// Part returns a part as a fragment of MP4, while it is kept. The bytes are shared
// and must not be changed.
func (e *Encoder) Part(id space.ID, epoch uint32, seq uint64) ([]byte, bool) {
	if v := e.find(id); v != nil {
		return v.part(epoch, seq)
	}
	return nil, false
}

// Init returns what the parts need before them, once there is one.
func (e *Encoder) Init(id space.ID) ([]byte, bool) {
	if v := e.find(id); v != nil {
		return v.init()
	}
	return nil, false
}

// find returns the rendition of a space that is being made, and notes that it is
// wanted.
func (e *Encoder) find(id space.ID) *voice {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.voices[id]
	if v != nil {
		v.asked()
	}
	return v
}

// voice is find, and begins it.
func (e *Encoder) voice(id space.ID) *voice {
	if v := e.find(id); v != nil {
		return v
	}
	if _, _, _, ok := e.opts.Log.Window(id); !ok {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if v := e.voices[id]; v != nil {
		return v
	}
	if e.reason != "" || e.ctx == nil || e.ctx.Err() != nil || len(e.voices) >= e.opts.Most {
		return nil
	}
	v := newVoice(e, id)
	e.voices[id] = v
	ctx := e.ctx
	e.running.Go(func() {
		defer e.end(v)
		v.run(ctx)
	})
	return v
}

func (e *Encoder) end(v *voice) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.voices, v.id)
	v.close()
}
