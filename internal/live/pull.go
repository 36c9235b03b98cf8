package live

import (
	"net/http"
	"strconv"
	"strings"

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
	// An edge that has lost the bus says so: a page whose buffer ran dry knows then why.
	if on, is := l.opts.Programme.(interface{ Lost(space.ID) bool }); is && on.Lost(id) {
		header.Set("Hustings-Bus", "lost")
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

// parseNumber reads the number of a file's name: one spelling for each, since a
// cache takes two for two files.
func parseNumber(file, ending string) (n uint64, ok bool) {
	number, ok := strings.CutSuffix(file, ending)
	n, err := strconv.ParseUint(number, 10, 64)
	return n, ok && err == nil && (number == "0" || number[0] != '0' && number[0] != '+')
}
