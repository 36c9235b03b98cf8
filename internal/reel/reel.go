// Package reel writes a recording while it is made: packets in, two files out.
// Both hold the same Opus packets, one as Ogg (RFC 7845), one as progressive MP4
// (ISO/IEC 14496-12), for what plays only one of them.
//
//	r, err := reel.New(reel.Options{Ogg: oggFile, MP4: mp4File, Name: "town-hall"})
//	err = r.Add(packets, 0)     // half a second, say
//	err = r.Add(more, 48000)    // after half a second of silence
//	err = r.Finish()
//	err = errors.Join(r.Sync(), r.Close())
//
// The files grow in step with what is added, so that at the end there is only an
// end-of-stream page and a table left to write, however long the recording is. Up
// to Finish the Ogg file plays as far as it goes, and the MP4 file, which wants its
// table, does not play. Neither can be gone on with by another Reel: after a crash
// begin anew, out of whatever the packets are kept in.
//
// All packets are 20 ms long. Times are samples at 48 kHz from the beginning of
// the recording, the pre-skip of the encoder included. What was not recorded is
// filled with packets of silence: the time that a player shows is that of the
// programme, and no player has to know what a hole is.
//
// A disk may be full for a while. Each write is made at its place, so that one that
// failed half way leaves nothing behind which the next does not write over: add the
// same packets again until there is room, and the files are as if nothing had been.
// The two may have come to different places meanwhile; each goes on from its own.
package reel

import (
	"errors"
	"fmt"
	"io"

	"hustings/internal/ogg"
	"hustings/internal/opus"
)

// packetSamples is the length of a packet: 20 ms.
const packetSamples = opus.FrameSamples

// silencePackets is how many packets of silence are written at once, and are a
// page of the Ogg file: 1 s.
const silencePackets = 50

// Errors of Add, beside those of the files.
var (
	ErrStart   = errors.New("packets begin where they can't")
	ErrPackets = errors.New("packets do not make a page")
)

// File is what a Reel needs of a file; *os.File is one. A write that fails may
// have written a part.
type File interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error // brings what was written to the disk; may run beside WriteAt
}

// Options configure a Reel. Ogg and MP4 are required.
type Options struct {
	Ogg, MP4 File   // what is in them is lost
	Name     string // of what is recorded: gives the Ogg stream its serial number
	Stereo   bool   // of the silence, and what the files say of the packets
}

// Reel is a recording that is being written. Its methods are for one goroutine at
// a time, but for Sync.
type Reel struct {
	opts     Options
	ogg, mp4 target
	end      int64    // of what was added, in samples
	quiet    [][]byte // silence: 1 s
}

// target is one of the two files, and how far it has come.
type target struct {
	container
	end int64 // in samples; after an error it may be another than that of the other file
}

// container is how packets are put into a file. After an error the whole packets
// in the file are those before the call, which may be made again.
type container interface {
	add(packets [][]byte, end int64) error
	finish() error
}

// New empties both files and begins them. The Reel owns them from then on; after
// an error, which is that of a file, they are the caller's to close.
func New(o Options) (*Reel, error) {
	channels := 1
	if o.Stereo {
		channels = 2
	}
	asOgg, err := startOgg(o.Ogg, o.Name, channels)
	if err != nil {
		return nil, err
	}
	asMP4, err := startMP4(o.MP4, channels)
	if err != nil {
		return nil, err
	}
	r := &Reel{opts: o, ogg: target{container: asOgg}, mp4: target{container: asMP4}}
	for range silencePackets {
		r.quiet = append(r.quiet, opus.Silence(channels))
	}
	return r, nil
}

// Add appends packets of 20 ms each, after silence up to start, which is a multiple
// of 960 samples and not before the end of the packets added last. They become one
// page of the Ogg file, and must not change until others have been added.
//
// Errors: ErrStart; ErrPackets, if there are none, or more than ogg.Fits (25 packets
// of one Opus frame always do); and those of the files. After one of a file, for
// want of space say, add the same packets again until it goes well, or Finish: then
// each of the files ends where it stands.
func (r *Reel) Add(packets [][]byte, start int64) error {
	switch {
	case start < r.end || start%packetSamples != 0:
		return fmt.Errorf("%w: at sample %d, after %d", ErrStart, start, r.end)
	case len(packets) == 0 || !ogg.Fits(packets):
		return fmt.Errorf("%w: there are %d", ErrPackets, len(packets))
	}
	if err := r.fill(&r.ogg, packets, start); err != nil {
		return err
	}
	if err := r.fill(&r.mp4, packets, start); err != nil {
		return err
	}
	r.end = start + samples(packets)
	return nil
}

// fill brings one file up to the end of the packets, wherever it stands.
func (r *Reel) fill(t *target, packets [][]byte, start int64) error {
	for t.end < start {
		missing := (start - t.end) / packetSamples
		if err := t.append(r.quiet[:min(silencePackets, missing)]); err != nil {
			return err
		}
	}
	if t.end == start {
		return t.append(packets)
	}
	return nil // an Add that failed for the other file's sake got this far
}

func (t *target) append(packets [][]byte) error {
	end := t.end + samples(packets)
	if err := t.add(packets, end); err != nil {
		return err
	}
	t.end = end
	return nil
}

func samples(packets [][]byte) int64 { return int64(len(packets)) * packetSamples }

// Finish completes both files: nothing may be added any more. It takes about as
// long for ten hours as for a minute. After an error, which is that of a file, it
// may be called again.
func (r *Reel) Finish() error {
	if err := r.ogg.finish(); err != nil {
		return err
	}
	return r.mp4.finish()
}

// Sync brings what was written to the disk. Any goroutine may call it, beside the
// other methods but for Close.
func (r *Reel) Sync() error { return errors.Join(r.opts.Ogg.Sync(), r.opts.MP4.Sync()) }

// Close closes both files as they are.
func (r *Reel) Close() error { return errors.Join(r.opts.Ogg.Close(), r.opts.MP4.Close()) }
