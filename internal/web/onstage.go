package web

import (
	"context"
	"net/http"
	"net/url"

	"hustings/internal/desk"
	"hustings/internal/socket"
	"hustings/internal/space"
	"hustings/internal/stage"

	"github.com/coder/websocket"
)

// onStage upgrades to the stage's WebSocket. Another site's page can't open it: a
// browser tells its origin.
func (w *Web) onStage(rw http.ResponseWriter, r *http.Request) {
	id := space.ID(r.PathValue("id"))
	if _, err := w.Desk.Get(r.Context(), id); err != nil {
		w.fail(rw, r, err)
		return
	}
	options := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	if base, err := url.Parse(w.BaseURL); err == nil && base.Host != "" {
		options.OriginPatterns = []string{base.Host}
	}
	conn, err := websocket.Accept(w.guard.InForm(rw, r, noSocket), r, options)
	if err != nil {
		return // answered by Accept
	}
	w.sockets.Inc()
	defer w.sockets.Dec()
	socket.Serve(r.Context(), conn, socket.Options{
		Identify: func(ctx context.Context, token string) (socket.Person, error) { return w.person(ctx, id, token) },
		Watch:    func(seat space.SeatID) (*stage.Watcher, error) { return w.Stage.Watch(id, seat) },
		Blame: func(err error) string {
			w.blame(r.Context(), err)
			return newProblem(err).Detail
		},
	})
}

// noSocket says why there is no WebSocket.
func noSocket(status int) string {
	if status == http.StatusForbidden {
		return "this request came from another site's page; open the studio from the link of this server"
	}
	return "this address speaks WebSocket (RFC 6455); connect with ws:// or wss://, and say hello with a token"
}

// person is who sits before a page of the stage.
type person struct {
	who  desk.Who
	in   space.Invite // in whose name they act
	desk *desk.Desk
}

func (w *Web) person(ctx context.Context, id space.ID, token string) (socket.Person, error) {
	identify := w.who // the page's cookie
	if token != "" {
		identify = func(ctx context.Context) (desk.Who, error) { return w.Desk.Identify(ctx, token) }
	}
	who, err := identify(ctx)
	if err != nil {
		return nil, err
	}
	in, err := who.Acting(id)
	if err != nil {
		return nil, err
	}
	return &person{who: who, in: in, desk: w.Desk}, nil
}

func (p *person) Seat() space.SeatID { return p.in.Seat }

func (p *person) Mute(seat space.SeatID, muted bool) error {
	return p.desk.Mute(p.who, p.in.Space, seat, muted)
}

// Remove withdraws the invite too: who was taken off does not come back by it.
func (p *person) Remove(ctx context.Context, seat space.SeatID) error {
	return p.desk.Revoke(ctx, p.who, p.in.Space, seat)
}
