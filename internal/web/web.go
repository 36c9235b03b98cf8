// Package web is the door to everything over HTTP: the pages, the API, WHIP and
// WHEP, the stage's WebSocket, the programme and its recordings.
//
// It translates and decides nothing. What a person may do is the desk's business;
// what is wrong comes back as a *space.Error, and one room (problem) makes
// that a status and a problem+json (RFC 9457) that says what to do.
//
//	shared := split.New(listener)                     // HTTP and ICE-TCP share a port
//	w, err := web.New(web.Options{...})
//	err = w.Serve(ctx, tls.NewListener(shared, conf)) // or shared itself
//
// Where to find what:
//
//	visit.go     who asks: bearer token, session cookie, from which site; headers
//	api.go       the JSON API, described at /api/openapi.json; spaces.go, invites.go, rehearsals.go
//	whip.go      signalling for the stage (RFC 9725); onstage.go its WebSocket
//	recording.go what is there after the end
//	pages.go     the built pages, filled in
//
// What is so for every request is the room guard's. HTTP/1.1 is all that is spoken:
// a stream of HTTP/2 can't be taken over.
package web

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"hustings/internal/archive"
	"hustings/internal/desk"
	"hustings/internal/guard"
	"hustings/internal/pages"
	"hustings/internal/problem"
	"hustings/internal/programme"
	"hustings/internal/space"
	"hustings/internal/stage"

	"github.com/prometheus/client_golang/prometheus"
)

// Stage is what web needs of the stage: connections and watchers. Who may do what
// there goes by the desk.
type Stage interface {
	Calls
	Watch(id space.ID, seat space.SeatID) (*stage.Watcher, error)
}

// Calls are the WHIP and WHEP sessions of the stage.
type Calls interface {
	Publish(ctx context.Context, in space.Invite, offer string) (stage.Session, error)
	Subscribe(ctx context.Context, in space.Invite, offer string) (stage.Session, error)
	Sessions
}

// Sessions are calls that were taken.
type Sessions interface {
	Owner(session string) (space.ID, space.SeatID, error)
	Patch(ctx context.Context, session, ifMatch, fragment string) (stage.Patch, error)
	Leave(ctx context.Context, session string) error
}

// Programme is what the audience hears now.
type Programme interface {
	Tally(id space.ID) space.Tally
}

// Live lays out what is at /live/: the room live.
type Live interface {
	Routes(mux *http.ServeMux)
}

// Archive is what was heard.
type Archive interface {
	Finished(ctx context.Context, id space.ID) error
	Open(ctx context.Context, id space.ID, ext string) (archive.Content, error)
	Proof(ctx context.Context, id space.ID, from, to uint64) (programme.Proof, error)
}

// Options say what stands behind the door. Desk, Stage, Programme and Archive are
// required.
type Options struct {
	Desk      *desk.Desk
	Stage     Stage
	Programme Programme
	Archive   Archive
	Live      Live // nil: nothing is at /live/
	// Edges returns the signed list of who serves listeners; nil, or "": this server alone.
	Edges func() string
	// Rehearsals are permitted and reported here; nil: there are none.
	Rehearsals Rehearsals

	// BaseURL is how the world reaches this server: "https://example.org". "": as
	// each request says that it did.
	BaseURL string
	Pages   fs.FS           // as the ui's build leaves them; nil or empty: not built
	Keys    func() []string // verifier keys of the programme's log; nil: it has none
	Version string

	Ready    func(context.Context) error // whether the server can do its work; nil: it can
	Metrics  http.Handler                // serves /metrics; nil: nothing does
	Registry prometheus.Registerer       // takes our own figures; nil: none
	Logger   *slog.Logger                // nil: discard
}

