package client

import (
	"fmt"
	"io"

	"hustings/internal/fmp4"
	"hustings/internal/ogg"
	"hustings/internal/opus"
)

// recorder writes what is heard as Ogg Opus. Holes are filled with silence, so
// that the recording's time is the programme's.
type recorder struct {
	dst   io.Writer
	err   error // the first; nothing is written after it
	track fmp4.Track
	begun bool

	// held is the newest page, kept back until it is known whether it is the last:
	// that one carries the end-of-stream flag (RFC 3533, section 6).
	held    [][]byte
	end     uint64 // of the held page, in samples of the programme
	granule int64  // of the held page
	page    uint32
	buf     []byte
}

// recordingSerial names the logical stream. There is only one in the file.
const recordingSerial = 1

func newRecorder(dst io.Writer) *recorder { return &recorder{dst: dst} }

// init begins the file; the same track comes again after each reconnect.
func (r *recorder) init(t fmp4.Track) error {
	if r.begun {
		return nil
	}
	r.begun, r.track, r.page = true, t, 2
	return r.flush(ogg.AppendHeaders(r.buf[:0], recordingSerial, t.Channels, t.PreSkip, "hustings listen"))
}

// write adds a block.
func (r *recorder) write(f *fmp4.Fragment) error {
	if r.held != nil {
		if err := r.release(0); err != nil {
			return err
		}
		for ; r.end < f.Time && r.err == nil; r.end += frameSamples {
			// A packet a page is wasteful, but there is little of it.
			r.held = [][]byte{opus.Silence(r.track.Channels)}
			r.granule += frameSamples
			if err := r.release(0); err != nil {
				return err
			}
		}
	}
	r.held = f.Packets
	r.end = f.Time + uint64(len(f.Packets))*frameSamples
	r.granule += int64(len(f.Packets)) * frameSamples
	return r.err
}

// close ends the file.
func (r *recorder) close() error {
	if r.held == nil || r.err != nil {
		return r.err
	}
	return r.release(ogg.Last)
}

// release writes the held page.
func (r *recorder) release(flags byte) error {
	if !ogg.Fits(r.held) {
		return fmt.Errorf("cannot record: a block's packets are larger than a page can be")
	}
	page := ogg.Page{Flags: flags, Granule: r.granule, Serial: recordingSerial, Sequence: r.page, Packets: r.held}
	r.page++
	return r.flush(ogg.AppendPage(r.buf[:0], page))
}

func (r *recorder) flush(data []byte) error {
	r.buf = data
	if r.err == nil {
		if _, err := r.dst.Write(data); err != nil {
			r.err = fmt.Errorf("cannot record: %w", err)
		}
	}
	return r.err
}
