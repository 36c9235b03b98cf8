package fmp4

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrFormat is wrapped by the error for a stream that is not what this package writes.
var ErrFormat = errors.New("not a fragmented MP4 stream of Opus or AAC")

// maxBox bounds a box that is read into memory. A second of 96 kb/s is 12 kB.
const maxBox = 1 << 20

// Part is the next thing in a stream: exactly one field is set.
type Part struct {
	Init     *Track    // the initialisation segment
	Event    *Event    // what rides beside the media
	Fragment *Fragment // the media
}

// Reader reads a live stream part by part. It wants the initialisation segment
// before the first fragment, or a track given to NewReaderFor.
type Reader struct {
	src   *bufio.Reader
	track *Track
}

// NewReader returns a Reader of src, which it buffers.
func NewReader(src io.Reader) *Reader { return &Reader{src: bufio.NewReader(src)} }

// NewReaderFor returns a Reader of src, which begins after the initialisation
// segment of the given track.
func NewReaderFor(src io.Reader, t Track) *Reader {
	return &Reader{src: bufio.NewReader(src), track: &t}
}

// Next returns the next part. What it points to is the caller's.
//
// Errors: io.EOF at the end, io.ErrUnexpectedEOF if the stream ends inside of a
// part, ErrFormat, and those of the source.
func (r *Reader) Next() (Part, error) {
	for {
		kind, size, err := r.header()
		if err != nil {
			return Part{}, err
		}
		switch kind {
		case "moov", "emsg", "moof":
			return r.part(kind, size)
		case "mdat":
			return Part{}, fmt.Errorf("%w: media data that no moof announces", ErrFormat)
		default:
			if err := r.skip(size); err != nil {
				return Part{}, err
			}
		}
	}
}

func (r *Reader) part(kind string, size int64) (Part, error) {
	body, err := r.body(kind, size)
	if err != nil {
		return Part{}, err
	}
	switch kind {
	case "moov":
		track, err := parseInit(body)
		r.track = track
		return Part{Init: track}, err
	case "emsg":
		event, err := parseEvent(body)
		return Part{Event: event}, err
	default:
		fragment, err := r.fragment(body)
		return Part{Fragment: fragment}, err
	}
}

// header reads the header of a box and returns the size of what is in it.
func (r *Reader) header() (kind string, size int64, err error) {
	var head [16]byte
	if _, err := io.ReadFull(r.src, head[:8]); err != nil {
		return "", 0, err
	}
	size = int64(binary.BigEndian.Uint32(head[:])) - 8
	if size == 1-8 {
		if _, err := io.ReadFull(r.src, head[8:]); err != nil {
			return "", 0, unexpected(err)
		}
		size = int64(binary.BigEndian.Uint64(head[8:])) - 16
	}
	if size < 0 {
		return "", 0, fmt.Errorf("%w: a box %q of %d bytes", ErrFormat, head[4:8], size)
	}
	return string(head[4:8]), size, nil
}

func (r *Reader) body(kind string, size int64) ([]byte, error) {
	if size > maxBox {
		return nil, fmt.Errorf("%w: a box %q of %d bytes", ErrFormat, kind, size)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r.src, body)
	return body, unexpected(err)
}

func (r *Reader) skip(size int64) error {
	_, err := io.CopyN(io.Discard, r.src, size)
	return unexpected(err)
}

// unexpected turns an end where none may be into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseInit reads a movie box with one track of Opus or AAC.
func parseInit(moov []byte) (*Track, error) {
	stsd, ok := find(moov, "trak", "mdia", "minf", "stbl", "stsd")
	if !ok || len(stsd) < 8 {
		return nil, fmt.Errorf("%w: no sample description", ErrFormat)
	}
	t, err := parseEntry(stsd[8:])
	if err != nil {
		return nil, err
	}
	if trex, ok := find(moov, "mvex", "trex"); ok && len(trex) >= 16 {
		t.PacketSamples = int(binary.BigEndian.Uint32(trex[12:]))
	}
	mdhd, ok := find(moov, "trak", "mdia", "mdhd")
	c := cursor{data: mdhd}
	if version, _ := c.full(); version == 1 {
		c.take(16)
	} else {
		c.take(8)
	}
	if scale := c.u32(); !ok || scale != Timescale {
		return nil, fmt.Errorf("%w: a timescale of %d instead of %d", ErrFormat, scale, Timescale)
	}
	return t, nil
}

// parseEntry reads a sample description.
func parseEntry(stsd []byte) (*Track, error) {
	const fixed = 28 // bytes of an audio sample entry before its boxes
	if entry, ok := find(stsd, "mp4a"); ok && len(entry) >= fixed {
		config, ok := parseESDS(entry[fixed:])
		if !ok {
			return nil, fmt.Errorf("%w: no AAC description", ErrFormat)
		}
		return &Track{Channels: int(binary.BigEndian.Uint16(entry[16:])), AAC: config}, nil
	}
	entry, ok := find(stsd, "Opus")
	if !ok || len(entry) < fixed {
		return nil, fmt.Errorf("%w: the track is neither Opus nor AAC", ErrFormat)
	}
	dops, ok := find(entry[fixed:], "dOps")
	if !ok || len(dops) < 11 || dops[0] != 0 {
		return nil, fmt.Errorf("%w: no Opus description", ErrFormat)
	}
	return &Track{Channels: int(dops[1]), PreSkip: int(binary.BigEndian.Uint16(dops[2:]))}, nil
}

