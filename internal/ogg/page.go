// Package ogg writes and reads Opus in Ogg (RFC 3533, RFC 7845).
//
// A stream is two header pages, numbered 0 and 1, and then audio pages:
//
//	out := ogg.AppendHeaders(nil, serial, channels, preSkip, "vendor")
//	out = ogg.AppendPage(out, ogg.Page{Serial: serial, Sequence: 2, Granule: 24000, Packets: packets})
//
// A page holds whole packets only, which is all that a writer of audio in small
// steps needs; Fits says whether a page can take them. A page says nothing of
// the pages around it but for its number, so one that was rendered once can be
// sent to any number of readers, each of whom began elsewhere: they see the
// numbers jump after page 1, which is normal for a live stream.
//
// The granule position of an audio page counts all samples at 48 kHz up to its
// end, those of the pre-skip included (RFC 7845, section 4).
//
// Reader goes the other way. It takes any Ogg file with Opus in it, other streams
// beside it and damage included, and never trusts a length.
package ogg

import "encoding/binary"

// Flags of a page (RFC 3533, section 6).
const (
	Continued byte = 1 << iota // its first packet began on an earlier page
	First                      // first page of its logical stream (bos)
	Last                       // last page of its logical stream (eos)
)

const (
	headerSize  = 27  // bytes before the lacing values
	maxSegments = 255 // lacing values of one page
	maxBody     = maxSegments * 255
	crcOffset   = 22

	// NoGranule is the granule position of a page on which no packet ends.
	NoGranule int64 = -1
)

// Page is one page of whole packets.
type Page struct {
	Flags    byte
	Granule  int64  // samples at 48 kHz up to the end of the page
	Serial   uint32 // of the logical stream
	Sequence uint32 // number of the page in its logical stream
	Packets  [][]byte
}

// Fits reports whether one page can take the packets: they need at most 255
// lacing values, one for each begun 255 bytes of each packet. 25 Opus packets of
// one frame (at most 1276 bytes) always fit.
func Fits(packets [][]byte) bool {
	n := 0
	for _, p := range packets {
		n += len(p)/255 + 1
	}
	return n <= maxSegments
}

// AppendPage appends the page in its wire form to dst. It panics if the packets
// do not fit, as an index out of range does: check with Fits what comes from outside.
func AppendPage(dst []byte, p Page) []byte {
	if !Fits(p.Packets) {
		panic("ogg: the packets do not fit into one page")
	}
	start := len(dst)
	dst = append(dst, "OggS\x00"...)
	dst = append(dst, p.Flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Granule))
	dst = binary.LittleEndian.AppendUint32(dst, p.Serial)
	dst = binary.LittleEndian.AppendUint32(dst, p.Sequence)
	dst = append(dst, 0, 0, 0, 0, 0) // checksum and number of lacing values, below
	for _, packet := range p.Packets {
		for n := len(packet); n >= 255; n -= 255 {
			dst = append(dst, 255)
		}
		dst = append(dst, byte(len(packet)%255))
	}
	dst[start+headerSize-1] = byte(len(dst) - start - headerSize)
	for _, packet := range p.Packets {
		dst = append(dst, packet...)
	}
	binary.LittleEndian.PutUint32(dst[start+crcOffset:], checksum(0, dst[start:]))
	return dst
}

// checksum continues the CRC of RFC 3533 (polynomial 0x04c11db7, not reflected,
// no inversion) over data.
func checksum(crc uint32, data []byte) uint32 {
	for _, b := range data {
		crc = crc<<8 ^ crcTable[byte(crc>>24)^b]
	}
	return crc
}

// crcTable holds the checksum of each byte. It is never written again.
var crcTable = func() (table [256]uint32) {
	for i := range table {
		crc := uint32(i) << 24
		for range 8 {
			high := crc >> 31
			crc = crc<<1 ^ high*0x04c11db7
		}
		table[i] = crc
	}
	return table
}()
