package web

import (
	"context"
	"net/http"
	"time"

	"hustings/internal/desk"
	"hustings/internal/space"

	"github.com/danielgtaylor/huma/v2"
)

// spaceJSON is a space as the API and the pages have it.
type spaceJSON struct {
	ID          space.ID     `json:"id"`
	Title       string       `json:"title"`
	Description string       `json:"description"`
	Phase       space.Phase  `json:"phase" enum:"scheduled,open,live,ended,cancelled"`
	Rung        int          `json:"rung" doc:"Rate of the best rung in kb/s: 48 is mono, 96 stereo"`
	StartsAt    *time.Time   `json:"starts_at" nullable:"true" doc:"Announced start"`
	Rescheduled bool         `json:"rescheduled" doc:"The start was moved after the announcement"`
	OpenedAt    *time.Time   `json:"opened_at" nullable:"true"`
	StartedAt   *time.Time   `json:"started_at" nullable:"true"`
	EndedAt     *time.Time   `json:"ended_at" nullable:"true"`
	Links       linksJSON    `json:"links"`
	Tally       *space.Tally `json:"tally,omitempty" doc:"How many listen, while it is on the air"`
	Edges       string       `json:"edges,omitempty" doc:"Signed note of who serves listeners: a line 'hustings/edges', the time, then WEIGHT and URL of each. Absent if this server alone does"`
}

// linksJSON are absolute.
type linksJSON struct {
	Listen    string         `json:"listen" doc:"The listener's page"`
	Studio    string         `json:"studio" doc:"The host's and the speakers' page; an invite's link has a token behind it"`
	Ogg       string         `json:"ogg"`
	MP4       string         `json:"mp4"`
	HLS       string         `json:"hls" doc:"HTTP Live Streaming: Opus, and AAC where the server makes it"`
	Pulse     string         `json:"pulse"`
	WHIP      string         `json:"whip"`
	WHEP      string         `json:"whep"`
	Recording *recordingJSON `json:"recording,omitempty" doc:"When it has ended"`
}

type recordingJSON struct {
	Ogg  string `json:"ogg"`
	MP4  string `json:"mp4"`
	JSON string `json:"json"`
}

// spaceOf gives a space as someone sees it who reached us under base.
func (w *Web) spaceOf(base string, sp space.Space) spaceJSON {
	id, home := string(sp.ID), base
	if w.home != nil && w.home() != "" {
		home = w.home()
	}
	s := spaceJSON{
		ID: sp.ID, Title: sp.Title, Description: sp.Description, Phase: sp.Phase,
		Rung: programmeRate(sp), StartsAt: sp.StartsAt, Rescheduled: sp.Rescheduled,
		OpenedAt: sp.OpenedAt, StartedAt: sp.StartedAt, EndedAt: sp.EndedAt,
		Links: linksJSON{
			Listen: base + "/s/" + id, Studio: home + "/studio/" + id,
			Ogg: base + "/live/" + id + ".ogg", MP4: base + "/live/" + id + ".mp4", HLS: base + "/live/" + id + ".m3u8", Pulse: base + "/live/" + id + "/pulse",
			WHIP: home + apiPath + "/spaces/" + id + "/whip", WHEP: home + apiPath + "/spaces/" + id + "/whep",
		},
	}
	if sp.Phase == space.Ended {
		path := home + "/recordings/" + id
		s.Links.Recording = &recordingJSON{Ogg: path + ".ogg", MP4: path + ".mp4", JSON: path + ".json"}
	}
	if sp.Phase.OnAir() {
		tally := w.Programme.Tally(sp.ID)
		s.Tally = &tally
	}
	if w.Edges != nil {
		s.Edges = w.Edges()
	}
	return s
}

func programmeRate(sp space.Space) int {
	if sp.Stereo {
		return 96
	}
	return 48
}

func (w *Web) routeSpaces(api huma.API) {
	create := operation("POST", "/spaces", "create", "Announce a space")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, w.create)
	huma.Register(api, operation("GET", "/spaces", "list", "Spaces: what is to come and on air first, then the newest"), w.list)
	huma.Register(api, operation("GET", "/spaces/{id}", "get", "A space"), w.get)
	huma.Register(api, operation("PATCH", "/spaces/{id}", "edit", "Rename or reschedule"), w.edit)
	huma.Register(api, operation("POST", "/spaces/{id}/open", "open", "Open the doors: the audience hears hold audio"), w.open)
	huma.Register(api, operation("POST", "/spaces/{id}/start", "start", "Put the stage on air"), w.start)
	huma.Register(api, operation("POST", "/spaces/{id}/end", "end", "End; the recording is up a second later"), w.end)
	huma.Register(api, operation("POST", "/spaces/{id}/cancel", "cancel", "Call off a space that is not live yet"), w.cancel)
}