// parseESDS returns the AudioSpecificConfig of an elementary stream descriptor.
func parseESDS(boxes []byte) (config string, ok bool) {
	esds, ok := find(boxes, "esds")
	if !ok {
		return "", false
	}
	c := cursor{data: esds}
	c.full()
	c.descriptor(esDescriptor)
	c.take(esFixed)
	c.descriptor(decoderDescriptor)
	c.take(decoderFixed)
	config = string(c.take(c.descriptor(decoderSpecific)))
	return config, !c.short && config != ""
}

// descriptor reads the head of a descriptor of the given kind, and returns the size
// of what is in it. Sizes that take several bytes are not written here.
func (c *cursor) descriptor(tag byte) (size int) {
	head := c.take(descriptorHeadSize)
	if c.short || head[0] != tag || head[1] > 127 {
		c.take(-1)
		return 0
	}
	return int(head[1])
}

func parseEvent(emsg []byte) (*Event, error) {
	c := cursor{data: emsg}
	if version, _ := c.full(); version != 1 || c.short {
		return nil, fmt.Errorf("%w: an emsg of version %d", ErrFormat, version)
	}
	scale := c.u32()
	e := &Event{Time: c.u64()}
	c.u32() // duration
	e.ID = c.u32()
	e.Scheme = c.cstring()
	e.Value = c.cstring()
	if c.short || scale != Timescale {
		return nil, fmt.Errorf("%w: a broken emsg", ErrFormat)
	}
	e.Data = c.data
	return e, nil
}

// fragment reads the media data that the moof announces.
func (r *Reader) fragment(moof []byte) (*Fragment, error) {
	if r.track == nil {
		return nil, fmt.Errorf("%w: a fragment before the initialisation segment", ErrFormat)
	}
	f, sizes, offset, err := parseFragment(moof)
	if err != nil {
		return nil, err
	}
	kind, size, err := r.header()
	if err != nil {
		return nil, unexpected(err)
	}
	if kind != "mdat" {
		return nil, fmt.Errorf("%w: %q where media data should be", ErrFormat, kind)
	}
	data, err := r.body(kind, size)
	if err != nil {
		return nil, err
	}
	c := cursor{data: data}
	c.take(int(offset) - (len(moof) + 8) - 8) // both headers
	f.Packets = make([][]byte, len(sizes))
	for i, size := range sizes {
		f.Packets[i] = c.take(int(size))
	}
	if c.short {
		return nil, fmt.Errorf("%w: the media data is shorter than its packets", ErrFormat)
	}
	return f, nil
}

// parseFragment reads a moof: sizes of its packets, and where the first begins,
// counted from the start of the moof.
func parseFragment(moof []byte) (f *Fragment, sizes []uint32, offset int32, err error) {
	mfhd, ok1 := find(moof, "mfhd")
	tfdt, ok2 := find(moof, "traf", "tfdt")
	trun, ok3 := find(moof, "traf", "trun")
	if !ok1 || !ok2 || !ok3 {
		return nil, nil, 0, fmt.Errorf("%w: a fragment without mfhd, tfdt or trun", ErrFormat)
	}
	f = &Fragment{}
	head := cursor{data: mfhd}
	head.full()
	f.Sequence = head.u32()
	start := cursor{data: tfdt}
	if version, _ := start.full(); version == 1 {
		f.Time = start.u64()
	} else {
		f.Time = uint64(start.u32())
	}
	run := cursor{data: trun}
	sizes, offset = parseRun(&run)
	if head.short || start.short || run.short {
		return nil, nil, 0, fmt.Errorf("%w: a broken fragment header", ErrFormat)
	}
	return f, sizes, offset, nil
}

// parseRun reads a track run; each sample must say its size.
func parseRun(c *cursor) (sizes []uint32, offset int32) {
	_, flags := c.full()
	count := c.u32()
	if flags&trunOffset == 0 || flags&trunSizes == 0 {
		c.take(-1)
		return nil, 0
	}
	offset = int32(c.u32())
	if flags&trunFirstFlags != 0 {
		c.u32()
	}
	if int64(count)*4 > int64(len(c.data)) {
		c.take(-1)
		return nil, 0
	}
	sizes = make([]uint32, count)
	for i := range sizes {
		if flags&trunDurations != 0 {
			c.u32()
		}
		sizes[i] = c.u32()
		if flags&trunFlags != 0 {
			c.u32()
		}
		if flags&trunCTS != 0 {
			c.u32()
		}
	}
	return sizes, offset
}
