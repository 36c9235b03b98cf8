package live

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"hustings/internal/hls"
	"hustings/internal/problem"
	"hustings/internal/programme"
	"hustings/internal/space"
)

const (
	// reloadWithin is how long a reload waits for what is to come.
	reloadWithin = 3 * target
	// partWithin is how long a request waits for the part that was hinted at.
	partWithin = target
	// firstWithin is how long the first listeners wait for the first segments.
	firstWithin = 4 * target
	// tooFar is how many segments ahead of the newest nobody may wait for.
	tooFar = 2
)

// multivariant answers with the renditions that there are. AAC comes first: every
// player takes it, and Safari nothing else.
func (l *Live) multivariant(rw http.ResponseWriter, r *http.Request, sp space.Space, a asked) {
	hasAAC, reason := l.aac()
	if a.codec == "aac" && !hasAAC {
		problem.Refuse(rw, r, http.StatusNotAcceptable, reason)
		return
	}
	query := l.counted(a)
	var variants []hls.Variant
	if hasAAC && a.codec != "opus" && (!a.oneRung || a.codec == "aac") {
		variants = append(variants, variant(sp, aacRendition, query))
	}
	for rung := range programme.Rungs {
		if a.codec != "aac" && (!a.oneRung || programme.Rung(rung) == a.rung) {
			variants = append(variants, variant(sp, rung, query))
		}
	}
	text := hls.AppendMultivariant(nil, variants)
	header := rw.Header()
	header["Content-Type"] = playlistType
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	header["Cache-Control"] = neverKept // it names the listener
	if a.relay {
		header["Cache-Control"] = forAWhile
	}
	_, _ = rw.Write(text)
}

// counted returns the query by which a listener's playlists are counted: those of a
// relay are not.
func (l *Live) counted(a asked) string {
	if a.relay {
		return ""
	}
	if a.listener == "" {
		a.listener = rand.Text()
	}
	query := "?listener=" + a.listener
	if a.permit != "" {
		query += "&rehearsal=" + url.QueryEscape(a.permit)
	}
	return query
}

// variant describes a rendition. Beside the sound there are about 3 kb/s of boxes and
// 2.4 of pulse; Opus may take half as much again for a while.
func variant(sp space.Space, rendition int, query string) hls.Variant {
	v := hls.Variant{URI: string(sp.ID) + "/" + renditionNames[rendition] + ".m3u8" + query, Score: float64(renditionCount - rendition), Codecs: "opus"}
	var rate int
	if rendition == aacRendition {
		v.Score, v.Codecs = renditionCount+1, "mp4a.40.2"
		rate = 64000
		if sp.Stereo {
			rate *= 2
		}
	} else {
		rate = programme.Rung(rendition).Bitrate(sp.Stereo)
	}
	v.Average, v.Bandwidth = rate+6000, rate*3/2+12000
	return v
}

// aac reports whether there is a rendition in AAC, and if not, why.
func (l *Live) aac() (ok bool, reason string) {
	if l.opts.AAC == nil {
		return false, "this server makes no AAC; use codec=opus"
	}
	return l.opts.AAC.Available()
}

// renditions tells what is made here, for the studio.
func (l *Live) renditions(rw http.ResponseWriter, _ *http.Request) {
	type answer struct {
		Available bool   `json:"available"`
		Reason    string `json:"reason"`
	}
	ok, reason := l.aac()
	openToAll(rw.Header())
	rw.Header()["Cache-Control"] = neverKept
	problem.WriteJSON(rw, http.StatusOK, "application/json", map[string]answer{"aac": {ok, reason}})
}

// playlist answers with a media playlist, when it has what was asked for.
func (l *Live) playlist(rw http.ResponseWriter, r *http.Request) {
	openToAll(rw.Header())
	id := space.ID(r.PathValue("id"))
	name, ext := SplitName(r.PathValue("file"))
	rendition, ok := renditionOf(string(name))
	if !ok || ext != "m3u8" {
		problem.Refuse(rw, r, http.StatusNotFound, "there is no such file; /live/"+string(id)+".m3u8 names those that there are")
		return
	}
	a, err := l.query(r, id)
	if err == nil && a.part >= 0 && !a.waits {
		err = problem.WithStatus(space.Errorf(space.Invalid, "_HLS_part says of which segment only with _HLS_msn"), http.StatusBadRequest)
	}
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	s := l.station(rw, r, id, rendition == aacRendition)
	if s == nil {
		return
	}
	if a.listener != "" && !a.relay {
		l.opts.Programme.Count(id, a.listener, a.rehearsal)
	}
	e, err := l.reload(r.Context(), s, a, leastSegments(r))
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	header := rw.Header()
	header["Content-Type"] = playlistType
	header["Cache-Control"] = forASecond
	if a.waits || e.final {
		header["Cache-Control"] = forAWhile
	}
	serve(rw, r, e.list(rendition, a.skip))
}

// leastSegments returns how many whole segments a player needs to begin with, that did
// not say what it waits for. Those that know no parts give up on a list without a
// segment; Chromium's own HLS, on one that does not reach back as far as players begin
// by the standard: three target durations (RFC 8216, section 6.3.3).
func leastSegments(r *http.Request) int {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "audio", "video": // it is not a script that asks, but the browser itself
		return 3
	}
	return 1
}