type spaceRequest struct {
	ID string `path:"id"`
}

type spaceAnswer struct {
	Body spaceJSON
}

// show answers with a space, or with the error.
func (w *Web) show(ctx context.Context, sp space.Space, err error) (*spaceAnswer, error) {
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return &spaceAnswer{Body: w.spaceOf(visitOf(ctx).base, sp)}, nil
}

type createRequest struct {
	Body struct {
		Title       string     `json:"title" doc:"What people see before they listen"`
		Description string     `json:"description,omitempty"`
		StartsAt    *time.Time `json:"starts_at,omitempty" nullable:"true" doc:"Announced start (RFC 3339)"`
		Rung        int        `json:"rung,omitempty" enum:"48,96" default:"48" doc:"Rate of the best rung in kb/s: 48 is mono, 96 stereo"`
	}
}

type createAnswer struct {
	Location string `header:"Location"`
	Body     spaceJSON
}

func (w *Web) create(ctx context.Context, in *createRequest) (*createAnswer, error) {
	who, err := w.who(ctx)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	sp, err := w.Desk.Create(ctx, who, space.Draft{
		Title: in.Body.Title, Description: in.Body.Description, StartsAt: in.Body.StartsAt, Stereo: in.Body.Rung == 96,
	})
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	return &createAnswer{Location: apiPath + "/spaces/" + string(sp.ID), Body: w.spaceOf(visitOf(ctx).base, sp)}, nil
}

type listRequest struct {
	After string `query:"after" doc:"next of the page before"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"100"`
}

type listAnswer struct {
	Body struct {
		Spaces []spaceJSON `json:"spaces"`
		Next   space.ID    `json:"next,omitempty" doc:"Give it as after for the rest; absent at the end"`
	}
}

func (w *Web) list(ctx context.Context, in *listRequest) (*listAnswer, error) {
	page, next, err := w.Desk.List(ctx, space.ID(in.After), in.Limit)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	answer := new(listAnswer)
	answer.Body.Spaces, answer.Body.Next = make([]spaceJSON, len(page)), next
	for i, sp := range page {
		answer.Body.Spaces[i] = w.spaceOf(visitOf(ctx).base, sp)
	}
	return answer, nil
}

func (w *Web) get(ctx context.Context, in *spaceRequest) (*spaceAnswer, error) {
	sp, err := w.Desk.Get(ctx, space.ID(in.ID))
	return w.show(ctx, sp, err)
}

type editRequest struct {
	ID   string `path:"id"`
	Body struct {
		Title       *string    `json:"title,omitempty" nullable:"true"`
		Description *string    `json:"description,omitempty" nullable:"true"`
		StartsAt    *time.Time `json:"starts_at,omitempty" nullable:"true"`
	} `doc:"What is absent or null stays as it is"`
}

func (w *Web) edit(ctx context.Context, in *editRequest) (*spaceAnswer, error) {
	change := space.Change{Title: in.Body.Title, Description: in.Body.Description, StartsAt: in.Body.StartsAt}
	return w.act(ctx, func(who desk.Who) (space.Space, error) { return w.Desk.Edit(ctx, who, space.ID(in.ID), change) })
}

func (w *Web) open(ctx context.Context, in *spaceRequest) (*spaceAnswer, error) {
	return w.act(ctx, func(who desk.Who) (space.Space, error) { return w.Desk.Open(ctx, who, space.ID(in.ID)) })
}

type startRequest struct {
	ID   string `path:"id"`
	Body *struct {
		Anyway bool `json:"anyway,omitempty" doc:"Start although points of the checklist are open"`
	}
}

func (w *Web) start(ctx context.Context, in *startRequest) (*spaceAnswer, error) {
	anyway := in.Body != nil && in.Body.Anyway
	return w.act(ctx, func(who desk.Who) (space.Space, error) { return w.Desk.Start(ctx, who, space.ID(in.ID), anyway) })
}

func (w *Web) end(ctx context.Context, in *spaceRequest) (*spaceAnswer, error) {
	return w.act(ctx, func(who desk.Who) (space.Space, error) { return w.Desk.End(ctx, who, space.ID(in.ID)) })
}

func (w *Web) cancel(ctx context.Context, in *spaceRequest) (*spaceAnswer, error) {
	return w.act(ctx, func(who desk.Who) (space.Space, error) { return w.Desk.Cancel(ctx, who, space.ID(in.ID)) })
}

// act does something to a space in the name of who asks.
func (w *Web) act(ctx context.Context, do func(desk.Who) (space.Space, error)) (*spaceAnswer, error) {
	who, err := w.who(ctx)
	if err != nil {
		return nil, w.apiError(ctx, err)
	}
	sp, err := do(who)
	return w.show(ctx, sp, err)
}
