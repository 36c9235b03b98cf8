package fmp4

import "math"

// mediaHeaderSize is the size of the header that AppendFileStart leaves room for:
// always the long form, so that the media data may grow past 4 GB.
const mediaHeaderSize = 16

// File describes a progressive file whose packets lie one after the other.
type File struct {
	Track
	Offset int64    // of the first packet in the file
	Sizes  []uint32 // of each packet in bytes, in order
	// ChunkPackets is how many packets make a chunk, the unit in which players
	// read; 0 is one second.
	ChunkPackets int
}

// AppendFileStart appends what a progressive file begins with: the file type and
// the header of the media data, as if that were empty. The packets follow; when
// all are written, MediaHeader gives the bytes to write at offset headerAt, which
// counts from the start of what was appended.
func AppendFileStart(dst []byte) (out []byte, headerAt int) {
	w := writer{dst}
	ftyp := w.open("ftyp")
	w.text("isom")
	w.u32(0)
	w.text("isomiso4mp41")
	w.end(ftyp)
	headerAt = len(w.buf) - len(dst)
	return append(w.buf, MediaHeader(0)...), headerAt
}

// MediaHeader returns the header of media data of the given size, in bytes.
func MediaHeader(size int64) []byte {
	w := writer{make([]byte, 0, mediaHeaderSize)}
	w.u32(1) // the size is in the long field
	w.text("mdat")
	w.u64(uint64(size) + mediaHeaderSize)
	return w.buf
}

// AppendFileEnd appends the movie box, which follows the media data. The pre-skip
// is cut off by an edit list, so that the file plays from its first real sample.
func AppendFileEnd(dst []byte, f File) []byte {
	if f.ChunkPackets <= 0 {
		f.ChunkPackets = max(1, Timescale/max(1, f.PacketSamples))
	}
	total := uint64(len(f.Sizes)) * uint64(f.PacketSamples)
	shown := total - min(total, uint64(f.PreSkip))
	w := writer{dst}
	moov := w.open("moov")
	w.mvhd(shown)
	trak := w.open("trak")
	w.tkhd(shown)
	edts := w.open("edts")
	elst := w.openFull("elst", 1, 0)
	w.u32(1)
	w.u64(shown)
	w.u64(uint64(f.PreSkip))
	w.u32(1 << 16) // at normal speed
	w.end(elst)
	w.end(edts)
	w.mdia(f.Track, total, f.table)
	w.end(trak)
	w.end(moov)
	return w.buf
}

// table appends the sample table after the sample description.
func (f File) table(w *writer) {
	n := uint32(len(f.Sizes))
	stts := w.openFull("stts", 0, 0)
	w.u32(1)
	w.u32(n)
	w.u32(uint32(f.PacketSamples))
	w.end(stts)

	chunks, rest := len(f.Sizes)/f.ChunkPackets, len(f.Sizes)%f.ChunkPackets
	stsc := w.openFull("stsc", 0, 0)
	w.u32(0) // number of runs, below
	runs := uint32(0)
	for _, run := range [...]struct{ first, packets, count int }{{1, f.ChunkPackets, chunks}, {chunks + 1, rest, rest}} {
		if run.count > 0 {
			w.u32(uint32(run.first))
			w.u32(uint32(run.packets))
			w.u32(1) // sample description
			runs++
		}
	}
	patch := writer{w.buf[stsc+12 : stsc+12]}
	patch.u32(runs)
	w.end(stsc)

	stsz := w.openFull("stsz", 0, 0)
	w.u32(0) // each has its own size
	w.u32(n)
	for _, size := range f.Sizes {
		w.u32(size)
	}
	w.end(stsz)
	f.chunkOffsets(w)
	f.roll(w)
}

func (f File) chunkOffsets(w *writer) {
	co64 := w.openFull("co64", 0, 0)
	w.u32(uint32((len(f.Sizes) + f.ChunkPackets - 1) / f.ChunkPackets))
	at := uint64(f.Offset)
	for i, size := range f.Sizes {
		if i%f.ChunkPackets == 0 {
			w.u64(at)
		}
		at += uint64(size)
	}
	w.end(co64)
}

// roll says that a decoder that begins in the middle needs 80 ms to be right, as
// the encapsulation of Opus asks for (section 4.3.6.2).
func (f File) roll(w *writer) {
	sgpd := w.openFull("sgpd", 1, 0)
	w.text("roll")
	w.u32(2) // bytes of an entry
	w.u32(1)
	packets := int16(math.Ceil(0.08 * Timescale / float64(max(1, f.PacketSamples))))
	w.u16(uint16(-packets))
	w.end(sgpd)
	sbgp := w.openFull("sbgp", 0, 0)
	w.text("roll")
	w.u32(1)
	w.u32(uint32(len(f.Sizes)))
	w.u32(1)
	w.end(sbgp)
}
