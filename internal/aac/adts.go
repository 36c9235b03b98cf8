package aac

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// errADTS is wrapped by the errors for what is no stream of AAC that we asked for.
var errADTS = errors.New("not AAC in ADTS at 48 kHz")

const (
	headSize  = 7 // bytes of a head without a checksum
	rate48000 = 3 // its index of the sampling frequency
)

// frames reads ADTS (ISO/IEC 13818-7, section 6.2) frame by frame.
type frames struct{ src *bufio.Reader }

func newFrames(src io.Reader) *frames { return &frames{src: bufio.NewReader(src)} }

// next returns the next frame without its head, and the AudioSpecificConfig that
// goes with it. The bytes are the caller's.
//
// Errors: errADTS, io.EOF at the end, those of the source.
func (f *frames) next() (frame []byte, config string, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(f.src, head[:]); err != nil {
		return nil, "", err
	}
	var (
		profile  = head[2] >> 6
		rate     = head[2] >> 2 & 0xf
		channels = head[2]&1<<2 | head[3]>>6
		size     = int(head[3]&3)<<11 | int(head[4])<<3 | int(head[5])>>5
		checked  = head[1]&1 == 0 // a checksum follows
		raw      = head[6] & 3    // one less than the frames within
	)
	switch {
	case head[0] != 0xff || head[1]&0xf6 != 0xf0:
		return nil, "", fmt.Errorf("%w: no sync word", errADTS)
	case checked || raw != 0 || rate != rate48000 || channels == 0 || size <= headSize:
		return nil, "", fmt.Errorf("%w: a head of %x", errADTS, head)
	}
	frame = make([]byte, size-headSize)
	if _, err := io.ReadFull(f.src, frame); err != nil {
		return nil, "", fmt.Errorf("within a frame: %w", io.ErrUnexpectedEOF)
	}
	// Object type in 5 bits, frequency in 4, channels in 4, and 3 that are zero:
	// frames of 1024, no core coder, no extension.
	object := profile + 1
	return frame, string([]byte{object<<3 | rate>>1, rate<<7 | channels<<3}), nil
}
