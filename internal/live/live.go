// Package live is what the audience hears, over HTTP: all that is at /live/.
//
//	l, err := live.New(live.Options{Spaces: desk, Programme: broadcast})
//	l.Routes(mux)
//
// A listener's connection is taken over after its request and handed to broadcast,
// which feeds it from then on (join.go). Who can't be pushed to pulls: the pulse and
// single blocks (pull.go), and HLS (RFC 8216 and its second edition), whose parts are
// the blocks themselves:
//
//	hls.go      what is asked, and waiting for what is not there yet
//	station.go  what is listed until the next block, rendered once for all who ask
//	lineup.go   which blocks make a segment, and the numbers of segments
//	sound.go    where the parts of each rendition come from
//
// It needs no desk, so that an edge serves with the same code and a directory of its
// own. Nothing on the way of a joiner waits for a database.
package live

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hustings/internal/broadcast"
	"hustings/internal/problem"
	"hustings/internal/space"
)

// Spaces knows which spaces there are.
type Spaces interface {
	Get(ctx context.Context, id space.ID) (space.Space, error)
}

// Programme is what the audience hears now.
type Programme interface {
	Ready(id space.ID) bool
	Attach(broadcast.Listener) error
	Block(id space.ID, seq uint64) ([]byte, bool)
	Pulse(id space.ID) ([]byte, bool)
	// Count notes that somebody who is not attached listens.
	Count(id space.ID, name string, rehearsal bool)
	Kept
}

// Permits says who may send a crowd that is not there.
type Permits interface {
	Check(id space.ID, permit string) error
}

// Options say what stands behind the door. Spaces and Programme are required.
type Options struct {
	Spaces    Spaces
	Programme Programme
	AAC       AAC     // for players that take no Opus; nil: there is none
	Permits   Permits // of rehearsals; nil: there are none
	// Blocked is how many requests may wait for what is not there yet; 0: 16,384.
	Blocked int
	// BaseURL is how the world reaches this server: "https://example.org". "": as
	// each request says that it did.
	BaseURL string
	Logger  *slog.Logger // nil: discard
}

// Live answers what is asked at /live/. It is safe for use by many goroutines.
type Live struct {
	opts  Options
	log   *slog.Logger
	heads atomic.Pointer[heads] // of this second
	// blocked counts the requests that wait for what is not there yet.
	blocked atomic.Int64

	mu       sync.Mutex // guards what follows
	awaiting map[space.ID]*first

	listing  sync.RWMutex // guards what follows
	stations map[stationName]*station
}

// New checks the options.
func New(o Options) (*Live, error) {
	if o.Spaces == nil || o.Programme == nil {
		return nil, errors.New("live: spaces and a programme are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Blocked <= 0 {
		o.Blocked = 1 << 14
	}
	return &Live{opts: o, log: o.Logger, awaiting: make(map[space.ID]*first), stations: make(map[stationName]*station)}, nil
}

// Routes lays out the addresses.
func (l *Live) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /live/{file}", l.stream)
	mux.HandleFunc("GET /live/{id}/pulse", l.pulse)
	mux.HandleFunc("GET /live/{id}/{file}", l.playlist)
	mux.HandleFunc("GET /live/{id}/b/{file}", l.block)
	mux.HandleFunc("GET /live/{id}/aac/b/{file}", l.aacPart)
	mux.HandleFunc("GET /live/{id}/{rendition}/{file}", l.segment)
	mux.HandleFunc("GET /api/v1/renditions", l.renditions)
}

// fail answers with an error, and logs it if it is our fault.
func (l *Live) fail(rw http.ResponseWriter, r *http.Request, err error) {
	problem.Blame(r.Context(), l.log, err)
	problem.Of(err).Write(rw, r)
}

// Base returns scheme and host as the world has them for a request, and whether it
// came by HTTPS. public is the address that the server was given, "" for none.
func Base(r *http.Request, public string) (base string, secure bool) {
	// Behind a proxy that ends TLS, the host tells that the request came that way.
	secure = r.TLS != nil || public == "https://"+r.Host
	switch {
	case public != "":
		return public, secure
	case secure:
		return "https://" + hostOf(r), true
	default:
		return "http://" + hostOf(r), false
	}
}

// hostOf is how the client calls us: clients of HTTP/1.0 may not say, and get the
// address that they reached.
func hostOf(r *http.Request) string {
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); r.Host == "" && ok {
		return at.String()
	}
	return r.Host
}

// SplitName splits the name of a file at its last dot.
func SplitName(file string) (id space.ID, ext string) {
	i := strings.LastIndexByte(file, '.')
	if i < 0 {
		return space.ID(file), ""
	}
	return space.ID(file[:i]), file[i+1:]
}

// Those who come before the doors open ask again in between 5 and 60 s.
const (
	earliest = 5 * time.Second
	latest   = time.Minute
)

// OffAir is the answer for a space that is not on the air, by its phase. base is what
// links begin with.
func OffAir(sp space.Space, base string) *problem.Problem {
	p := problem.Of(notOnAir(sp))
	switch sp.Phase {
	case space.Scheduled:
		wait := latest
		if sp.StartsAt != nil {
			wait = min(max(time.Until(*sp.StartsAt), earliest), latest)
		}
		p.Header.Set("Retry-After", problem.Seconds(wait))
	case space.Ended:
		path := base + "/recordings/" + string(sp.ID)
		p.Header.Add("Link", "<"+path+`.ogg>; rel="alternate"; type="audio/ogg"`)
		p.Header.Add("Link", "<"+path+`.mp4>; rel="alternate"; type="audio/mp4"`)
		p.Detail += ": " + path + ".ogg"
	}
	return p
}

func notOnAir(sp space.Space) error {
	switch sp.Phase {
	case space.Scheduled:
		if sp.StartsAt != nil {
			return space.Errorf(space.TooEarly, "the doors are not open yet; it is announced for %s", sp.StartsAt.Format(time.RFC1123))
		}
		return space.Errorf(space.TooEarly, "the doors are not open yet; come back when the host opens them")
	case space.Ended:
		return space.Errorf(space.Gone, "the space has ended; its recording is here")
	default:
		return space.Errorf(space.Gone, "the space was cancelled; ask its host what comes instead")
	}
}

// elsewhere are formats that the contract knows and that are not made of everything.
var elsewhere = map[string]bool{"mp3": true, "m3u8": true}

// NoFormat is the answer for a format that is not made here: 406 for those of the
// contract, 404 for what never was one. path is the file's without its ending.
func NoFormat(ext, path string) *problem.Problem {
	if elsewhere[ext] {
		return problem.New(http.StatusNotAcceptable, "."+ext+" is not available on this server; use "+path+".ogg or "+path+".mp4")
	}
	return problem.New(http.StatusNotFound, "there is no such format; use "+path+".ogg or "+path+".mp4")
}
