package live

import (
	"errors"
	"net/http"

	"hustings/internal/problem"
	"hustings/internal/programme"
	"hustings/internal/space"
)

// errNoBlock is told to who asks for what is not kept.
const errNoBlock = "this block is not here (any more); the newest minute is, and the whole programme is in the recording"

// block answers with one block as a fragment of MP4, which is a part of HLS. It never
// changes, so any cache on the way may keep it for good.
func (l *Live) block(rw http.ResponseWriter, r *http.Request) {
	openToAll(rw.Header())
	id := space.ID(r.PathValue("id"))
	seq, ok := parseNumber(r.PathValue("file"), ".m4s")
	if !ok {
		problem.Refuse(rw, r, http.StatusNotFound, "a block is named by its number: /live/ID/b/0.m4s")
		return
	}
	a, err := l.query(r, id)
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	if s := l.known(id, false); s != nil {
		if part, ok := l.part(rw, r, s, key{a.epoch, seq}, !a.hasEpoch, int(a.rung)); ok {
			serveForEver(rw, r, part)
		}
		return
	}
	// Nobody hears HLS: blocks are for those who catch up.
	data, ok := l.oneBlock(id, seq, a)
	if !ok {
		problem.Refuse(rw, r, http.StatusNotFound, errNoBlock)
		return
	}
	serveForEver(rw, r, newFile(data, ""))
}

func (l *Live) oneBlock(id space.ID, seq uint64, a asked) ([]byte, bool) {
	if !a.hasEpoch && a.rung == programme.Rung48 {
		return l.opts.Programme.Block(id, seq)
	}
	if !a.hasEpoch {
		w, _ := l.opts.Programme.Window(id)
		for _, b := range w.Blocks {
			if b.Seq == seq {
				a.epoch = b.Epoch // the newest that has it is the last one
			}
		}
	}
	return l.opts.Programme.Fragment(id, a.epoch, seq, a.rung)
}

// aacPart answers with a part of the rendition in AAC.
func (l *Live) aacPart(rw http.ResponseWriter, r *http.Request) {
	openToAll(rw.Header())
	id := space.ID(r.PathValue("id"))
	seq, ok := parseNumber(r.PathValue("file"), ".m4s")
	s := l.known(id, true)
	if !ok || s == nil {
		problem.Refuse(rw, r, http.StatusNotFound, errNoBlock)
		return
	}
	a, err := l.query(r, id)
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	if part, ok := l.part(rw, r, s, key{a.epoch, seq}, !a.hasEpoch, aacRendition); ok {
		serveForEver(rw, r, part)
	}
}

// part returns a part, when it is there; one that was hinted at is waited for. When
// there is none, that is answered.
func (l *Live) part(rw http.ResponseWriter, r *http.Request, s *station, k key, anyEpoch bool, rendition int) (*file, bool) {
	e := s.edition()
	if e != nil && e.announces(k, anyEpoch) {
		var err error
		e, err = l.await(r.Context(), s, partWithin, func(e *edition) bool { return !e.announces(k, anyEpoch) })
		if err != nil && !isGone(err) {
			l.fail(rw, r, err)
			return nil, false
		}
	}
	if e != nil {
		if p, ok := e.find(k, anyEpoch); ok {
			if part := e.part(p, rendition); part != nil {
				return part, true
			}
		}
	}
	problem.Refuse(rw, r, http.StatusNotFound, errNoBlock)
	return nil, false
}

func isGone(err error) bool {
	var told *space.Error
	return errors.As(err, &told) && told.Kind == space.Gone
}

// segment answers with a segment, or the initialisation segment of a rendition.
func (l *Live) segment(rw http.ResponseWriter, r *http.Request) {
	openToAll(rw.Header())
	id := space.ID(r.PathValue("id"))
	a, err := l.query(r, id)
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	rendition, ok := renditionOf(r.PathValue("rendition"))
	var s *station
	if ok {
		if s = l.station(rw, r, id, rendition == aacRendition); s == nil {
			return
		}
	}
	if f := find(s, r.PathValue("file"), rendition, a); f != nil {
		serveForEver(rw, r, f)
		return
	}
	problem.Refuse(rw, r, http.StatusNotFound, "this segment is not here (any more); the playlist names those that are")
}

// find returns a file of a rendition, nil if it is not there.
func find(s *station, name string, rendition int, a asked) *file {
	if s == nil {
		return nil
	}
	e := s.edition()
	if e == nil || len(e.line) == 0 {
		return nil
	}
	if name == "init.mp4" {
		if !a.hasEpoch {
			a.epoch = e.newest().epoch
		}
		return e.init(a.epoch, rendition)
	}
	if index, ok := parseNumber(name, ".m4s"); ok {
		return e.segment(a.epoch, index, a.blocks, rendition)
	}
	return nil
}

// serveForEver answers with a file that never changes.
func serveForEver(rw http.ResponseWriter, r *http.Request, f *file) {
	header := rw.Header()
	header["Content-Type"] = mp4Type
	header["Cache-Control"] = forEver
	serve(rw, r, f)
}

// serve answers with a file, whose headers are ready.
func serve(rw http.ResponseWriter, r *http.Request, f *file) {
	header := rw.Header()
	if f.tag != nil {
		header["Etag"] = f.tag
		if match := r.Header["If-None-Match"]; len(match) == 1 && match[0] == f.tag[0] {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header["Content-Length"] = f.length
	_, _ = rw.Write(f.body) // whoever went away needs no answer
}
