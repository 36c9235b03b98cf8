package web

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"hustings/internal/pages"
	"hustings/internal/problem"
	"hustings/internal/space"
)

// The built pages.
const (
	frontPage    = "index.html"
	listenerPage = "listener.html"
	studioPage   = "studio.html"
)

const notBuilt = "The pages are not built. Run `make build`, or `make run`, which does it too; the API at /api/openapi.json works without them."

func (w *Web) routePages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", w.front)
	mux.HandleFunc("GET /s/{id}", w.listener)
	if w.home == nil {
		mux.HandleFunc("GET /studio/{id}", w.studio)
	}
	for path, asset := range w.pages.Assets() {
		mux.Handle("GET /"+path, asset)
	}
}

// page answers with a built page, filled in.
func (w *Web) page(rw http.ResponseWriter, r *http.Request, status int, name string, f pages.Filling) {
	body, err := w.pages.Fill(name, f)
	if errors.Is(err, pages.ErrNotBuilt) {
		problem.WriteText(rw, http.StatusServiceUnavailable, notBuilt)
		return
	}
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	header := rw.Header()
	setPageHeader(header, visitOf(r.Context()), name == listenerPage)
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", fmt.Sprint(len(body)))
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte(body))
}

// setPageHeader says what a page may do: only what comes from here, its own
// WebSocket, and sound that its script puts together. A page that roams hears the
// programme from edges too, also from those that join while it is open, so they
// can't be named here: its script checks their signed list. Code never comes from them.
func setPageHeader(header http.Header, v visit, roams bool) {
	socket := "ws" + strings.TrimPrefix(v.base, "http") // older Safaris don't take 'self' for it
	edges := ""
	if roams {
		edges = " https:"
		if strings.HasPrefix(v.base, "http:") {
			edges = " http: https:"
		}
	}
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "+
		"connect-src 'self' "+socket+edges+"; media-src 'self' blob:"+edges+"; worker-src 'self'; manifest-src 'self'; "+
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	header.Set("Permissions-Policy", "microphone=(self), camera=(), geolocation=()")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cache-Control", "no-cache")
}

// front shows what is on.
func (w *Web) front(rw http.ResponseWriter, r *http.Request) {
	list, _, err := w.spaces.List(r.Context(), "", 20)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	var links strings.Builder
	for _, sp := range list {
		fmt.Fprintf(&links, `<li><a href="/s/%s">%s</a> (%s)</li>`, html.EscapeString(string(sp.ID)), html.EscapeString(sp.Title), sp.Phase)
	}
	w.page(rw, r, http.StatusOK, frontPage, pages.Filling{
		Title:    "Hustings",
		Head:     pages.Meta("name", "description", "Live conversations in front of a crowd"),
		Noscript: "<h1>Hustings</h1><ul>" + links.String() + "</ul>",
	})
}

// listener shows a space to the audience.
func (w *Web) listener(rw http.ResponseWriter, r *http.Request) {
	sp, ok := w.spaceForPage(rw, r)
	if !ok {
		return
	}
	s := w.spaceOf(visitOf(r.Context()).base, sp)
	about := sp.Description
	if about == "" {
		about = "A live conversation. " + whatIsSo(s)
	}
	about = shorten(about, 200)
	head := pages.Meta("name", "description", about) + pages.Meta("property", "og:type", "website") + pages.Meta("property", "og:site_name", "Hustings") +
		pages.Meta("property", "og:title", sp.Title) + pages.Meta("property", "og:description", about) + pages.Meta("property", "og:url", s.Links.Listen)
	if sp.Phase.OnAir() {
		head += pages.Meta("property", "og:audio", s.Links.Ogg) + pages.Meta("property", "og:audio:type", "audio/ogg")
	}
	w.page(rw, r, http.StatusOK, listenerPage, pages.Filling{Title: sp.Title + " · Hustings", Head: head, Data: s, Noscript: withoutScript(s)})
}

// studio shows a space to those on its stage. The token stays with the browser.
func (w *Web) studio(rw http.ResponseWriter, r *http.Request) {
	sp, ok := w.spaceForPage(rw, r)
	if !ok {
		return
	}
	w.page(rw, r, http.StatusOK, studioPage, pages.Filling{
		Title:    "Studio: " + sp.Title + " · Hustings",
		Head:     pages.Meta("name", "robots", "noindex"),
		Data:     w.spaceOf(visitOf(r.Context()).base, sp),
		Noscript: "<p>The studio needs JavaScript: it sends the sound of your microphone.</p>",
	})
}

// spaceForPage returns the space of the address, or answers that there is none.
func (w *Web) spaceForPage(rw http.ResponseWriter, r *http.Request) (space.Space, bool) {
	sp, err := w.spaces.Get(r.Context(), space.ID(r.PathValue("id")))
	switch {
	case err == nil:
		return sp, true
	case space.KindOf(err) != space.NotFound:
		w.fail(rw, r, err)
	default:
		w.page(rw, r, http.StatusNotFound, listenerPage, pages.Filling{
			Title:    "Not found · Hustings",
			Head:     pages.Meta("name", "robots", "noindex"),
			Data:     map[string]bool{"missing": true},
			Noscript: `<h1>There is no such space</h1><p>Check the link, or look at <a href="/">what is on</a>.</p>`,
		})
	}
	return space.Space{}, false
}

// withoutScript is the listener's page for browsers without JavaScript.
func withoutScript(s spaceJSON) string {
	text := "<h1>" + html.EscapeString(s.Title) + "</h1><p>" + html.EscapeString(whatIsSo(s)) + "</p>"
	sound := ""
	switch {
	case s.Phase.OnAir():
		sound = s.Links.Ogg
	case s.Links.Recording != nil:
		sound = s.Links.Recording.Ogg
	}
	if sound != "" {
		address := html.EscapeString(sound)
		text += `<p><audio controls preload="none" src="` + address + `"></audio></p><p><a href="` + address + `">Listen in another player</a></p>`
	}
	if s.Description != "" {
		text += "<p>" + html.EscapeString(s.Description) + "</p>"
	}
	return text
}

// whatIsSo says in words where a space stands.
func whatIsSo(s spaceJSON) string {
	switch s.Phase {
	case space.Scheduled:
		if s.StartsAt == nil {
			return "It has not begun yet."
		}
		return "It begins on " + s.StartsAt.UTC().Format(time.RFC1123) + "."
	case space.Open:
		return "The doors are open; it begins soon."
	case space.Live:
		return "It is live now."
	case space.Ended:
		return "It has ended; here is the recording."
	default:
		return "It was cancelled."
	}
}

// shorten cuts a text to n characters, at a space.
func shorten(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	text = string(runes[:n-1])
	if i := strings.LastIndexByte(text, ' '); i > 0 {
		text = text[:i]
	}
	return text + "…"
}