// Web serves HTTP. Its Handler is safe for use by many goroutines.
type Web struct {
	Options
	spaces  Spaces        // the desk, or what an edge knows of it
	home    func() string // on an edge: where all else is; nil: here
	log     *slog.Logger
	origin  *http.CrossOriginProtection
	pages   *pages.Pages
	guard   *guard.Guard
	sockets prometheus.Gauge // open WebSockets
	handler http.Handler
}

// New checks the options and lays out the routes.
func New(o Options) (*Web, error) {
	if o.Desk == nil || o.Stage == nil || o.Programme == nil || o.Archive == nil {
		return nil, errors.New("web: a desk, a stage, a programme and an archive are needed")
	}
	w := &Web{Options: o, spaces: o.Desk}
	if err := w.prepare(); err != nil {
		return nil, err
	}
	w.sockets = prometheus.NewGauge(prometheus.GaugeOpts{Name: "hustings_stage_sockets", Help: "Open WebSockets of stages."})
	if o.Registry != nil {
		if err := o.Registry.Register(w.sockets); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	w.routeAPI(mux)
	w.routeWHIP(mux)
	if o.Live != nil {
		o.Live.Routes(mux)
	}
	mux.HandleFunc("GET /recordings/{file}", w.recording)
	w.routePages(mux)
	w.routeOperations(mux)
	w.handle(mux)
	return w, nil
}

// prepare makes what every route stands on.
func (w *Web) prepare() (err error) {
	w.log, w.origin = w.Logger, http.NewCrossOriginProtection()
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	if err := w.setBase(w.BaseURL); err != nil {
		return err
	}
	if w.pages, err = pages.Read(w.Pages, frontPage, listenerPage, studioPage); err != nil {
		return err
	}
	w.guard, err = guard.New(guard.Options{Refuse: problem.Refuse, Registry: w.Registry, Logger: w.log})
	return err
}

func (w *Web) handle(mux *http.ServeMux) {
	w.handler = w.guard.Observe(w.entered(w.guard.Route(mux)))
}

func (w *Web) setBase(base string) error {
	if base == "" {
		return nil
	}
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return errors.New("web: the base URL must look like https://example.org, with no path")
	}
	w.BaseURL = u.Scheme + "://" + u.Host
	return w.origin.AddTrustedOrigin(w.BaseURL)
}

// Handler returns what answers requests.
func (w *Web) Handler() http.Handler { return w.handler }

// Serve answers on the listener until ctx is done, then lets the requests under
// way finish. WebSockets are told to go; connections that broadcast took over are
// its own. It closes the listener.
func (w *Web) Serve(ctx context.Context, listener net.Listener) error {
	return w.guard.Serve(ctx, listener, w.handler)
}

// routeOperations lays out what those who run the server look at.
func (w *Web) routeOperations(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { problem.WriteText(rw, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", w.ready)
	mux.HandleFunc("GET /.well-known/hustings-keys.json", w.keys)
	if w.Keys == nil {
		w.Keys = func() []string { return nil }
	}
	if w.Metrics != nil {
		mux.Handle("GET /metrics", w.Metrics)
	}
}

func (w *Web) ready(rw http.ResponseWriter, r *http.Request) {
	if w.Ready != nil {
		if err := w.Ready(r.Context()); err != nil {
			w.log.Warn("not ready", "err", err)
			why := "not ready; the server's log says why"
			var told *space.Error // what anybody may know
			if errors.As(err, &told) {
				why = "not ready: " + told.Detail
			}
			rw.Header().Set("Retry-After", "1")
			problem.WriteText(rw, http.StatusServiceUnavailable, why)
			return
		}
	}
	problem.WriteText(rw, http.StatusOK, "ready")
}

func (w *Web) keys(rw http.ResponseWriter, _ *http.Request) {
	keys := append([]string{}, w.Keys()...) // an empty list, never null
	guard.OpenToAll(rw.Header())
	rw.Header().Set("Cache-Control", "public, max-age=300")
	problem.WriteJSON(rw, http.StatusOK, "application/json", map[string][]string{"keys": keys})
}
