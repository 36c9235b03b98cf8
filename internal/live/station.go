package live

import (
	"hash/crc32"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hustings/internal/aac"
	"hustings/internal/hls"
	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	targetSeconds = segmentBlocks * blockSamples / programme.SampleRate // of a segment
	target        = targetSeconds * time.Second
	blockTime     = time.Second * blockSamples / programme.SampleRate
)

// station is one sound of one space, as HLS has it. It takes up new parts when it is
// asked, and costs nothing while it is not.
type station struct {
	id     space.ID
	sound  sound
	opened time.Time       // when sample 0 was heard
	peer   func() *edition // of the space's other sound; nil while nobody hears that

	now atomic.Pointer[edition]

	mu    sync.Mutex // held to make an edition; guards what follows
	count numbering
}

// edition is what is listed until there is something newer. It is never changed, but
// for what is rendered when it is first asked for.
type edition struct {
	station *station
	changed <-chan struct{} // closed when it is not the newest any more
	final   bool
	pieces  []piece    // all that are kept, oldest first
	line    []*segment // made of them
	inits   map[uint32]*[renditionCount]lazy
	lists   [renditionCount][2]lazy // whole, and without what may be skipped
}

// edition returns the newest one, nil if nothing of the programme is kept.
func (s *station) edition() *edition {
	if e := s.now.Load(); e != nil && !closed(e.changed) {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.now.Load()
	if e != nil && !closed(e.changed) {
		return e
	}
	pieces, final, changed, ok := s.sound.window(s.id)
	if !ok {
		s.now.Store(nil)
		return nil
	}
	next := s.next(e, pieces, final, changed)
	s.now.Store(next)
	return next
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// next makes the edition after another one, nil for the first, with mu held.
func (s *station) next(before *edition, pieces []piece, final bool, changed <-chan struct{}) *edition {
	e := &edition{station: s, changed: changed, final: final, pieces: pieces, inits: make(map[uint32]*[renditionCount]lazy)}
	var old []piece
	var line []*segment
	if before != nil {
		old, line = before.pieces, before.line
	}
	for i := range pieces { // both are in order
		for len(old) > 0 && old[0].compare(pieces[i].key) < 0 {
			old = old[1:]
		}
		if len(old) > 0 && old[0].key == pieces[i].key {
			pieces[i] = old[0]
		} else {
			pieces[i].files = new([renditionCount]lazy)
		}
	}
	e.line = arrange(pieces, final, line, &s.count)
	for _, segment := range e.line {
		if before != nil && before.inits[segment.epoch] != nil {
			e.inits[segment.epoch] = before.inits[segment.epoch]
		} else if e.inits[segment.epoch] == nil {
			e.inits[segment.epoch] = new([renditionCount]lazy)
		}
	}
	return e
}

// newest returns the newest part's name; there must be one.
func (e *edition) newest() key { return e.pieces[len(e.pieces)-1].key }

// find returns a part. Without an epoch it is that of the newest one that has it.
func (e *edition) find(k key, anyEpoch bool) (piece, bool) {
	if !anyEpoch {
		i, ok := slices.BinarySearchFunc(e.pieces, k, func(p piece, k key) int { return p.compare(k) })
		if !ok {
			return piece{}, false
		}
		return e.pieces[i], true
	}
	for i := len(e.pieces) - 1; i >= 0; i-- {
		if e.pieces[i].seq == k.seq {
			return e.pieces[i], true
		}
	}
	return piece{}, false
}

// announces reports whether a part is the one that the edition hints at.
func (e *edition) announces(k key, anyEpoch bool) bool {
	if e.final || len(e.pieces) == 0 {
		return false
	}
	newest := e.newest()
	return k.seq == newest.seq+1 && (anyEpoch || k.epoch == newest.epoch)
}

// part returns a part as it is served; nil if it is not kept any more.
func (e *edition) part(p piece, rendition int) *file {
	return p.files[rendition].get(func() *file {
		data, ok := e.station.sound.fragment(e.station.id, p.key, rendition)
		if !ok {
			return nil
		}
		return newFile(data, "")
	})
}

// segment returns a complete segment as it is served: its parts in one piece. It is
// nil if there is none of these blocks.
func (e *edition) segment(epoch uint32, index uint64, blocks string, rendition int) *file {
	for _, s := range e.line {
		if s.epoch != epoch || s.index != index || !s.complete || len(s.pieces) == 0 || s.blocks() != blocks {
			continue
		}
		return s.files[rendition].get(func() *file {
			var body []byte
			for _, p := range s.pieces {
				part := e.part(p, rendition)
				if part == nil {
					return nil
				}
				body = append(body, part.body...)
			}
			return newFile(slices.Clip(body), "")
		})
	}
	return nil
}

// init returns the initialisation segment of an epoch.
func (e *edition) init(epoch uint32, rendition int) *file {
	inits := e.inits[epoch]
	if inits == nil {
		return nil
	}
	return inits[rendition].get(func() *file {
		data, ok := e.station.sound.init(e.station.id, rendition)
		if !ok {
			return nil
		}
		return newFile(data, "")
	})
}

// last returns the number of the newest segment, and how many parts it has.
func (e *edition) last() (number uint64, parts int, complete bool) {
	s := e.line[len(e.line)-1]
	return s.number, len(s.pieces), s.complete
}

// reached reports whether the list has a part, or with part -1 all of a segment. A
// part beyond the last one of a segment is the first one of the next.
func (e *edition) reached(number uint64, part int) bool {
	if e.final {
		return true
	}
	if len(e.line) == 0 {
		return false
	}
	last, parts, complete := e.last()
	switch {
	case number != last:
		return last > number // with its first part, so whatever was asked for is there
	case part < 0:
		return complete
	default:
		return parts > part
	}
}

// list returns the playlist of a rendition. A delta update that could leave nothing
// out is the whole.
func (e *edition) list(rendition int, skip bool) *file {
	which := 0
	if skip {
		which = 1
	}
	return e.lists[rendition][which].get(func() *file {
		p := e.playlist(rendition)
		if n := p.Skippable(); skip && n > 0 {
			p = p.Delta(n)
		}
		text := hls.AppendMedia(nil, p)
		return newFile(text, `"`+strconv.FormatUint(uint64(crc32.ChecksumIEEE(text)), 16)+`"`)
	})
}

// playlist says what is listed of a rendition.
func (e *edition) playlist(rendition int) hls.Playlist {
	line := listed(e.line)
	p := hls.Playlist{
		Target: targetSeconds, PartTarget: blockTime, HoldBack: 3 * target, SkipUntil: 6 * target, Ended: e.final,
		Sequence: line[0].number, Discontinuities: uint64(line[0].epoch),
	}
	if line[0].breaks {
		p.Discontinuities--
	}
	if rendition == aacRendition {
		p.PartTarget = aac.PartTarget
	}
	p.PartHoldBack = 3 * p.PartTarget
	left := time.Duration(0)
	for _, s := range line {
		left += timeOf(s.samples())
	}
	for _, s := range line {
		left -= timeOf(s.samples())
		// Parts are for those near the live edge: older segments are listed whole.
		p.Segments = append(p.Segments, e.listing(s, rendition, left < 3*target))
	}
	if !e.final {
		next := e.newest()
		next.seq++
		p.Hint = partURI(next, rendition)
		p.Reports = e.reports(rendition)
	}
	return p
}

// reports says where the other renditions stand. One of another sound that nobody
// hears is left out: to look at it would have it made.
func (e *edition) reports(rendition int) (all []hls.Report) {
	for other := range renditionCount {
		of := e
		if (other == aacRendition) != (rendition == aacRendition) {
			of = e.station.peer()
		}
		if other == rendition || of == nil || len(of.line) == 0 {
			continue
		}
		number, parts, _ := of.last()
		all = append(all, hls.Report{URI: renditionNames[other] + ".m3u8", Sequence: number, Part: parts - 1})
	}
	return all
}

func (e *edition) listing(s *segment, rendition int, byParts bool) hls.Segment {
	out := hls.Segment{
		Map:           renditionNames[rendition] + "/init.mp4?epoch=" + strconv.FormatUint(uint64(s.epoch), 10),
		Discontinuity: s.breaks, Gap: s.missing > 0, Duration: timeOf(s.samples()),
	}
	if s.complete {
		out.URI = segmentURI(s, rendition)
	}
	if len(s.pieces) == 0 {
		return out
	}
	out.Time = e.station.opened.Add(timeOf(s.pieces[0].start)).Truncate(time.Millisecond)
	if byParts || !s.complete {
		out.Parts = make([]hls.Part, len(s.pieces))
		for i, p := range s.pieces {
			out.Parts[i] = hls.Part{URI: partURI(p.key, rendition), Duration: timeOf(p.samples), Independent: true}
		}
	}
	return out
}

// partURI is relative to the playlist, as all are.
func partURI(k key, rendition int) string {
	query := "?epoch=" + strconv.FormatUint(uint64(k.epoch), 10)
	folder := "b/"
	switch programme.Rung(rendition) {
	case programme.Rung48:
	case programme.Rung24:
		query += "&rung=24"
	case programme.Rung16:
		query += "&rung=16"
	default:
		folder = "aac/b/"
	}
	return folder + strconv.FormatUint(k.seq, 10) + ".m4s" + query
}

func segmentURI(s *segment, rendition int) string {
	uri := renditionNames[rendition] + "/" + strconv.FormatUint(s.index, 10) + ".m4s?epoch=" + strconv.FormatUint(uint64(s.epoch), 10)
	if blocks := s.blocks(); blocks != "" {
		uri += "&blocks=" + blocks
	}
	return uri
}
