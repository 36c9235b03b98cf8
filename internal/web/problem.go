package web

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hustings/internal/desk"
	"hustings/internal/space"
	"hustings/internal/stage"

	"github.com/danielgtaylor/huma/v2"
)

// How long those wait who come too early or find no seat, in seconds. Those who
// come before the doors open are told to wait longer (see live.go).
const (
	retrySoon = 1
	retryFull = 10
)

// statusOf is the one place that makes a status of an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, stage.ErrNoETag):
		return http.StatusPreconditionRequired
	case errors.Is(err, stage.ErrETag):
		return http.StatusPreconditionFailed
	}
	switch space.KindOf(err) {
	case space.Invalid:
		return http.StatusUnprocessableEntity
	case space.Unauthorized:
		return http.StatusUnauthorized
	case space.Forbidden:
		return http.StatusForbidden
	case space.NotFound:
		return http.StatusNotFound
	case space.Conflict:
		return http.StatusConflict
	case space.Gone:
		return http.StatusGone
	case space.Unsupported:
		return http.StatusUnsupportedMediaType
	case space.TooEarly:
		return http.StatusTooEarly
	case space.Full:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// problem is an error as it is answered.
type problem struct {
	huma.ErrorModel
	header http.Header
}

// newProblem makes the answer to an error: what a person may see of it, and the
// headers that belong to its status.
func newProblem(err error) *problem {
	status := statusOf(err)
	p := problemf(status, detailOf(err, status))
	switch status {
	case http.StatusUnauthorized:
		p.header.Set("WWW-Authenticate", `Bearer realm="hustings"`)
	case http.StatusTooEarly:
		p.header.Set("Retry-After", strconv.Itoa(retrySoon))
	case http.StatusServiceUnavailable:
		p.header.Set("Retry-After", strconv.Itoa(retryFull))
	}
	var notReady *desk.NotReady
	if errors.As(err, &notReady) {
		for _, point := range notReady.Points {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: point})
		}
	}
	return p
}

// refuse is problemf in the form that guard asks for.
func refuse(rw http.ResponseWriter, r *http.Request, status int, detail string) {
	problemf(status, detail).write(rw, r)
}

func problemf(status int, detail string) *problem {
	p := &problem{header: http.Header{}}
	p.Status, p.Title, p.Detail = status, http.StatusText(status), detail
	return p
}

// detailOf returns the words of an error that are meant for everybody.
func detailOf(err error, status int) string {
	var told *space.Error
	switch {
	case errors.As(err, &told):
		return told.Detail
	case status != http.StatusInternalServerError:
		return err.Error()
	default:
		return "something went wrong on our side; try again, and if it stays so, ask whoever runs this server to look into its log"
	}
}

// write answers with the problem: as a page where a person looks, else as JSON.
func (p *problem) write(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	for name, values := range p.header {
		header[name] = values
	}
	header.Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		p.writePage(rw)
		return
	}
	writeJSON(rw, p.Status, "application/problem+json", &p.ErrorModel)
}

func (p *problem) writePage(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	rw.WriteHeader(p.Status)
	detail := strings.ToUpper(p.Detail[:min(1, len(p.Detail))]) + p.Detail[min(1, len(p.Detail)):]
	_, _ = rw.Write([]byte("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>" +
		html.EscapeString(p.Title) + "</title><h1>" + html.EscapeString(p.Title) + "</h1><p>" + html.EscapeString(detail) +
		".</p><p><a href=\"/\">To the front page</a></p></html>\n"))
}

// fail answers with an error, and logs it if it is our fault.
func (w *Web) fail(rw http.ResponseWriter, r *http.Request, err error) {
	w.blame(r.Context(), err)
	newProblem(err).write(rw, r)
}

// apiError is fail for the handlers of the API.
func (w *Web) apiError(ctx context.Context, err error) error {
	w.blame(ctx, err)
	p := newProblem(err)
	return huma.ErrorWithHeaders(&p.ErrorModel, p.header)
}

// blame logs an error if it is our fault.
func (w *Web) blame(ctx context.Context, err error) {
	if statusOf(err) != http.StatusInternalServerError || ctx.Err() != nil {
		return
	}
	// What is shown of a *space.Error leaves out its cause; the log has it.
	cause := err
	var told *space.Error
	if errors.As(err, &told) && told.Err != nil {
		cause = told.Err
	}
	w.log.Error("a request failed", "err", err, "cause", cause)
}

func writeJSON(rw http.ResponseWriter, status int, kind string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		// All that is written here is made of plain structs: it can't fail.
		http.Error(rw, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	rw.WriteHeader(status)
	_, _ = rw.Write(append(body, '\n')) // whoever went away needs no answer
}

func plainText(rw http.ResponseWriter, status int, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte(text + "\n"))
}

// seconds gives a wait as Retry-After has it, at least one.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}
