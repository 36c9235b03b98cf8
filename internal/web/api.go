package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"hustings/internal/guard"
	"hustings/internal/programme"
	"hustings/internal/space"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const apiPath = "/api/v1"

// routeAPI lays out the JSON API. Its description is made from the types of the
// handlers, so that it can't say something else than they do.
func (w *Web) routeAPI(mux *http.ServeMux) {
	api := humago.New(mux, w.apiConfig())
	w.routeSpaces(api)
	w.routeInvites(api)
	w.routeRehearsals(api)
	huma.Register(api, operation("GET", "/me", "me", "Who the token or the cookie belongs to"), w.me)
	huma.Register(api, operation("POST", "/signout", "signout", "End the session of this browser"), w.signOut)
	huma.Register(api, operation("GET", "/spaces/{id}/proof", "proof", "Prove that blocks are in the signed log"), w.proof)
	describe(api.OpenAPI())
	mux.HandleFunc("GET /signin", w.signIn)
	mux.HandleFunc("GET "+apiPath+"/spaces/{id}/stage", w.onStage)
}

func (w *Web) apiConfig() huma.Config {
	version := w.Version
	if version == "" {
		version = "1"
	}
	config := huma.DefaultConfig("Hustings", version)
	config.OpenAPIPath = "/api/openapi"
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // they add $schema members and links, for editors
	config.Transformers = []huma.Transformer{explain}
	config.Info.Description = "Live conversations in front of a crowd. Errors are problem+json (RFC 9457) whose detail says what to do. " +
		"The stage is joined by WHIP (RFC 9725) and heard by WHEP at /api/v1/spaces/{id}/whip and /whep; " +
		"the programme is at /live/{id}.ogg and /live/{id}.mp4, and at /recordings/{id}.ogg, .mp4 and .json after the end."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "The owner's token or an invite's."},
	}
	return config
}

// operation begins the description of one operation.
func operation(method, path, id, summary string) huma.Operation {
	op := huma.Operation{Method: method, Path: apiPath + path, OperationID: id, Summary: summary, MaxBodyBytes: guard.MaxBody}
	if method != http.MethodGet {
		op.Security = []map[string][]string{{"token": {}}}
	}
	return op
}

// explain says what to correct where huma says only that something is wrong.
func explain(_ huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	told := *model
	switch {
	case model.Status == http.StatusUnsupportedMediaType:
		told.Detail, told.Errors = "send the body as Content-Type: application/json", nil
		return &told, nil
	case model.Detail == "request body is required":
		told.Detail = "send a body: a JSON object, as /api/openapi.json describes it"
		return &told, nil
	case model.Detail != "validation failed" || len(model.Errors) == 0:
		return v, nil
	}
	faults := make([]string, len(model.Errors))
	for i, fault := range model.Errors {
		faults[i] = fault.Message
		if fault.Location != "" {
			faults[i] = fault.Location + ": " + fault.Message
		}
	}
	told.Detail = "correct the request: " + strings.Join(faults, "; ")
	return &told, nil
}

type meAnswer struct {
	Body struct {
		Owner  bool      `json:"owner" doc:"May do everything on this server"`
		Invite *meInvite `json:"invite" required:"false" doc:"The seat that the token opens; null for none"`
	}
}

type meInvite struct {
	Space space.ID     `json:"space"`
	Seat  space.SeatID `json:"seat"`
	Role  space.Role   `json:"role"`
	Name  string       `json:"name"`
}

// me tells who asks. Whoever has neither a token nor a session is nobody, which is
// an answer and not an error; a token that does not hold is an error.
func (w *Web) me(ctx context.Context, _ *struct{}) (*meAnswer, error) {
	answer := new(meAnswer)
	if visitOf(ctx).bearer == "" {
		who, _ := w.Desk.Session(visitOf(ctx).session)
		answer.Body.Owner = who.Owner
		return answer, nil
	}
	who, err := w.who(ctx)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	answer.Body.Owner = who.Owner
	if in := who.Invite; in != nil {
		answer.Body.Invite = &meInvite{Space: in.Space, Seat: in.Seat, Role: in.Role, Name: in.Name}
	}
	return answer, nil
}

type signOutAnswer struct {
	SetCookie http.Cookie `header:"Set-Cookie"`
}

func (w *Web) signOut(ctx context.Context, _ *struct{}) (*signOutAnswer, error) {
	v := visitOf(ctx)
	if v.foreign {
		_, err := w.who(ctx)
		return nil, w.apiError(ctx, err)
	}
	cookie := sessionCookie(v, "", time.Unix(1, 0))
	cookie.MaxAge = -1
	return &signOutAnswer{SetCookie: *cookie}, nil
}

type proofRequest struct {
	ID   string `path:"id"`
	From uint64 `query:"from" doc:"First block"`
	To   uint64 `query:"to" required:"true" doc:"The one after the last block"`
}

type proofAnswer struct {
	Body programme.Proof
}

func (w *Web) proof(ctx context.Context, in *proofRequest) (*proofAnswer, error) {
	proof, err := w.Archive.Proof(ctx, space.ID(in.ID), in.From, in.To)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return &proofAnswer{Body: proof}, nil
}
