package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"hustings/internal/desk"
	"hustings/internal/guard"
	"hustings/internal/live"
	"hustings/internal/space"
)

// visit is what a request says of who asks and how they reached us.
type visit struct {
	bearer  string // token of the Authorization header
	session string // of the cookie
	foreign bool   // another site's page had the browser ask
	base    string // scheme and host as the world has them
	secure  bool   // by HTTPS
}

type visitKey struct{}

func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

func (w *Web) visit(r *http.Request) visit {
	var v visit
	v.base, v.secure = live.Base(r, w.BaseURL)
	if scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		v.bearer = strings.TrimSpace(text)
	}
	if cookie, err := r.Cookie(cookieName(v.secure)); err == nil {
		v.session = cookie.Value
		v.foreign = w.origin.Check(r) != nil
	}
	return v
}

// entered holds what is so for every request here: its headers, how large it may
// be, and who asks.
func (w *Web) entered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		header := rw.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		v := w.visit(r)
		if v.secure {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if strings.HasPrefix(r.URL.Path, "/api/") {
			guard.OpenToAll(header)
			header.Set("Cache-Control", "no-store")
		}
		r.Body = http.MaxBytesReader(rw, r.Body, guard.MaxBody)
		next.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

// who tells who asks. A token speaks before the cookie; the cookie only for
// requests that change something if they come from our own pages, since a browser
// sends it with those of any page.
//
// Errors: Unauthorized, Forbidden.
func (w *Web) who(ctx context.Context) (desk.Who, error) {
	v := visitOf(ctx)
	if v.bearer != "" || v.session == "" {
		return w.Desk.Identify(ctx, v.bearer)
	}
	if v.foreign {
		return desk.Who{}, space.Errorf(space.Forbidden, "this request came from another site's page; use the pages of this server, or send a token")
	}
	return w.Desk.Session(v.session)
}

// cookieName is that of the session's cookie. The prefix __Host- makes browsers
// refuse it from other hosts of the domain, but needs HTTPS.
func cookieName(secure bool) string {
	if secure {
		return "__Host-hustings"
	}
	return "hustings"
}

func sessionCookie(v visit, session string, until time.Time) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(v.secure), Value: session, Path: "/", Expires: until,
		Secure: v.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// signIn trades the owner's token in the link for a session, and leads on so that
// the token does not stay in the address bar.
func (w *Web) signIn(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	session, until, err := w.Desk.SignIn(r.URL.Query().Get("token"))
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	http.SetCookie(rw, sessionCookie(visitOf(r.Context()), session, until))
	http.Redirect(rw, r, "/", http.StatusSeeOther)
}