// reload returns the first edition that has what was asked for.
func (l *Live) reload(ctx context.Context, s *station, a asked, least int) (*edition, error) {
	within := reloadWithin
	e := s.edition()
	switch {
	case e == nil:
		return nil, errForgotten()
	case !a.waits:
		within = firstWithin
	case len(e.line) > 0 && !e.final:
		if last, _, _ := e.last(); a.number > last+tooFar {
			return nil, problem.WithStatus(space.Errorf(space.Invalid, "segment %d is too far ahead: the newest is %d", a.number, last), http.StatusBadRequest)
		}
	}
	e, err := l.await(ctx, s, within, func(e *edition) bool {
		return a.waits && e.reached(a.number, a.part) || !a.waits && len(e.line) >= least && e.line[least-1].complete
	})
	if err != nil {
		return nil, err
	}
	if len(e.line) == 0 {
		return nil, errForgotten()
	}
	return e, nil
}

func errForgotten() error {
	return space.Errorf(space.Gone, "this programme is not on the air here any more; its recording is up when it has ended")
}

// await returns the first edition that is as it should be, or the final one. Who waits
// is a goroutine and no more: all are woken by the same channel.
//
// Errors: Full when none came in time, too many wait or ctx is done, Gone when the
// programme is not kept any more.
func (l *Live) await(ctx context.Context, s *station, within time.Duration, is func(*edition) bool) (*edition, error) {
	e := s.edition()
	if e == nil || is(e) || e.final {
		return found(e)
	}
	defer l.blocked.Add(-1)
	if l.blocked.Add(1) > int64(l.opts.Blocked) {
		return nil, space.Errorf(space.Full, "too many wait for the next block here; ask again in a few seconds")
	}
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done(): // ours, if anybody is still there to read this
			return nil, space.Errorf(space.Full, "this server is going down; ask again in a few seconds")
		case <-late.C:
			return nil, space.Errorf(space.Full, "nothing new has come for %v; ask again in a few seconds", within)
		case <-e.changed:
		}
		if e = s.edition(); e == nil || is(e) || e.final {
			return found(e)
		}
	}
}

func found(e *edition) (*edition, error) {
	if e == nil {
		return nil, errForgotten()
	}
	return e, nil
}

// stationName is that of a sound of a space.
type stationName struct {
	id  space.ID
	aac bool
}

// known returns a station that was asked for before, nil if there is none.
func (l *Live) known(id space.ID, aac bool) *station {
	l.listing.RLock()
	defer l.listing.RUnlock()
	return l.stations[stationName{id, aac}]
}

// station returns the station of a sound, or answers why there is none.
func (l *Live) station(rw http.ResponseWriter, r *http.Request, id space.ID, aac bool) *station {
	if s := l.known(id, aac); s != nil && s.edition() != nil {
		return s
	}
	sp, err := l.opts.Spaces.Get(r.Context(), id)
	if err != nil {
		l.fail(rw, r, err)
		return nil
	}
	if ok, reason := l.aac(); aac && !ok {
		problem.Refuse(rw, r, http.StatusNotAcceptable, reason)
		return nil
	}
	if sp.Phase.OnAir() {
		l.awaitFirstBlock(r.Context(), id)
	}
	if s := l.open(sp, aac); s.edition() != nil {
		return s
	}
	switch {
	case !sp.Phase.OnAir():
		l.offAir(rw, r, sp)
	case aac && l.opts.Programme.Ready(id):
		l.fail(rw, r, space.Errorf(space.Full, "this server can't make AAC of one space more right now; use codec=opus"))
	default:
		l.fail(rw, r, space.Errorf(space.TooEarly, "the programme is just about to begin; ask again in a second"))
	}
	return nil
}

// open makes the station of a sound, unless there is one. Stations of programmes that
// are not kept any more make room.
func (l *Live) open(sp space.Space, aac bool) *station {
	l.listing.Lock()
	defer l.listing.Unlock()
	name := stationName{sp.ID, aac}
	if s := l.stations[name]; s != nil {
		return s
	}
	for name, s := range l.stations {
		if e := s.now.Load(); e == nil || closed(e.changed) && !l.keeps(name.id) {
			delete(l.stations, name)
		}
	}
	s := &station{id: sp.ID, sound: opusSound{l.opts.Programme}, opened: l.openedAt(sp), peer: func() *edition {
		if other := l.known(sp.ID, !aac); other != nil {
			return other.now.Load()
		}
		return nil
	}}
	if aac {
		s.sound = aacSound{l.opts.AAC}
	}
	l.stations[name] = s
	return s
}

func (l *Live) keeps(id space.ID) bool {
	_, ok := l.opts.Programme.Window(id)
	return ok
}

// openedAt returns when sample 0 of a programme was heard: as the space has it, or,
// where that is not known, as the newest block has come.
func (l *Live) openedAt(sp space.Space) time.Time {
	if sp.OpenedAt != nil {
		return *sp.OpenedAt
	}
	if w, ok := l.opts.Programme.Window(sp.ID); ok && len(w.Blocks) > 0 {
		newest := w.Blocks[len(w.Blocks)-1]
		return newest.Came.Add(-timeOf(newest.Start + blockSamples))
	}
	return time.Now()
}
