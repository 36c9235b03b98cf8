package fmp4

// The boxes that live streams and files have in common.

// matrix leaves a picture as it is; sound has to carry it too.
func (w *writer) matrix() {
	for _, v := range [9]uint32{1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30} {
		w.u32(v)
	}
}

// mvhd appends the movie header; duration in Timescale, 0 for a live stream.
func (w *writer) mvhd(duration uint64) {
	b := w.openFull("mvhd", 1, 0)
	w.zeros(16) // created, changed
	w.u32(Timescale)
	w.u64(duration)
	w.u32(1 << 16) // speed
	w.u16(1 << 8)  // volume
	w.zeros(10)
	w.matrix()
	w.zeros(24)
	w.u32(trackID + 1) // the next track's number
	w.end(b)
}

// tkhd appends the track header; duration in Timescale, 0 for a live stream.
func (w *writer) tkhd(duration uint64) {
	b := w.openFull("tkhd", 1, 3) // enabled, in the movie
	w.zeros(16)
	w.u32(trackID)
	w.zeros(4)
	w.u64(duration)
	w.zeros(8 + 4) // layer, group
	w.u16(1 << 8)  // volume
	w.zeros(2)
	w.matrix()
	w.zeros(8) // width, height
	w.end(b)
}

// mdia appends the media box. table appends what follows the sample description.
func (w *writer) mdia(t Track, duration uint64, table func(*writer)) {
	mdia := w.open("mdia")
	mdhd := w.openFull("mdhd", 1, 0)
	w.zeros(16)
	w.u32(Timescale)
	w.u64(duration)
	w.u16(0x55c4) // language not said: "und"
	w.u16(0)
	w.end(mdhd)
	hdlr := w.openFull("hdlr", 0, 0)
	w.zeros(4)
	w.text("soun")
	w.zeros(12)
	w.cstring("sound")
	w.end(hdlr)
	minf := w.open("minf")
	smhd := w.openFull("smhd", 0, 0)
	w.zeros(4)
	w.end(smhd)
	dinf := w.open("dinf")
	dref := w.openFull("dref", 0, 0)
	w.u32(1)
	url := w.openFull("url ", 0, 1) // the data is in this file
	w.end(url)
	w.end(dref)
	w.end(dinf)
	stbl := w.open("stbl")
	w.stsd(t)
	table(w)
	w.end(stbl)
	w.end(minf)
	w.end(mdia)
}

// stsd appends the sample description: an OpusSampleEntry with its dOps, or an
// MP4AudioSampleEntry with its esds.
func (w *writer) stsd(t Track) {
	stsd := w.openFull("stsd", 0, 0)
	w.u32(1)
	kind := "Opus"
	if t.AAC != "" {
		kind = "mp4a"
	}
	entry := w.open(kind)
	w.zeros(6)
	w.u16(1) // data reference
	w.zeros(8)
	w.u16(uint16(t.Channels))
	w.u16(16) // bits of a sample: always said so
	w.zeros(4)
	w.u32(Timescale << 16)
	if t.AAC != "" {
		w.esds(t.AAC)
	} else {
		w.dops(t)
	}
	w.end(entry)
	w.end(stsd)
}

func (w *writer) dops(t Track) {
	dops := w.open("dOps")
	w.u8(0) // version
	w.u8(byte(t.Channels))
	w.u16(uint16(t.PreSkip))
	w.u32(Timescale) // rate of the input
	w.u16(0)         // gain
	w.u8(0)          // mapping family
	w.end(dops)
}

// Descriptors of an elementary stream (ISO/IEC 14496-1, section 7.2.2.1), and what
// is in them for AAC.
const (
	esDescriptor       = 0x03
	decoderDescriptor  = 0x04
	decoderSpecific    = 0x05
	syncDescriptor     = 0x06
	objectAAC          = 0x40
	audioStream        = 0x05<<2 | 1 // the lowest bit is reserved, and set
	syncPredefinedMP4  = 0x02
	decoderFixed       = 13 // bytes of a decoder descriptor before its inner one
	esFixed            = 3
	descriptorHeadSize = 2 // what is in it is always shorter than 128 bytes
)

// esds appends the elementary stream descriptor of AAC.
func (w *writer) esds(config string) {
	specific := len(config)
	decoder := decoderFixed + descriptorHeadSize + specific
	esds := w.openFull("esds", 0, 0)
	w.descriptor(esDescriptor, esFixed+descriptorHeadSize+decoder+descriptorHeadSize+1)
	w.u16(0) // number of the stream: the track says
	w.u8(0)
	w.descriptor(decoderDescriptor, decoder)
	w.u8(objectAAC)
	w.u8(audioStream)
	w.zeros(3 + 4 + 4) // size of a buffer, rates at the peak and over time: not said
	w.descriptor(decoderSpecific, specific)
	w.text(config)
	w.descriptor(syncDescriptor, 1)
	w.u8(syncPredefinedMP4)
	w.end(esds)
}

func (w *writer) descriptor(tag byte, size int) {
	w.u8(tag)
	w.u8(byte(size))
}

// emptyTable is the sample table of a live stream: every sample is in a fragment.
func emptyTable(w *writer) {
	for _, kind := range [...]string{"stts", "stsc"} {
		b := w.openFull(kind, 0, 0)
		w.u32(0)
		w.end(b)
	}
	stsz := w.openFull("stsz", 0, 0)
	w.u32(0)
	w.u32(0)
	w.end(stsz)
	stco := w.openFull("stco", 0, 0)
	w.u32(0)
	w.end(stco)
}
