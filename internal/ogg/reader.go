package ogg

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors of a Reader.
var (
	// ErrNotOpus: the input holds no Ogg Opus stream.
	ErrNotOpus = errors.New("no Opus in this Ogg stream")
	// ErrNotOgg: the input holds no Ogg page where one was looked for.
	ErrNotOgg = errors.New("not an Ogg stream")
)

const (
	// maxPacket bounds what a Reader keeps of a packet that spans pages: far above
	// any Opus packet (RFC 6716 allows 61 kB), and enough for tags with a picture.
	maxPacket = 4 << 20
	// maxGarbage is how far a Reader looks for the next page.
	maxGarbage = 1 << 20
)

// Packet is one Opus packet of a stream.
type Packet struct {
	Data []byte // valid until the next call of Next
	// Granule is that of the page, if this is the last packet that ends on it:
	// samples up to the end of this packet. Else NoGranule.
	Granule int64
	Gap     bool // pages are missing or were damaged before this packet
	Last    bool // the last packet of its logical stream
}

// Reader reads the Opus packets of an Ogg stream: those of the first Opus stream,
// and of the ones chained to it. Other logical streams are skipped. It reads on
// after damage, and marks the packet after it.
type Reader struct {
	src  *bufio.Reader
	page []byte // the current page, whole

	head    Head
	found   bool   // an Opus stream was found: serial is its number
	serial  uint32 // of the stream that is followed
	next    uint32 // number of its next page
	ended   bool   // its last page was read
	headers int    // header packets still to come

	lacing  []byte // of the current page, not yet used
	body    []byte // of the current page, not yet used
	granule int64
	last    bool   // the current page is the stream's last
	partial []byte // of a packet that goes on on the next page
	open    bool   // partial is the beginning of a packet
	drop    bool   // the packet that goes on is thrown away: its beginning is missing
	gap     bool
}

// NewReader returns a Reader of src, which it buffers.
func NewReader(src io.Reader) *Reader {
	return &Reader{src: bufio.NewReaderSize(src, headerSize+maxSegments+maxBody), page: make([]byte, 0, 4096)}
}

// Head returns the identification header of the stream that the newest packet
// belongs to. It reads up to the first one, if none was read yet.
//
// Errors: ErrNotOgg, ErrNotOpus, ErrHead, and those of the source.
func (r *Reader) Head() (Head, error) {
	for !r.found {
		if err := r.nextPage(); err != nil {
			return Head{}, err
		}
	}
	return r.head, nil
}

// Next returns the next audio packet; headers are not returned. A packet that the
// end of the input cuts off is left out.
//
// Errors: io.EOF at the end, and those of Head.
func (r *Reader) Next() (Packet, error) {
	for {
		for len(r.lacing) > 0 {
			packet, whole := r.take()
			if !whole {
				continue
			}
			if r.isHeader(packet.Data) {
				continue
			}
			r.gap = false
			return packet, nil
		}
		if err := r.nextPage(); err != nil {
			return Packet{}, err
		}
	}
}

// isHeader reports whether the packet is one of the two headers that are still to
// come. They are told by their first bytes, since damage may have taken either.
func (r *Reader) isHeader(packet []byte) bool {
	if r.headers == 0 {
		return false
	}
	r.headers--
	if bytes.HasPrefix(packet, []byte("OpusHead")) || bytes.HasPrefix(packet, []byte("OpusTags")) {
		return true
	}
	r.headers = 0
	return false
}

// take uses up the lacing values of one packet, or of the part of it that is on
// this page.
func (r *Reader) take() (packet Packet, whole bool) {
	size, used := 0, 0
	for used < len(r.lacing) && !whole {
		size += int(r.lacing[used])
		whole = r.lacing[used] < 255
		used++
	}
	data := r.body[:size]
	r.lacing, r.body = r.lacing[used:], r.body[size:]
	if r.open || !whole {
		data = r.join(data)
	}
	if !whole {
		r.open = true
		return Packet{}, false
	}
	dropped := r.drop
	r.open, r.drop = false, false
	r.partial = r.partial[:0]
	if dropped {
		return Packet{}, false
	}
	packet = Packet{Data: data, Granule: NoGranule, Gap: r.gap}
	if !r.endsLater() {
		packet.Granule, packet.Last = r.granule, r.last
	}
	return packet, true
}

// join adds data to the packet that spans pages and returns what there is of it.
func (r *Reader) join(data []byte) []byte {
	if r.drop || len(r.partial)+len(data) > maxPacket {
		r.drop, r.gap = true, true
		return nil
	}
	r.partial = append(r.partial, data...)
	return r.partial
}

// endsLater reports whether one more packet ends on the current page.
func (r *Reader) endsLater() bool {
	for _, l := range r.lacing {
		if l < 255 {
			return true
		}
	}
	return false
}

