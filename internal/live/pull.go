package live

import (
	"net/http"
	"strconv"
	"strings"

	"hustings/internal/problem"
	"hustings/internal/space"
)

// pulse answers with the newest state that rides in the stream.
func (l *Live) pulse(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	openToAll(header)
	id := space.ID(r.PathValue("id"))
	sp, err := l.opts.Spaces.Get(r.Context(), id)
	if err != nil {
		l.fail(rw, r, err)
		return
	}
	pulse, ok := l.opts.Programme.Pulse(id)
	if !ok && sp.Phase.OnAir() {
		l.fail(rw, r, space.Errorf(space.TooEarly, "the programme is just about to begin; ask again in a second"))
		return
	}
	if !ok {
		l.offAir(rw, r, sp)
		return
	}
	header["Content-Type"] = jsonType
	header["Cache-Control"] = forASecond
	_, _ = rw.Write(pulse)
}

// block answers with one block as a fragment of MP4. It never changes, so any
// cache on the way may keep it for good.
func (l *Live) block(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	openToAll(header)
	seq, ok := parseNumber(r.PathValue("file"), ".m4s")
	if !ok {
		problem.Refuse(rw, r, http.StatusNotFound, "a block is named by its number: /live/ID/b/0.m4s")
		return
	}
	data, ok := l.opts.Programme.Block(space.ID(r.PathValue("id")), seq)
	if !ok {
		problem.Refuse(rw, r, http.StatusNotFound, "this block is not here (any more); the newest minute is, and the whole programme is in the recording")
		return
	}
	header["Content-Type"] = mp4Type
	header["Cache-Control"] = forEver
	header["Content-Length"] = []string{strconv.Itoa(len(data))}
	_, _ = rw.Write(data)
}

// parseNumber reads the number of a file's name: one spelling for each, since a
// cache takes two for two files.
func parseNumber(file, ending string) (n uint64, ok bool) {
	number, ok := strings.CutSuffix(file, ending)
	n, err := strconv.ParseUint(number, 10, 64)
	return n, ok && err == nil && (number == "0" || number[0] != '0' && number[0] != '+')
}
