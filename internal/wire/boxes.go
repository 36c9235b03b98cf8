// Package wire takes apart what a server sends, as it comes: the answers of HTTP and
// the boxes of a live stream, cut anywhere, for thousands of connections at once.
//
//	taken, done, err := head.Take(b)            // the head of an answer
//	framing.Begin(&head)
//	body, rest, err := framing.Take(b[taken:])  // its body, chunked or not
//	err = boxes.Feed(body, &pool, sink)         // the stream in it
//
// A connection at rest has nothing here but a few counters: what is complete in what
// was read is looked at there, and what is not is kept in a part lent from a pool.
// net/http and fmp4.Reader, which do the same for one connection with a goroutine and
// a buffer of its own, are what it is tried against.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/cespare/xxhash/v2"

	"hustings/internal/fmp4"
)

// Fragment is a fragment of media as it came.
type Fragment struct {
	Seq     uint32 // of mfhd
	Time    uint64 // of tfdt, in samples
	Packets int
	Size    int    // of its boxes, in bytes
	Hash    uint64 // xxHash of its boxes, moof and mdat
	// Boxes are its bytes, valid during the call only; nil if they came in pieces and
	// nobody asked for them.
	Boxes []byte
}

// Sink takes the parts of a stream. An error ends it.
type Sink interface {
	Init(box []byte) error
	Event(box []byte) error
	Fragment(f Fragment) error
}

// Boxes is where a stream stands: what fmp4.Reader is to a single stream, for
// thousands that come in pieces. What is complete in what was read is looked at
// there. Only of a part that is not, something is kept: its first bytes, and of
// media data a running hash.
type Boxes struct {
	part    *part // what has begun and is not complete; nil at rest
	tracked bool  // the initialisation segment came
	Whole   bool  // fragments are to be given with their bytes
}

// part is what came of a box, or of a fragment, that is not complete. Parts are lent
// from a pool.
type part struct {
	kept   []byte
	want   int   // bytes to keep before there is anything to decide
	left   int64 // bytes of what is skipped or hashed that are to come yet
	hashes bool  // what comes is media data
	f      Fragment
	digest xxhash.Digest
}

// Pool lends parts. It is its loop's own.
type Pool struct {
	free []*part
	all  int
}

// What a part has at first to keep bytes in, and may have when it is given back.
const (
	keptFirst = 512
	keptMost  = 16 << 10
)

// Memory is what the parts take that the pool has made, in bytes.
func (p *Pool) Memory() int { return p.all * (int(unsafe.Sizeof(part{})) + keptFirst) }

func (p *Pool) lend() *part {
	if n := len(p.free); n > 0 {
		last := p.free[n-1]
		p.free = p.free[:n-1]
		return last
	}
	p.all++
	return &part{kept: make([]byte, 0, keptFirst)}
}

func (p *Pool) takeBack(old *part) {
	if cap(old.kept) > keptMost {
		p.all--
		return
	}
	*old = part{kept: old.kept[:0]}
	p.free = append(p.free, old)
}

// maxBox bounds what is kept of a stream, as fmp4 does.
const maxBox = 1 << 20

// Sizes of a box's header.
const (
	shortHeader = 8
	longHeader  = 16
)

// header reads the header of the box at the front of b: its kind, and the sizes of
// the header and of what is in it. ok is false while it is not complete.
func header(b []byte) (kind string, head int, body int64, ok bool, err error) {
	if len(b) < shortHeader {
		return "", 0, 0, false, nil
	}
	head, body = shortHeader, int64(binary.BigEndian.Uint32(b))-shortHeader
	if body == 1-shortHeader {
		if len(b) < longHeader {
			return "", longHeader, 0, false, nil
		}
		head, body = longHeader, int64(binary.BigEndian.Uint64(b[8:]))-longHeader
	}
	kind = kindOf(b[4:8])
	if body < 0 || (body > maxBox && kind != "") {
		return "", 0, 0, false, fmt.Errorf("%w: a box %q of %d bytes", fmp4.ErrFormat, b[4:8], body)
	}
	return kind, head, body, true, nil
}

// kindOf returns the kinds of boxes that matter, and "" for all others, without
// making a string.
func kindOf(name []byte) string {
	switch string(name) {
	case "moov":
		return "moov"
	case "emsg":
		return "emsg"
	case "moof":
		return "moof"
	case "mdat":
		return "mdat"
	}
	return ""
}

