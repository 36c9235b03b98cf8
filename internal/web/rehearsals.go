package web

import (
	"context"
	"net/http"

	"hustings/internal/space"

	"github.com/danielgtaylor/huma/v2"
)

// Rehearsals are crowds of simulated listeners, and what they have shown.
type Rehearsals interface {
	Ask(id space.ID, listeners, seconds int) (space.Permit, error)
	Status(id space.ID, rehearsal string) (space.Standing, error)
	End(id space.ID, rehearsal string) error
	Report(id space.ID, rehearsal string, crowd space.Crowd) (note string, err error)
	Capacity() space.Capacity
}

func (w *Web) routeRehearsals(api huma.API) {
	if w.Rehearsals == nil {
		return
	}
	ask := operation("POST", "/spaces/{id}/rehearsals", "rehearse", "Permit a crowd of simulated listeners, for a while")
	ask.DefaultStatus = http.StatusCreated
	huma.Register(api, ask, w.rehearse)
	status := operation("GET", "/spaces/{id}/rehearsals/{rehearsal}", "rehearsal", "What the servers count of a rehearsal that is on")
	status.Security = []map[string][]string{{"token": {}}}
	huma.Register(api, status, w.rehearsal)
	huma.Register(api, operation("DELETE", "/spaces/{id}/rehearsals/{rehearsal}", "end-rehearsal", "Take the permit back; the rehearsal can still be reported"), w.endRehearsal)
	report := operation("POST", "/spaces/{id}/rehearsals/{rehearsal}/report", "report-rehearsal", "End a rehearsal with what the crowd heard, and have the report signed")
	report.DefaultStatus = http.StatusCreated
	huma.Register(api, report, w.reportRehearsal)
	huma.Register(api, operation("GET", "/capacity", "capacity", "How many listeners the last rehearsal has shown this deployment to carry"), w.capacity)
}

type rehearseRequest struct {
	ID   string `path:"id"`
	Body struct {
		Listeners int `json:"listeners" minimum:"1" doc:"Most that may come"`
		Seconds   int `json:"seconds" minimum:"1" doc:"How long the permit holds, from now on"`
	}
}

type rehearseAnswer struct {
	Body space.Permit
}

func (w *Web) rehearse(ctx context.Context, in *rehearseRequest) (*rehearseAnswer, error) {
	who, err := w.who(ctx)
	if err == nil {
		err = w.Desk.MayRehearse(ctx, who, space.ID(in.ID))
	}
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	granted, err := w.Rehearsals.Ask(space.ID(in.ID), in.Body.Listeners, in.Body.Seconds)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return &rehearseAnswer{Body: granted}, nil
}

// rehearses lets only those on who may see a rehearsal.
func (w *Web) rehearses(ctx context.Context) error {
	who, err := w.who(ctx)
	if err != nil {
		return err
	}
	return w.Desk.MaySeeRehearsal(who)
}

type rehearsalRequest struct {
	ID        string `path:"id"`
	Rehearsal string `path:"rehearsal"`
}

type rehearsalAnswer struct {
	Body space.Standing
}

func (w *Web) rehearsal(ctx context.Context, in *rehearsalRequest) (*rehearsalAnswer, error) {
	if err := w.rehearses(ctx); err != nil {
		return nil, w.apiError(ctx, err)
	}
	status, err := w.Rehearsals.Status(space.ID(in.ID), in.Rehearsal)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return &rehearsalAnswer{Body: status}, nil
}

func (w *Web) endRehearsal(ctx context.Context, in *rehearsalRequest) (*struct{}, error) {
	err := w.rehearses(ctx)
	if err == nil {
		err = w.Rehearsals.End(space.ID(in.ID), in.Rehearsal)
	}
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return nil, nil
}

type reportRequest struct {
	ID        string `path:"id"`
	Rehearsal string `path:"rehearsal"`
	Body      struct {
		Figures space.Crowd `json:"figures"`
	}
}

type reportAnswer struct {
	Body struct {
		Note string `json:"note" doc:"The signed report: a note of golang.org/x/mod/sumdb/note, by a key of /.well-known/hustings-keys.json"`
	}
}

func (w *Web) reportRehearsal(ctx context.Context, in *reportRequest) (*reportAnswer, error) {
	if err := w.rehearses(ctx); err != nil {
		return nil, w.apiError(ctx, err)
	}
	note, err := w.Rehearsals.Report(space.ID(in.ID), in.Rehearsal, in.Body.Figures)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	answer := new(reportAnswer)
	answer.Body.Note = note
	return answer, nil
}

type capacityAnswer struct {
	Body space.Capacity
}

func (w *Web) capacity(context.Context, *struct{}) (*capacityAnswer, error) {
	return &capacityAnswer{Body: w.Rehearsals.Capacity()}, nil
}