// nextPage reads the next page of the stream that is followed.
func (r *Reader) nextPage() error {
	for {
		if err := r.readPage(); err != nil {
			if err == io.EOF && !r.found {
				return ErrNotOpus
			}
			return err
		}
		flags := r.page[5]
		serial := binary.LittleEndian.Uint32(r.page[14:])
		segments := int(r.page[headerSize-1])
		lacing := r.page[headerSize : headerSize+segments]
		body := r.page[headerSize+segments:]
		if flags&First != 0 {
			if !r.follow(serial, lacing, body) {
				continue
			}
		} else if !r.found {
			return ErrNotOpus // every stream's first page comes before all other pages
		}
		if serial != r.serial || r.ended && flags&First == 0 {
			continue
		}
		r.enter(flags, lacing, body)
		return nil
	}
}

// follow takes up the logical stream that begins, if it is one of Opus and no
// other is under way.
func (r *Reader) follow(serial uint32, lacing, body []byte) bool {
	if r.found && !r.ended && serial != r.serial {
		return false
	}
	if len(lacing) == 0 || !bytes.HasPrefix(body, []byte("OpusHead")) {
		return false
	}
	head, err := ParseHead(body[:min(int(lacing[0]), len(body))])
	if err != nil {
		return false
	}
	r.head, r.serial, r.found, r.ended = head, serial, true, false
	r.headers = 2
	r.next = binary.LittleEndian.Uint32(r.page[18:])
	r.partial, r.open, r.drop = r.partial[:0], false, false
	return true
}

// enter makes the page just read the current one, and sees whether it goes on
// where the one before stopped.
func (r *Reader) enter(flags byte, lacing, body []byte) {
	sequence := binary.LittleEndian.Uint32(r.page[18:])
	if sequence != r.next {
		r.gap = true
		r.partial, r.open, r.drop = r.partial[:0], false, false
	}
	r.next = sequence + 1
	r.lacing, r.body = lacing, body
	r.granule = int64(binary.LittleEndian.Uint64(r.page[6:]))
	r.last = flags&Last != 0
	r.ended = r.last
	continued := flags&Continued != 0
	switch {
	case continued && !r.open: // the beginning is lost
		r.open, r.drop, r.gap = true, true, true
	case !continued && r.open: // the rest is lost
		r.partial, r.open, r.drop = r.partial[:0], false, false
		r.gap = true
	}
}

// readPage reads one page with a right checksum into r.page, looking for it as
// far as maxGarbage.
func (r *Reader) readPage() error {
	skipped := 0
	for {
		n, err := r.peekPage()
		if err == nil {
			r.page = r.page[:0]
			whole, _ := r.src.Peek(n) // buffered by peekPage
			r.page = append(r.page, whole...)
			_, err = r.src.Discard(n)
			return err
		}
		if !errors.Is(err, errNoPage) {
			return err
		}
		r.gap = r.gap || r.found
		step, err := r.seekCapture()
		skipped += step
		if err != nil {
			return err
		}
		if skipped > maxGarbage {
			return fmt.Errorf("%w: no page in %d bytes", ErrNotOgg, skipped)
		}
	}
}

// errNoPage: no page begins where the reader stands.
var errNoPage = errors.New("no page here")

// peekPage returns the size of the page that begins where the reader stands.
func (r *Reader) peekPage() (int, error) {
	head, err := r.peek(headerSize)
	if err != nil {
		return 0, err
	}
	if string(head[:5]) != "OggS\x00" {
		return 0, errNoPage
	}
	segments := int(head[headerSize-1])
	if head, err = r.peek(headerSize + segments); err != nil {
		return 0, err
	}
	size := headerSize + segments
	for _, l := range head[headerSize:] {
		size += int(l)
	}
	page, err := r.peek(size)
	if err != nil {
		return 0, err
	}
	crc := checksum(0, page[:crcOffset])
	crc = checksum(crc, []byte{0, 0, 0, 0})
	crc = checksum(crc, page[crcOffset+4:])
	if crc != binary.LittleEndian.Uint32(page[crcOffset:]) {
		return 0, errNoPage
	}
	return size, nil
}

// peek returns the next n bytes. What is cut off by the end of the input is no
// page, unless nothing is left at all.
func (r *Reader) peek(n int) ([]byte, error) {
	b, err := r.src.Peek(n)
	if err == io.EOF && len(b) > 0 {
		return nil, errNoPage
	}
	return b, err
}

// seekCapture moves on by at least one byte, to where a page may begin.
func (r *Reader) seekCapture() (int, error) {
	if _, err := r.src.Discard(1); err != nil {
		return 0, err
	}
	b, _ := r.src.Peek(r.src.Buffered())
	step := len(b) - min(len(b), 3) // the last three bytes may begin a capture pattern
	if i := bytes.Index(b, []byte("OggS")); i >= 0 {
		step = i
	}
	if step == 0 && len(b) <= 3 { // wait for more, or see the end
		if more, err := r.src.Peek(4); err != nil {
			n, _ := r.src.Discard(len(more))
			return 1 + n, err
		}
		return 1, nil
	}
	n, err := r.src.Discard(step)
	return 1 + n, err
}