// Feed takes the next bytes of the stream.
func (x *Boxes) Feed(b []byte, p *Pool, s Sink) error {
	for len(b) > 0 {
		if x.part == nil {
			n, err := x.complete(b, s)
			if err != nil {
				return err
			}
			if n > 0 {
				b = b[n:]
				continue
			}
			x.part = p.lend()
			x.part.want = shortHeader
		}
		n, err := x.incomplete(b, s)
		if err != nil {
			return err
		}
		b = b[n:]
		if q := x.part; q.want == 0 && q.left == 0 {
			p.takeBack(q)
			x.part = nil
		}
	}
	return nil
}

// Begin makes it ready for the next stream, which begins with its initialisation
// segment. What the one before left is to be dropped first.
func (x *Boxes) Begin() { x.tracked = false }

// Drop forgets what is incomplete: the stream is over.
func (x *Boxes) Drop(p *Pool) {
	if x.part != nil {
		p.takeBack(x.part)
		x.part = nil
	}
}

// complete takes the box, or the fragment, at the front of b, and returns its size;
// 0 if it is not complete in b.
func (x *Boxes) complete(b []byte, s Sink) (size int, err error) {
	kind, head, body, ok, err := header(b)
	if err != nil || !ok {
		return 0, err
	}
	if kind == "mdat" {
		return 0, errLoneData
	}
	if int64(len(b)) < int64(head)+body {
		return 0, nil
	}
	size = head + int(body)
	switch kind {
	case "moov":
		x.tracked = true
		return size, s.Init(b[:size])
	case "emsg":
		return size, s.Event(b[:size])
	case "moof":
		_, dataHead, data, ok, err := header(b[size:])
		if err != nil || !ok || len(b) < size+dataHead+int(data) {
			return 0, nil // if it is wrong, that is found when it is taken in pieces
		}
		f, err := x.open(b[:size+dataHead], size)
		if err != nil {
			return 0, err
		}
		f.Boxes = b[:f.Size]
		f.Hash = xxhash.Sum64(f.Boxes)
		return f.Size, s.Fragment(f)
	}
	return size, nil
}

// incomplete takes what it can of b into the part that is under way.
func (x *Boxes) incomplete(b []byte, s Sink) (taken int, err error) {
	p := x.part
	if p.want > 0 {
		n := min(p.want-len(p.kept), len(b))
		p.kept = append(p.kept, b[:n]...)
		if len(p.kept) < p.want {
			return n, nil
		}
		return n, x.decide(s)
	}
	n := int(min(p.left, int64(len(b))))
	p.left -= int64(n)
	if !p.hashes {
		return n, nil
	}
	_, _ = p.digest.Write(b[:n]) // never fails
	if x.Whole {
		p.kept = append(p.kept, b[:n]...)
	}
	if p.left > 0 {
		return n, nil
	}
	return n, x.deliver(s)
}

// decide says what to do once as much is kept as was wanted.
func (x *Boxes) decide(s Sink) error {
	p := x.part
	kind, head, body, ok, err := header(p.kept)
	switch {
	case err != nil:
		return err
	case !ok:
		p.want = longHeader
		return nil
	case kind == "":
		p.want, p.left = 0, body
		return nil
	case kind == "mdat":
		return errLoneData
	}
	size := head + int(body)
	switch {
	case len(p.kept) < size:
		p.want = size
		return nil
	case kind == "moov":
		p.want, x.tracked = 0, true
		return s.Init(p.kept)
	case kind == "emsg":
		p.want = 0
		return s.Event(p.kept)
	}
	return x.decideFragment(s, size)
}

// decideFragment goes on behind a moof of the given size.
func (x *Boxes) decideFragment(s Sink, moof int) error {
	p := x.part
	if len(p.kept) == moof {
		if _, err := scanMoof(p.kept); err != nil { // told before the data are there
			return err
		}
	}
	_, head, data, ok, err := header(p.kept[moof:])
	if err != nil {
		return err
	}
	if !ok {
		p.want = moof + max(head, shortHeader)
		return nil
	}
	if p.f, err = x.open(p.kept, moof); err != nil {
		return err
	}
	p.digest.Reset()
	_, _ = p.digest.Write(p.kept)
	p.want, p.left, p.hashes = 0, data, true
	if data == 0 {
		return x.deliver(s)
	}
	return nil
}

// deliver gives out the fragment that is complete now.
func (x *Boxes) deliver(s Sink) error {
	p := x.part
	p.f.Hash = p.digest.Sum64()
	if x.Whole {
		p.f.Boxes = p.kept
	}
	return s.Fragment(p.f)
}

