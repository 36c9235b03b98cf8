package web

import (
	"context"
	"errors"
	"net/http"

	"hustings/internal/desk"
	"hustings/internal/problem"
	"hustings/internal/stage"

	"github.com/danielgtaylor/huma/v2"
)

// withStatus gives those errors of the stage their status that have no kind.
func withStatus(err error) error {
	switch {
	case errors.Is(err, stage.ErrNoETag):
		return problem.WithStatus(err, http.StatusPreconditionRequired)
	case errors.Is(err, stage.ErrETag):
		return problem.WithStatus(err, http.StatusPreconditionFailed)
	}
	return err
}

// newProblem makes the answer to an error.
func newProblem(err error) *problem.Problem {
	p := problem.Of(withStatus(err))
	var notReady *desk.NotReady
	if errors.As(err, &notReady) {
		for _, point := range notReady.Points {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: point})
		}
	}
	return p
}

// fail answers with an error, and logs it if it is our fault.
func (w *Web) fail(rw http.ResponseWriter, r *http.Request, err error) {
	w.blame(r.Context(), err)
	newProblem(err).Write(rw, r)
}

// apiError is fail for the handlers of the API.
func (w *Web) apiError(ctx context.Context, err error) error {
	w.blame(ctx, err)
	p := newProblem(err)
	return huma.ErrorWithHeaders(&p.ErrorModel, p.Header)
}

// blame logs an error if it is our fault.
func (w *Web) blame(ctx context.Context, err error) {
	problem.Blame(ctx, w.log, withStatus(err))
}
