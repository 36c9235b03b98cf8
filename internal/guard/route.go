package guard

import "net/http"

// Route gives the mux's own refusals (no such path, no such method) the form of
// all others, and answers the question that a browser asks before it lets another
// site's page send something (CORS preflight).
func (g *Guard) Route(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			if a, ok := rw.(*answer); ok {
				a.route = pattern
			}
			mux.ServeHTTP(rw, r)
			return
		}
		refusal := refusalOf(mux, r)
		switch {
		case refusal.status == http.StatusMethodNotAllowed && r.Method == http.MethodOptions:
			Preflight(rw, refusal.header.Get("Allow"))
		case refusal.status == http.StatusMethodNotAllowed:
			g.WrongMethod(rw, r, refusal.header.Get("Allow"))
		case refusal.status >= 300 && refusal.status < 400:
			mux.ServeHTTP(rw, r) // a path with // or .. in it
		default:
			g.Refuse(rw, r, http.StatusNotFound, "there is nothing at this address; check the link")
		}
	})
}

// refused is a ResponseWriter that keeps what the mux answers by itself.
type refused struct {
	header http.Header
	status int
}

func refusalOf(mux *http.ServeMux, r *http.Request) *refused {
	refusal := &refused{header: http.Header{}}
	mux.ServeHTTP(refusal, r)
	return refusal
}

func (f *refused) Header() http.Header         { return f.header }
func (f *refused) WriteHeader(status int)      { f.status = status }
func (f *refused) Write(p []byte) (int, error) { return len(p), nil }

// OpenToAll lets pages of other sites read the answer. They can't use our cookie:
// a browser does not send it along with "*".
func OpenToAll(header http.Header) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Retry-After, Accept-Post, Accept-Patch, Content-Range, WWW-Authenticate, Hustings-Bus")
}

// Preflight says which methods an address takes, to pages of other sites too.
func Preflight(rw http.ResponseWriter, allow string) {
	header := rw.Header()
	header.Set("Allow", allow)
	OpenToAll(header)
	header.Set("Access-Control-Allow-Methods", allow)
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	header.Set("Access-Control-Max-Age", "86400")
	rw.WriteHeader(http.StatusNoContent)
}

// WrongMethod answers that an address takes other methods only.
func (g *Guard) WrongMethod(rw http.ResponseWriter, r *http.Request, allow string) {
	rw.Header().Set("Allow", allow)
	g.Refuse(rw, r, http.StatusMethodNotAllowed, "this address does not take "+r.Method+"; it takes "+allow)
}

// InForm is for libraries that refuse in their own words: what they refuse gets the
// form of all others, and what there is to do about it.
func (g *Guard) InForm(rw http.ResponseWriter, r *http.Request, todo func(status int) string) http.ResponseWriter {
	return &formal{ResponseWriter: rw, refuse: func(status int) { g.Refuse(rw, r, status, todo(status)) }}
}

// formal puts another answer in place of a refusal.
type formal struct {
	http.ResponseWriter
	refuse  func(status int)
	refused bool
}

func (f *formal) WriteHeader(status int) {
	switch {
	case status >= 400 && !f.refused:
		f.refused = true
		f.refuse(status)
	case !f.refused:
		f.ResponseWriter.WriteHeader(status)
	}
}

// Write drops the words of a refusal.
func (f *formal) Write(p []byte) (int, error) {
	if f.refused {
		return len(p), nil
	}
	return f.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (f *formal) Unwrap() http.ResponseWriter { return f.ResponseWriter }