var errLoneData = fmt.Errorf("%w: media data that no moof announces", fmp4.ErrFormat)

// open reads a moof of the given size and the header of its mdat behind it.
func (x *Boxes) open(b []byte, moof int) (Fragment, error) {
	if !x.tracked {
		return Fragment{}, fmt.Errorf("%w: a fragment before the initialisation segment", fmp4.ErrFormat)
	}
	m, err := scanMoof(b[:moof])
	if err != nil {
		return Fragment{}, err
	}
	kind, head, data, _, err := header(b[moof:])
	if err != nil {
		return Fragment{}, err
	}
	if kind != "mdat" {
		return Fragment{}, fmt.Errorf("%w: something else where media data should be", fmp4.ErrFormat)
	}
	if m.before < 0 || m.before+m.payload > data {
		return Fragment{}, fmt.Errorf("%w: the media data is shorter than its packets", fmp4.ErrFormat)
	}
	return Fragment{Seq: m.seq, Time: m.time, Packets: m.packets, Size: moof + head + int(data)}, nil
}

// moof is what a fragment's header says.
type moof struct {
	seq     uint32
	time    uint64
	packets int
	before  int64 // bytes of the media data before the first packet
	payload int64 // bytes of all packets
}

var errMoof = fmt.Errorf("%w: a broken fragment header", fmp4.ErrFormat)

// scanMoof reads a whole moof box as fmp4.Reader does, without memory of its own.
func scanMoof(box []byte) (m moof, err error) {
	_, head, _, ok, err := header(box)
	if err != nil || !ok {
		return m, errors.Join(errMoof, err)
	}
	body := box[head:]
	mfhd, ok1 := child(body, "mfhd")
	traf, ok2 := child(body, "traf")
	tfdt, ok3 := child(traf, "tfdt")
	trun, ok4 := child(traf, "trun")
	if !ok1 || !ok2 || !ok3 || !ok4 || len(mfhd) < 8 || len(tfdt) < 8 {
		return m, errMoof
	}
	m.seq = binary.BigEndian.Uint32(mfhd[4:])
	switch {
	case tfdt[0] != 1:
		m.time = uint64(binary.BigEndian.Uint32(tfdt[4:]))
	case len(tfdt) < 12:
		return m, errMoof
	default:
		m.time = binary.BigEndian.Uint64(tfdt[4:])
	}
	return m, m.run(trun, len(body))
}

// Flags of a track run (ISO/IEC 14496-12, section 8.8.8).
const (
	runOffset     = 0x000001
	runFirstFlags = 0x000004
	runDurations  = 0x000100
	runSizes      = 0x000200
	runFlags      = 0x000400
	runOffsets    = 0x000800
)

// run reads a track run in a moof of the given size.
func (m *moof) run(trun []byte, size int) error {
	if len(trun) < 12 {
		return errMoof
	}
	flags, count := binary.BigEndian.Uint32(trun)&0xffffff, binary.BigEndian.Uint32(trun[4:])
	if flags&runOffset == 0 || flags&runSizes == 0 {
		return errMoof
	}
	// Data offsets count from the moof's first byte; both headers are short ones.
	m.before = int64(int32(binary.BigEndian.Uint32(trun[8:]))) - int64(size) - 2*shortHeader
	rest := trun[12:]
	if flags&runFirstFlags != 0 {
		if len(rest) < 4 {
			return errMoof
		}
		rest = rest[4:]
	}
	at, each := 0, 4
	if flags&runDurations != 0 {
		at, each = 4, each+4
	}
	if flags&runFlags != 0 {
		each += 4
	}
	if flags&runOffsets != 0 {
		each += 4
	}
	if int64(count)*int64(each) > int64(len(rest)) {
		return errMoof
	}
	m.packets = int(count)
	for ; count > 0; count-- {
		m.payload += int64(binary.BigEndian.Uint32(rest[at:]))
		rest = rest[each:]
	}
	return nil
}

// child returns what is in the first box of a kind inside of another one.
func child(b []byte, kind string) (body []byte, ok bool) {
	for len(b) >= shortHeader {
		size := binary.BigEndian.Uint32(b)
		if size < shortHeader || int64(size) > int64(len(b)) {
			return nil, false
		}
		if string(b[4:8]) == kind {
			return b[shortHeader:size], true
		}
		b = b[size:]
	}
	return nil, false
}
