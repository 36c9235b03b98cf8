// Package fmp4 writes and reads Opus in MP4: fragmented for a live stream
// (ISO/IEC 14496-12 and "Encapsulation of Opus in ISO Base Media File Format"),
// progressive for a file. A live stream may be of AAC instead (ISO/IEC 14496-14).
//
// A live stream is an initialisation segment, and then fragments, each of which
// may have events before it:
//
//	out := fmp4.AppendInit(nil, track)
//	out = fmp4.AppendEvent(out, fmp4.Event{Scheme: "urn:example", Time: 0, Data: data})
//	out = fmp4.AppendFragment(out, fmp4.Fragment{Sequence: 1, Time: 0, Packets: packets})
//
// A fragment says itself where it stands in time, so one that was rendered once
// can be sent to any number of readers, each of whom began elsewhere.
//
// A file is AppendFileStart, then the packets one after the other, and once all
// are known MediaHeader, to be written over that of the start, and AppendFileEnd.
//
// Reader takes a live stream apart again. It knows what this package writes, skips
// boxes that it does not know, and never trusts a length.
package fmp4

// Timescale is the unit of all times of the track: 48 kHz samples, as the
// encapsulation of Opus asks for.
const Timescale = 48000

// trackID is the number of the only track.
const trackID = 1

// Track describes a stream of packets of one length: of Opus, unless AAC is set.
type Track struct {
	Channels      int // 1 or 2
	PreSkip       int // samples that the decoder throws away at the very beginning; of Opus only
	PacketSamples int // length of every packet in samples: 960 for 20 ms of Opus, 1024 of AAC
	// AAC is the AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1) of a stream of
	// AAC at 48 kHz; "" for Opus.
	AAC string
}

// Fragment is a run of packets.
type Fragment struct {
	Sequence uint32   // grows with each fragment
	Time     uint64   // of its first sample, in Timescale
	Packets  [][]byte // each of the track's PacketSamples
}

// Event is a message that goes with the media from a time on (emsg, version 1;
// ISO/IEC 23009-1, section 5.10.3.3).
type Event struct {
	Scheme string // a URN or URL that says what Value and Data mean
	Value  string
	Time   uint64 // in Timescale
	ID     uint32
	Data   []byte
}

// AppendInit appends the initialisation segment of a live stream.
func AppendInit(dst []byte, t Track) []byte {
	w := writer{dst}
	ftyp := w.open("ftyp")
	w.text("iso6")
	w.u32(0)
	w.text("iso6mp41")
	w.end(ftyp)

	moov := w.open("moov")
	w.mvhd(0)
	trak := w.open("trak")
	w.tkhd(0)
	w.mdia(t, 0, emptyTable)
	w.end(trak)
	mvex := w.open("mvex")
	trex := w.openFull("trex", 0, 0)
	w.u32(trackID)
	w.u32(1) // sample description
	w.u32(uint32(t.PacketSamples))
	w.u32(0)           // size of a sample: each fragment says
	w.u32(independent) // flags of a sample
	w.end(trex)
	w.end(mvex)
	w.end(moov)
	return w.buf
}

// independent are the flags of a sample that needs no other: any packet is a
// place to begin.
const independent = 2 << 24

// AppendFragment appends a movie fragment and its media data.
func AppendFragment(dst []byte, f Fragment) []byte {
	w := writer{dst}
	moof := w.open("moof")
	mfhd := w.openFull("mfhd", 0, 0)
	w.u32(f.Sequence)
	w.end(mfhd)
	traf := w.open("traf")
	tfhd := w.openFull("tfhd", 0, 0x020000) // offsets count from the moof
	w.u32(trackID)
	w.end(tfhd)
	tfdt := w.openFull("tfdt", 1, 0)
	w.u64(f.Time)
	w.end(tfdt)
	trun := w.openFull("trun", 0, trunOffset|trunSizes)
	w.u32(uint32(len(f.Packets)))
	trunEnd := len(w.buf) + 4 + 4*len(f.Packets)
	w.u32(uint32(trunEnd - moof + 8)) // the first byte in mdat
	for _, p := range f.Packets {
		w.u32(uint32(len(p)))
	}
	w.end(trun)
	w.end(traf)
	w.end(moof)
	mdat := w.open("mdat")
	for _, p := range f.Packets {
		w.buf = append(w.buf, p...)
	}
	w.end(mdat)
	return w.buf
}

// Flags of a track run.
const (
	trunOffset     = 0x000001
	trunFirstFlags = 0x000004
	trunDurations  = 0x000100
	trunSizes      = 0x000200
	trunFlags      = 0x000400
	trunCTS        = 0x000800
)

// AppendEvent appends an event message. Scheme and Value must not hold a zero byte.
func AppendEvent(dst []byte, e Event) []byte {
	w := writer{dst}
	emsg := w.openFull("emsg", 1, 0)
	w.u32(Timescale)
	w.u64(e.Time)
	w.u32(0xffffffff) // its end is not known
	w.u32(e.ID)
	w.cstring(e.Scheme)
	w.cstring(e.Value)
	w.buf = append(w.buf, e.Data...)
	w.end(emsg)
	return w.buf
}
