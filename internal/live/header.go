package live

import (
	"maps"
	"net/http"

	"hustings/internal/broadcast"
	"hustings/internal/guard"
)

// Values of headers that are the same in all answers. They are shared: nobody may
// change them.
var (
	neverKept    = []string{"no-store"}
	closing      = []string{"close"}
	unbuffered   = []string{"no"}
	oggType      = []string{"audio/ogg"}
	mp4Type      = []string{"audio/mp4"}
	jsonType     = []string{"application/json"}
	playlistType = []string{"application/vnd.apple.mpegurl"}
	forASecond   = []string{"public, max-age=1"}
	// What a blocking reload was answered with stays the answer to it; six target
	// durations are what the draft asks for (RFC 8216bis, appendix B.1).
	forAWhile = []string{"public, max-age=24"}
	forEver   = []string{"public, max-age=31536000, immutable"}
)

// opened are the headers of an answer that pages of other sites may read.
var opened = func() http.Header {
	header := http.Header{}
	guard.OpenToAll(header)
	return header
}()

// openToAll is guard.OpenToAll without making the values anew for each request.
func openToAll(header http.Header) { maps.Copy(header, opened) }

func setStreamHeader(header http.Header, format broadcast.Format) {
	kind := oggType
	if format == broadcast.MP4 {
		kind = mp4Type
	}
	header["Content-Type"] = kind
	header["Connection"] = closing
	header["Cache-Control"] = neverKept
	header["X-Accel-Buffering"] = unbuffered // proxies of the nginx kind pass it on as it comes
}
