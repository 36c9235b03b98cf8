// Package hls writes and reads playlists of HTTP Live Streaming: RFC 8216 and its
// second edition (draft-pantos-hls-rfc8216bis), with partial segments, blocking
// reload, preload hints, rendition reports and delta updates.
//
// It is pure: a playlist is a plain struct, and what is served is rendered from it.
//
//	text := hls.AppendMedia(nil, playlist)          // all of it
//	text = hls.AppendMedia(nil, playlist.Delta(6))  // without its first six segments
//
// Parse reads a media playlist strictly: whatever the second edition says MUST be is
// an error if it is not. Merge makes the whole of a delta update and what was there
// before, and Succeeds says whether one version may follow another.
package hls

import (
	"strconv"
	"time"
)

// Version is the protocol version of all playlists: that of delta updates.
const Version = 9

// Variant is a rendition in a multivariant playlist.
type Variant struct {
	URI       string
	Codecs    string  // as RFC 6381 has them
	Bandwidth int     // at the peak, in bits a second, with all overhead
	Average   int     // over time, in bits a second; 0: not said
	Score     float64 // the higher, the better for who can play it; 0: not said
}

// AppendMultivariant appends a multivariant playlist of sound. The first variant is
// what players begin with that do not choose.
func AppendMultivariant(dst []byte, variants []Variant) []byte {
	w := writer{dst}
	w.line("#EXTM3U")
	w.number("#EXT-X-VERSION:", Version)
	w.line("#EXT-X-INDEPENDENT-SEGMENTS")
	for _, v := range variants {
		w.text("#EXT-X-STREAM-INF:BANDWIDTH=")
		w.int(uint64(v.Bandwidth))
		if v.Average > 0 {
			w.text(",AVERAGE-BANDWIDTH=")
			w.int(uint64(v.Average))
		}
		if v.Score > 0 {
			w.text(",SCORE=")
			w.buf = strconv.AppendFloat(w.buf, v.Score, 'f', -1, 64)
		}
		w.quoted(",CODECS=", v.Codecs)
		w.line("")
		w.line(v.URI)
	}
	return w.buf
}

// Playlist is a media playlist.
type Playlist struct {
	Target          int           // longest segment in whole seconds, rounded to the nearest
	PartTarget      time.Duration // longest part
	HoldBack        time.Duration // how far from the end a player stays that takes segments: at least 3 targets
	PartHoldBack    time.Duration // and one that takes parts: at least 2 part targets, better 3
	SkipUntil       time.Duration // segments older than this, seen from the end, may be skipped: at least 6 targets
	Sequence        uint64        // media sequence number of the first segment, be it skipped or not
	Discontinuities uint64        // how many there were before the first segment
	Skipped         int           // segments that a delta update leaves out
	Segments        []Segment     // those that are not skipped; the last one may be in the making
	Hint            string        // URI of the part that comes next; "" for none
	Reports         []Report      // where the other renditions stand
	Ended           bool          // nothing will be added
}

// Segment is a media segment.
type Segment struct {
	URI           string        // "" for one that is in the making: only the last one may be
	Duration      time.Duration // of one in the making: of its parts
	Map           string        // URI of its initialisation section
	Time          time.Time     // when its first sample was heard; zero: not said
	Discontinuity bool          // its times do not follow from the segment before
	Gap           bool          // it can't be had
	Parts         []Part        // nil for one that is too old to be played by parts
}

// Part is a partial segment.
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool // begins with a sample that needs no other
	Gap         bool // it can't be had
}

// Report says where another rendition stands.
type Report struct {
	URI      string
	Sequence uint64 // media sequence number of the newest segment, also in the making
	Part     int    // index of its newest part; -1 where there is none
}

// Delta returns the update that leaves the first n segments out.
func (p Playlist) Delta(n int) Playlist {
	p.Skipped, p.Segments = n, p.Segments[n:]
	return p
}

// Skippable returns how many segments a delta update may leave out: those that end
// before the skip boundary.
func (p Playlist) Skippable() int {
	left := p.Duration()
	for i, s := range p.Segments {
		if left -= s.Duration; left < p.SkipUntil {
			return i
		}
	}
	return 0
}

// Duration returns how long the listed segments are, without those skipped.
func (p Playlist) Duration() time.Duration {
	var all time.Duration
	for _, s := range p.Segments {
		all += s.Duration
	}
	return all
}

