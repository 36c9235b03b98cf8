package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrHead is wrapped by the error for an identification header that can't be used.
var ErrHead = errors.New("bad Opus identification header")

// Head is what an identification header says (RFC 7845, section 5.1).
type Head struct {
	Channels   int
	PreSkip    int    // samples at 48 kHz to throw away before the first one to play
	SampleRate uint32 // of the original input; 0 if unknown; playing is always at 48 kHz
	Gain       int16  // to be applied when playing, in dB as Q7.8
	Family     byte   // channel mapping family: 0 is mono or stereo
}

// OpusHead returns the identification header of a mono or stereo stream whose
// input had 48 kHz.
func OpusHead(channels, preSkip int) []byte {
	head := append(make([]byte, 0, 19), "OpusHead"...)
	head = append(head, 1, byte(channels)) // version
	head = binary.LittleEndian.AppendUint16(head, uint16(preSkip))
	head = binary.LittleEndian.AppendUint32(head, 48000)
	return append(head, 0, 0, 0) // gain 0, mapping family 0
}

// ParseHead reads an identification header.
//
// Errors: ErrHead.
func ParseHead(packet []byte) (Head, error) {
	if len(packet) < 19 || string(packet[:8]) != "OpusHead" {
		return Head{}, fmt.Errorf("%w: %d bytes that do not begin with OpusHead", ErrHead, len(packet))
	}
	if version := packet[8]; version>>4 != 0 { // the low half may grow compatibly
		return Head{}, fmt.Errorf("%w: version %d", ErrHead, version)
	}
	h := Head{
		Channels:   int(packet[9]),
		PreSkip:    int(binary.LittleEndian.Uint16(packet[10:])),
		SampleRate: binary.LittleEndian.Uint32(packet[12:]),
		Gain:       int16(binary.LittleEndian.Uint16(packet[16:])),
		Family:     packet[18],
	}
	if h.Channels == 0 || h.Family == 0 && h.Channels > 2 {
		return Head{}, fmt.Errorf("%w: %d channels in mapping family %d", ErrHead, h.Channels, h.Family)
	}
	return h, nil
}

// OpusTags returns the comment header (RFC 7845, section 5.2); comments have the
// form NAME=value.
func OpusTags(vendor string, comments ...string) []byte {
	tags := append([]byte(nil), "OpusTags"...)
	tags = appendString(tags, vendor)
	tags = binary.LittleEndian.AppendUint32(tags, uint32(len(comments)))
	for _, comment := range comments {
		tags = appendString(tags, comment)
	}
	return tags
}

func appendString(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}

// AppendHeaders appends the two header pages, numbered 0 and 1, with which every
// stream begins.
func AppendHeaders(dst []byte, serial uint32, channels, preSkip int, vendor string, comments ...string) []byte {
	dst = AppendPage(dst, Page{Flags: First, Serial: serial, Packets: [][]byte{OpusHead(channels, preSkip)}})
	return AppendPage(dst, Page{Serial: serial, Sequence: 1, Packets: [][]byte{OpusTags(vendor, comments...)}})
}
