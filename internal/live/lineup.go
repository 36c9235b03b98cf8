package live

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"hustings/internal/space"
)

// The programme as HLS lists it. A part is a block. A segment is the blocks of one
// epoch whose Seq, divided by eight, is the same: 4 s, unless an epoch begins or ends
// within. So segments are the same on every node, and never change.
const (
	segmentBlocks = 8
	// listedSegments are listed beside the one in the making. What is listed must be
	// there for as long again after it was taken off the list; broadcast keeps 60 s.
	listedSegments = 9
	// slid is the length in blocks of a window that has begun to slide. What its first
	// segment lacks then was there before; in a shorter one it never was.
	slid = 60
	// longestGap is how many segments may be missing within a list.
	longestGap = 16
)

// key names a part: a Seq may come again in a later epoch.
type key struct {
	epoch uint32
	seq   uint64
}

func (k key) compare(o key) int {
	return cmp.Or(cmp.Compare(k.epoch, o.epoch), cmp.Compare(k.seq, o.seq))
}

// piece is a part of a sound's window. Times are in samples since the doors opened.
type piece struct {
	key
	start, samples int64
	files          *[renditionCount]lazy // what it is in each rendition
}

func (p piece) end() int64 { return p.start + p.samples }

// segment is a run of parts. It is never changed once it is complete.
type segment struct {
	number   uint64 // media sequence number
	epoch    uint32
	index    uint64 // Seq of its blocks, divided by segmentBlocks
	pieces   []piece
	complete bool
	breaks   bool  // a discontinuity comes before it
	missing  int64 // of one that can't be had: its length in samples
	files    [renditionCount]lazy
}

func (s *segment) samples() (n int64) {
	if s.missing > 0 {
		return s.missing
	}
	for _, p := range s.pieces {
		n += p.samples
	}
	return n
}

// blocks names the blocks of a segment that are not all of its eight, as runs of
// their numbers: it belongs into its address, since a node that knows more has a
// segment of more.
func (s *segment) blocks() string {
	if len(s.pieces) == segmentBlocks {
		return ""
	}
	var text strings.Builder
	for i, p := range s.pieces {
		switch {
		case i > 0 && s.pieces[i-1].seq+1 == p.seq:
			if i+1 < len(s.pieces) && s.pieces[i+1].seq == p.seq+1 {
				continue
			}
			text.WriteByte('-')
		case i > 0:
			text.WriteByte(',')
		}
		text.WriteString(strconv.FormatUint(p.seq, 10))
	}
	return text.String()
}

// numbering gives segments their media sequence numbers: a segment's index and epoch
// added up, so that all nodes agree without asking each other, and a restart in the
// middle of a segment, which is one segment more, makes it one more.
type numbering struct {
	from  uint32 // the epoch from which on drift is added
	drift uint64 // for blocks that an epoch has again: they take new numbers
}

func (n *numbering) of(epoch uint32, index uint64) uint64 {
	number := index + uint64(epoch)
	if epoch >= n.from {
		number += n.drift
	}
	return number
}

// after makes the number of a segment that comes after another one be beyond it.
func (n *numbering) after(previous, number uint64, epoch uint32) uint64 {
	if number > previous {
		return number
	}
	n.from, n.drift = epoch, n.drift+previous+1-number
	return previous + 1
}

// arrange makes segments of the parts of a window, oldest first. Those that were
// complete before stay as they are.
func arrange(pieces []piece, final bool, before []*segment, n *numbering) (line []*segment) {
	for len(pieces) > 0 {
		first, size := pieces[0], 1
		for size < len(pieces) && pieces[size].epoch == first.epoch && pieces[size].seq/segmentBlocks == first.seq/segmentBlocks {
			size++
		}
		s := &segment{epoch: first.epoch, index: first.seq / segmentBlocks, pieces: pieces[:size:size]}
		pieces = pieces[size:]
		s.number = n.of(s.epoch, s.index)
		s.complete = len(pieces) > 0 || final || s.pieces[size-1].seq%segmentBlocks == segmentBlocks-1
		if len(line) > 0 {
			line = follow(line, s, n)
		}
		line = append(line, settled(s, before))
	}
	if len(line) > 0 && cutShort(line[0]) && lengthOf(line) >= slid {
		line = line[1:]
	}
	return line
}

// follow fits a segment behind those before it. What lies between them is listed as
// missing; when that is too much, those before are let go.
func follow(line []*segment, s *segment, n *numbering) []*segment {
	last := line[len(line)-1]
	s.number = n.after(last.number, s.number, s.epoch)
	missing := s.number - last.number - 1
	if missing > longestGap {
		return nil
	}
	end := s.pieces[0].start
	if len(last.pieces) > 0 {
		end = last.pieces[len(last.pieces)-1].end()
	}
	hole := max(0, s.pieces[0].start-end)
	breaks := uint64(s.epoch - last.epoch)
	for i := range missing {
		filler := &segment{
			number: last.number + 1 + i, epoch: last.epoch, complete: true, breaks: missing-i < breaks,
			missing: min(max(hole/int64(missing), blockSamples), segmentBlocks*blockSamples),
		}
		if filler.breaks {
			filler.epoch = s.epoch - uint32(missing-i)
		}
		line = append(line, filler)
	}
	s.breaks = breaks > 0
	return line
}

// settled returns the segment as it was before, if it was complete.
func settled(s *segment, before []*segment) *segment {
	i, found := slices.BinarySearchFunc(before, s.number, func(b *segment, number uint64) int { return cmp.Compare(b.number, number) })
	if found && before[i].complete && before[i].epoch == s.epoch && before[i].index == s.index {
		return before[i]
	}
	return s
}

// cutShort reports whether a segment begins with another block than its first.
func cutShort(s *segment) bool { return len(s.pieces) > 0 && s.pieces[0].seq%segmentBlocks != 0 }

func lengthOf(line []*segment) (blocks int) {
	for _, s := range line {
		blocks += len(s.pieces)
	}
	return blocks
}

// listed returns those segments that are in the list.
func listed(line []*segment) []*segment {
	keep := listedSegments
	if len(line) > 0 && !line[len(line)-1].complete {
		keep++
	}
	return line[max(0, len(line)-keep):]
}

// sound is where the parts of some renditions come from.
type sound interface {
	// window returns what is kept; changed is closed when that is not the newest any
	// more. There may be no part yet.
	window(id space.ID) (pieces []piece, final bool, changed <-chan struct{}, ok bool)
	fragment(id space.ID, k key, rendition int) ([]byte, bool)
	init(id space.ID, rendition int) ([]byte, bool)
}