// Last returns the media sequence number of the newest segment, also in the making,
// and the index of its newest part, -1 if it is not listed by parts.
func (p Playlist) Last() (sequence uint64, part int) {
	sequence = p.Sequence + uint64(p.Skipped+len(p.Segments)) - 1
	if len(p.Segments) == 0 {
		return sequence, -1
	}
	return sequence, len(p.Segments[len(p.Segments)-1].Parts) - 1
}

// AppendMedia appends a media playlist, or the delta update that it is.
func AppendMedia(dst []byte, p Playlist) []byte {
	w := writer{dst}
	w.line("#EXTM3U")
	w.number("#EXT-X-VERSION:", Version)
	w.number("#EXT-X-TARGETDURATION:", uint64(p.Target))
	w.seconds("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=", p.SkipUntil)
	w.seconds(",HOLD-BACK=", p.HoldBack)
	w.seconds(",PART-HOLD-BACK=", p.PartHoldBack)
	w.line("")
	w.seconds("#EXT-X-PART-INF:PART-TARGET=", p.PartTarget)
	w.line("")
	w.number("#EXT-X-MEDIA-SEQUENCE:", p.Sequence)
	w.number("#EXT-X-DISCONTINUITY-SEQUENCE:", p.Discontinuities)
	if p.Skipped > 0 {
		w.number("#EXT-X-SKIP:SKIPPED-SEGMENTS=", uint64(p.Skipped))
	}
	section := ""
	for i, s := range p.Segments {
		w.segment(s, i == 0 || s.Map != section)
		section = s.Map
	}
	if p.Hint != "" {
		w.quoted("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=", p.Hint)
		w.line("")
	}
	for _, r := range p.Reports {
		w.report(r)
	}
	if p.Ended {
		w.line("#EXT-X-ENDLIST")
	}
	return w.buf
}

// segment appends a segment, and its initialisation section unless it is that of the
// segment before.
func (w *writer) segment(s Segment, withMap bool) {
	if s.Discontinuity {
		w.line("#EXT-X-DISCONTINUITY")
	}
	if withMap {
		w.quoted("#EXT-X-MAP:URI=", s.Map)
		w.line("")
	}
	if !s.Time.IsZero() {
		w.text("#EXT-X-PROGRAM-DATE-TIME:")
		w.buf = s.Time.UTC().AppendFormat(w.buf, "2006-01-02T15:04:05.000Z")
		w.line("")
	}
	if s.Gap {
		w.line("#EXT-X-GAP")
	}
	for _, p := range s.Parts {
		w.seconds("#EXT-X-PART:DURATION=", p.Duration)
		w.quoted(",URI=", p.URI)
		if p.Independent {
			w.text(",INDEPENDENT=YES")
		}
		if p.Gap {
			w.text(",GAP=YES")
		}
		w.line("")
	}
	if s.URI == "" {
		return // it is still in the making
	}
	w.seconds("#EXTINF:", s.Duration)
	w.line(",")
	w.line(s.URI)
}

func (w *writer) report(r Report) {
	w.quoted("#EXT-X-RENDITION-REPORT:URI=", r.URI)
	w.text(",LAST-MSN=")
	w.int(r.Sequence)
	if r.Part >= 0 {
		w.text(",LAST-PART=")
		w.int(uint64(r.Part))
	}
	w.line("")
}

// writer appends text to a buffer.
type writer struct{ buf []byte }

func (w *writer) text(s string) { w.buf = append(w.buf, s...) }

func (w *writer) line(s string) {
	w.text(s)
	w.buf = append(w.buf, '\n')
}

func (w *writer) int(n uint64) { w.buf = strconv.AppendUint(w.buf, n, 10) }

func (w *writer) number(tag string, n uint64) {
	w.text(tag)
	w.int(n)
	w.line("")
}

// quoted appends an attribute whose value, a URI or the like, has no quotation mark.
func (w *writer) quoted(name, value string) {
	w.text(name)
	w.buf = append(w.buf, '"')
	w.text(value)
	w.buf = append(w.buf, '"')
}

// seconds appends a duration in seconds, to the microsecond and without needless
// zeros.
func (w *writer) seconds(name string, d time.Duration) {
	w.text(name)
	us := uint64(d.Round(time.Microsecond) / time.Microsecond)
	w.int(us / 1e6)
	rest := us % 1e6
	if rest == 0 {
		return
	}
	w.buf = append(w.buf, '.')
	for unit := uint64(1e5); rest > 0; unit /= 10 {
		w.buf = append(w.buf, byte('0'+rest/unit))
		rest %= unit
	}
}
