package web

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"hustings/internal/guard"
	"hustings/internal/problem"
	"hustings/internal/seats"
	"hustings/internal/space"
	"hustings/internal/stage"
)

// Media types of the signalling (RFC 9725, RFC 8840).
const (
	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
)

// connect is one of the stage's ways to take a call.
type connect func(ctx context.Context, in space.Invite, offer string) (stage.Session, error)

// routeWHIP lays out the signalling. Its addresses take all methods, since the RFC
// has words for those that do not fit.
func (w *Web) routeWHIP(mux *http.ServeMux) {
	for name, take := range map[string]connect{"whip": w.Stage.Publish, "whep": w.Stage.Subscribe} {
		base := apiPath + "/spaces/{id}/" + name
		mux.HandleFunc(base, w.endpoint(name, take))
		mux.HandleFunc(base+"/{session}", w.session)
	}
}

// endpoint takes offers (RFC 9725, section 4.2).
func (w *Web) endpoint(name string, take connect) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Accept-Post", sdpType)
		switch r.Method {
		case http.MethodPost:
			w.offer(rw, r, name, take)
		case http.MethodOptions:
			guard.Preflight(rw, "OPTIONS, POST")
		default:
			w.guard.WrongMethod(rw, r, "OPTIONS, POST")
		}
	}
}

func (w *Web) offer(rw http.ResponseWriter, r *http.Request, name string, take connect) {
	in, err := w.seat(r)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	// The stage forgets a space that is over; what is kept does not.
	if sp, err := w.Desk.Get(r.Context(), in.Space); err != nil {
		w.fail(rw, r, err)
		return
	} else if sp.Phase.Over() {
		w.fail(rw, r, seats.OverError(sp))
		return
	}
	offer, ok := w.readBody(rw, r, sdpType)
	if !ok {
		return
	}
	session, err := take(r.Context(), in, offer)
	if err != nil {
		w.failCall(rw, r, err)
		return
	}
	header := rw.Header()
	header.Set("Content-Type", sdpType)
	header.Set("Location", apiPath+"/spaces/"+string(in.Space)+"/"+name+"/"+session.ID)
	header.Set("ETag", session.ETag)
	header.Set("Accept-Patch", fragmentType)
	rw.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(rw, session.Answer)
}

// session is the address of a call that was taken (RFC 9725, sections 4.2 and 4.3).
func (w *Web) session(rw http.ResponseWriter, r *http.Request) {
	const allow = "DELETE, OPTIONS, PATCH"
	rw.Header().Set("Accept-Patch", fragmentType)
	switch r.Method {
	case http.MethodPatch:
		w.patch(rw, r)
	case http.MethodDelete:
		w.leave(rw, r)
	case http.MethodOptions:
		guard.Preflight(rw, allow)
	default:
		w.guard.WrongMethod(rw, r, allow)
	}
}

func (w *Web) patch(rw http.ResponseWriter, r *http.Request) {
	if err := w.ownCall(r); err != nil {
		w.fail(rw, r, err)
		return
	}
	fragment, ok := w.readBody(rw, r, fragmentType)
	if !ok {
		return
	}
	if r.Header.Get("If-Match") == "" {
		w.fail(rw, r, stage.ErrNoETag)
		return
	}
	patch, err := w.Stage.Patch(r.Context(), r.PathValue("session"), r.Header.Get("If-Match"), fragment)
	if err != nil {
		w.failCall(rw, r, err)
		return
	}
	if patch.ETag != "" {
		rw.Header().Set("ETag", patch.ETag)
	}
	if !patch.Restarted {
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	rw.Header().Set("Content-Type", fragmentType)
	_, _ = io.WriteString(rw, patch.Fragment)
}

func (w *Web) leave(rw http.ResponseWriter, r *http.Request) {
	err := w.ownCall(r)
	if err == nil {
		err = w.Stage.Leave(r.Context(), r.PathValue("session"))
	}
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	rw.WriteHeader(http.StatusOK)
}

// seat tells with which invite who asks comes to this space's stage.
func (w *Web) seat(r *http.Request) (space.Invite, error) {
	who, err := w.who(r.Context())
	if err != nil {
		return space.Invite{}, err
	}
	return who.Seat(space.ID(r.PathValue("id")))
}

// ownCall checks that the session is one of the seat that asks.
func (w *Web) ownCall(r *http.Request) error {
	in, err := w.seat(r)
	if err != nil {
		return err
	}
	id, seat, err := w.Stage.Owner(r.PathValue("session"))
	if err != nil {
		return err
	}
	if id != in.Space || seat != in.Seat {
		return space.Errorf(space.Forbidden, "this session belongs to another seat; use the token that it was made with")
	}
	return nil
}

// readBody reads a body of the given media type, or answers why it can't.
func (w *Web) readBody(rw http.ResponseWriter, r *http.Request, kind string) (text string, ok bool) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != kind {
		w.fail(rw, r, space.Errorf(space.Unsupported, "send the body as Content-Type: %s", kind))
		return "", false
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		problem.Refuse(rw, r, http.StatusRequestEntityTooLarge, "the body is too large; offer one audio track and nothing else")
		return "", false
	case err != nil:
		problem.Refuse(rw, r, http.StatusBadRequest, "the body did not come whole; send the request again")
		return "", false
	}
	return string(body), true
}

// failCall is fail for what the stage says of SDP: what it can't read is a bad
// request, not one whose content is wrong.
func (w *Web) failCall(rw http.ResponseWriter, r *http.Request, err error) {
	w.blame(r.Context(), err)
	p := newProblem(err)
	if p.Status == http.StatusUnprocessableEntity {
		p.Status, p.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
	}
	p.Write(rw, r)
}
