package web

import (
	"context"
	"net/http"

	"hustings/internal/desk"
	"hustings/internal/space"

	"github.com/danielgtaylor/huma/v2"
)

// inviteJSON is an invite as its host sees it.
type inviteJSON struct {
	Seat  space.SeatID `json:"seat"`
	Role  space.Role   `json:"role" enum:"host,cohost,speaker"`
	Name  string       `json:"name"`
	URL   string       `json:"url,omitempty" doc:"Opens the studio with this seat; absent if you may not have it"`
	Token string       `json:"token,omitempty" doc:"For WHIP: one seat, whose newest connection wins"`
}

// inviteOf gives an invite with its link. The token stands in the fragment, which
// browsers send to no server: it gets into no log.
func inviteOf(base string, in desk.Issued) inviteJSON {
	answer := inviteJSON{Seat: in.Seat, Role: in.Role, Name: in.Name, Token: in.Token}
	if in.Token != "" {
		answer.URL = base + "/studio/" + string(in.Space) + "#token=" + in.Token
	}
	return answer
}

func (w *Web) routeInvites(api huma.API) {
	secured := []map[string][]string{{"token": {}}}
	make := operation("POST", "/spaces/{id}/invites", "invite", "Make an invite to a seat on the stage")
	make.DefaultStatus = http.StatusCreated
	huma.Register(api, make, w.invite)
	list := operation("GET", "/spaces/{id}/invites", "invites", "Invites that are open")
	list.Security = secured
	huma.Register(api, list, w.invites)
	huma.Register(api, operation("DELETE", "/spaces/{id}/invites/{seat}", "revoke", "Withdraw an invite and take its seat off the stage"), w.revoke)
}

type inviteRequest struct {
	ID   string `path:"id"`
	Body struct {
		Role space.Role `json:"role" enum:"host,cohost,speaker"`
		Name string     `json:"name" doc:"What the audience sees when this person speaks"`
	}
}

type inviteAnswer struct {
	Body inviteJSON
}

func (w *Web) invite(ctx context.Context, in *inviteRequest) (*inviteAnswer, error) {
	who, err := w.who(ctx)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	issued, err := w.Desk.Invite(ctx, who, space.ID(in.ID), in.Body.Role, in.Body.Name)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return &inviteAnswer{Body: inviteOf(visitOf(ctx).base, issued)}, nil
}

type invitesAnswer struct {
	Body struct {
		Invites []inviteJSON `json:"invites"`
	}
}

func (w *Web) invites(ctx context.Context, in *spaceRequest) (*invitesAnswer, error) {
	who, err := w.who(ctx)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	list, err := w.Desk.Invites(ctx, who, space.ID(in.ID))
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	answer := new(invitesAnswer)
	answer.Body.Invites = make([]inviteJSON, len(list))
	for i, issued := range list {
		answer.Body.Invites[i] = inviteOf(visitOf(ctx).base, issued)
	}
	return answer, nil
}

type revokeRequest struct {
	ID   string `path:"id"`
	Seat string `path:"seat"`
}

func (w *Web) revoke(ctx context.Context, in *revokeRequest) (*struct{}, error) {
	who, err := w.who(ctx)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	if err := w.Desk.Revoke(ctx, who, space.ID(in.ID), space.SeatID(in.Seat)); err != nil {
		return nil, w.apiError(ctx, err)
	}
	return nil, nil
}
