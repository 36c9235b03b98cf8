// Package problem is what is answered when something is wrong: the one place that
// makes a status and a problem+json (RFC 9457) of an error, in which a person reads
// what to do.
//
//	sp, err := spaces.Get(ctx, id)
//	if err != nil {
//		problem.Of(err).Write(rw, r)
//	}
//
// A *space.Error has a kind, and each kind a status. Whatever else goes wrong is a
// fault of ours: its words are for the log (Blame), and not for who asked.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"html"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hustings/internal/space"

	"github.com/danielgtaylor/huma/v2"
)

// How long those wait who come too early or find no seat, in seconds, unless they
// are told otherwise.
const (
	retrySoon = 1
	retryFull = 10
)

// Status returns the status of an error.
func Status(err error) int {
	var with *statusError
	if errors.As(err, &with) {
		return with.status
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

// WithStatus gives an error a status of its own; its words may then be shown.
func WithStatus(err error, status int) error { return &statusError{err, status} }

type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

// Problem is an error as it is answered.
type Problem struct {
	huma.ErrorModel
	Header http.Header // that belongs to the answer
}

// Of makes the answer to an error: what a person may see of it, and the headers
// that belong to its status.
func Of(err error) *Problem {
	status := Status(err)
	p := New(status, detailOf(err, status))
	switch status {
	case http.StatusUnauthorized:
		p.Header.Set("WWW-Authenticate", `Bearer realm="hustings"`)
	case http.StatusTooEarly:
		p.Header.Set("Retry-After", strconv.Itoa(retrySoon))
	case http.StatusServiceUnavailable:
		p.Header.Set("Retry-After", strconv.Itoa(retryFull))
	}
	return p
}

// New makes an answer; detail tells a person what to do.
func New(status int, detail string) *Problem {
	p := &Problem{Header: http.Header{}}
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

// Refuse answers no, in the form that guard asks for.
func Refuse(rw http.ResponseWriter, r *http.Request, status int, detail string) {
	New(status, detail).Write(rw, r)
}

// Blame logs an error if it is our fault.
func Blame(ctx context.Context, log *slog.Logger, err error) {
	if Status(err) != http.StatusInternalServerError || ctx.Err() != nil {
		return
	}
	// What is shown of a *space.Error leaves out its cause; the log has it.
	cause := err
	var told *space.Error
	if errors.As(err, &told) && told.Err != nil {
		cause = told.Err
	}
	log.Error("a request failed", "err", err, "cause", cause)
}

// Write answers with the problem: as a page where a person looks, else as JSON.
func (p *Problem) Write(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	for name, values := range p.Header {
		header[name] = values
	}
	header.Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		p.writePage(rw)
		return
	}
	WriteJSON(rw, p.Status, "application/problem+json", &p.ErrorModel)
}

func (p *Problem) writePage(rw http.ResponseWriter) {
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	rw.WriteHeader(p.Status)
	detail := strings.ToUpper(p.Detail[:min(1, len(p.Detail))]) + p.Detail[min(1, len(p.Detail)):]
	_, _ = rw.Write([]byte("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>" +
		html.EscapeString(p.Title) + "</title><h1>" + html.EscapeString(p.Title) + "</h1><p>" + html.EscapeString(detail) +
		".</p><p><a href=\"/\">To the front page</a></p></html>\n"))
}

// JSON returns the problem as the body of an answer of application/problem+json.
func (p *Problem) JSON() []byte {
	body, _ := json.Marshal(&p.ErrorModel) // a plain struct: it can't fail
	return body
}

// WriteJSON answers with v, which is made of plain structs.
func WriteJSON(rw http.ResponseWriter, status int, kind string, v any) {
	body, err := json.Marshal(v)
	if err != nil { // what is plain can't fail
		http.Error(rw, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	rw.WriteHeader(status)
	_, _ = rw.Write(append(body, '\n')) // whoever went away needs no answer
}

// WriteText answers with a line of text that is not to be kept.
func WriteText(rw http.ResponseWriter, status int, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	_, _ = rw.Write([]byte(text + "\n"))
}

// Seconds gives a wait as Retry-After has it, at least one.
func Seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}
