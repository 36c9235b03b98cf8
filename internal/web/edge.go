package web

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"

	"hustings/internal/guard"
	"hustings/internal/problem"
	"hustings/internal/space"

	"github.com/prometheus/client_golang/prometheus"
)

// Spaces knows which spaces there are.
type Spaces interface {
	Get(ctx context.Context, id space.ID) (space.Space, error)
	List(ctx context.Context, after space.ID, limit int) (page []space.Space, next space.ID, err error)
}

// EdgeOptions say what stands behind the door of an edge. Spaces, Programme and Home
// are required; the rest is as in Options.
type EdgeOptions struct {
	Spaces    Spaces
	Programme Programme
	Live      Live
	Edges     func() string
	Home      func() string // where the core is, for all that is not here; "" while that is not known

	BaseURL string
	Pages   fs.FS
	Keys    func() []string
	Version string

	Ready    func(context.Context) error
	Metrics  http.Handler
	Registry prometheus.Registerer
	Logger   *slog.Logger
}

// NewEdge is New for a server that serves listeners alone: their pages, the programme,
// and what a page asks about its space. Whoever asks for anything else is led to the
// core.
func NewEdge(o EdgeOptions) (*Web, error) {
	if o.Spaces == nil || o.Programme == nil || o.Home == nil {
		return nil, errors.New("web: an edge needs spaces, a programme and a home")
	}
	w := &Web{spaces: o.Spaces, home: o.Home, Options: Options{
		Programme: o.Programme, Live: o.Live, Edges: o.Edges, BaseURL: o.BaseURL, Pages: o.Pages, Keys: o.Keys, Version: o.Version,
		Ready: o.Ready, Metrics: o.Metrics, Registry: o.Registry, Logger: o.Logger,
	}}
	if err := w.prepare(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	if o.Live != nil {
		o.Live.Routes(mux)
	}
	mux.HandleFunc("GET "+apiPath+"/spaces/{id}", w.read)
	w.routePages(mux)
	w.routeOperations(mux)
	mux.HandleFunc("/", w.lead)
	w.handle(mux)
	return w, nil
}

// read answers with a space as the API does.
func (w *Web) read(rw http.ResponseWriter, r *http.Request) {
	sp, err := w.spaces.Get(r.Context(), space.ID(r.PathValue("id")))
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	problem.WriteJSON(rw, http.StatusOK, "application/json", w.spaceOf(visitOf(r.Context()).base, sp))
}

// lead leads on to the core, where all is that is not here. What changes something
// is asked there again with the same method and body (RFC 9110, 15.4.8).
func (w *Web) lead(rw http.ResponseWriter, r *http.Request) {
	home := w.home()
	if home == "" || home == visitOf(r.Context()).base {
		problem.New(http.StatusMisdirectedRequest, "this server serves listeners only; ask the one that it belongs to, whose address it does not know").Write(rw, r)
		return
	}
	if r.Method == http.MethodOptions { // a browser follows no redirect of this question
		guard.Preflight(rw, "GET, HEAD, POST, PATCH, DELETE, OPTIONS")
		return
	}
	guard.OpenToAll(rw.Header())
	status := http.StatusTemporaryRedirect
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		status = http.StatusFound
	}
	rw.Header().Set("Cache-Control", "no-store")
	http.Redirect(rw, r, home+r.URL.RequestURI(), status)
}
