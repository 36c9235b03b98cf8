package web

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"sync"
	"time"

	"hustings/internal/desk"
	"hustings/internal/space"
	"hustings/internal/stage"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// Limits of a stage's WebSocket.
const (
	helloTime   = 10 * time.Second // to say hello
	writeTime   = 5 * time.Second  // to take a message; the page comes back by itself
	pingEvery   = 20 * time.Second // keeps proxies from closing it
	pingTime    = 10 * time.Second
	maxMessage  = 4 << 10 // bytes from a page
	commandRate = 10      // commands a second; more wait
)

// socket is the stage's WebSocket of one page: the stage's events go out, the
// page's commands come in.
type socket struct {
	web   *Web
	conn  *websocket.Conn
	id    space.ID
	token string       // from the hello; "" when the cookie speaks
	seat  space.SeatID // whose page it is; "" for the owner's
}

// socket upgrades the request. Another site's page can't open it: a browser tells
// its origin.
func (w *Web) socket(rw http.ResponseWriter, r *http.Request) {
	id := space.ID(r.PathValue("id"))
	if _, err := w.Desk.Get(r.Context(), id); err != nil {
		w.fail(rw, r, err)
		return
	}
	options := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	if base, err := url.Parse(w.BaseURL); err == nil && base.Host != "" {
		options.OriginPatterns = []string{base.Host}
	}
	conn, err := websocket.Accept(rw, r, options)
	if err != nil {
		return // answered by Accept
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	w.figures.sockets.Inc()
	defer w.figures.sockets.Dec()
	s := &socket{web: w, conn: conn, id: id}
	s.serve(r.Context())
}

// serve runs until the page or the stage ends it.
func (s *socket) serve(ctx context.Context) {
	watcher, err := s.enter(ctx)
	if err != nil {
		s.refuse(ctx, err)
		_ = s.conn.Close(websocket.StatusPolicyViolation, "")
		return
	}
	defer watcher.Close()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer s.conn.CloseNow() // ends the reading
	defer cancel()
	running.Go(func() { defer cancel(); s.read(ctx) })
	running.Go(func() { defer cancel(); s.keepAlive(ctx) })
	s.follow(ctx, watcher.Events())
}

// enter waits for the hello and opens the watch.
func (s *socket) enter(ctx context.Context) (*stage.Watcher, error) {
	soon, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	_, data, err := s.conn.Read(soon)
	if err != nil {
		return nil, space.Errorf(space.Invalid, "say hello first")
	}
	var hello struct{ Type, Token string }
	if json.Unmarshal(data, &hello) != nil || hello.Type != "hello" {
		return nil, space.Errorf(space.Invalid, `the first message is {"type":"hello","token":"..."}`)
	}
	s.token = hello.Token
	who, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	in, err := who.Acting(s.id)
	if err != nil {
		return nil, err
	}
	s.seat = in.Seat
	return s.web.Stage.Watch(s.id, in.Seat)
}

// who tells who the page is: anew for each command, since an invite can be
// withdrawn meanwhile.
func (s *socket) who(ctx context.Context) (desk.Who, error) {
	if s.token != "" {
		return s.web.Desk.Identify(ctx, s.token)
	}
	return s.web.who(ctx)
}

// follow sends the stage's events until there are no more or the page is gone.
func (s *socket) follow(ctx context.Context, events <-chan stage.Event) {
	for {
		select {
		case <-ctx.Done():
			_ = s.conn.Close(websocket.StatusGoingAway, "") // the page comes back by itself
			return
		case event, ok := <-events:
			if !ok {
				_ = s.conn.Close(websocket.StatusNormalClosure, "the stage is over")
				return
			}
			if s.send(ctx, s.message(event)) != nil {
				return
			}
		}
	}
}

// message gives an event as the page knows it.
func (s *socket) message(event stage.Event) any {
	switch e := event.(type) {
	case stage.StateEvent:
		return s.stateMessage(e)
	case stage.LevelsEvent:
		return levelsMessage(e)
	case stage.RemovedEvent:
		return detailMessage{Type: "removed", Detail: e.Detail}
	case stage.ReplacedEvent:
		return detailMessage{Type: "replaced", Detail: e.Detail}
	default:
		return nil
	}
}

type detailMessage struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

type stateMessage struct {
	Type     string         `json:"type"`
	Phase    space.Phase    `json:"phase"`
	Title    string         `json:"title"`
	StartsAt *time.Time     `json:"starts_at"`
	You      space.SeatID   `json:"you"`
	Seats    []space.Seat   `json:"seats"`
	Speaking []space.SeatID `json:"speaking"`
	Tally    space.Tally    `json:"tally"`
}

func (s *socket) stateMessage(e stage.StateEvent) stateMessage {
	return stateMessage{
		Type: "stage", Phase: e.State.Phase, Title: e.State.Title, StartsAt: e.State.StartsAt, You: s.seat,
		Seats:    append([]space.Seat{}, e.State.Seats...), // empty lists, never null
		Speaking: append([]space.SeatID{}, e.State.Speaking...),
		Tally:    e.State.Tally,
	}
}

// levelsMessage rounds to half a decibel, which is more than a meter shows.
func levelsMessage(e stage.LevelsEvent) any {
	levels := make(map[space.SeatID]float64, len(e.Levels))
	for seat, level := range e.Levels {
		levels[seat] = math.Round(level*2) / 2
	}
	return struct {
		Type   string                   `json:"type"`
		Levels map[space.SeatID]float64 `json:"levels"`
	}{"levels", levels}
}

func (s *socket) send(ctx context.Context, message any) error {
	if message == nil {
		return nil
	}
	data, err := json.Marshal(message)
	if err != nil {
		return err
	}
	soon, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	return s.conn.Write(soon, websocket.MessageText, data)
}

// refuse tells the page why something was not done.
func (s *socket) refuse(ctx context.Context, err error) {
	s.web.blame(ctx, err)
	_ = s.send(ctx, detailMessage{Type: "error", Detail: newProblem(err).Detail}) // the next write fails too
}

func (s *socket) keepAlive(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			soon, cancel := context.WithTimeout(ctx, pingTime)
			err := s.conn.Ping(soon)
			cancel()
			if err != nil {
				return
			}
		}
	}
}

// command is what a page asks for.
type command struct {
	Type  string       `json:"type"`
	Muted bool         `json:"muted"`
	Seat  space.SeatID `json:"seat"`
}

// parseCommand reads a message of a page.
//
// Errors: Invalid.
func parseCommand(data []byte) (command, error) {
	var c command
	if err := json.Unmarshal(data, &c); err != nil {
		return command{}, space.Errorf(space.Invalid, "that message is not understood; reload the page")
	}
	return c, nil
}

// read takes the page's commands until it is gone.
func (s *socket) read(ctx context.Context) {
	pace := rate.NewLimiter(commandRate, commandRate)
	for {
		_, data, err := s.conn.Read(ctx)
		if err != nil || pace.Wait(ctx) != nil {
			return
		}
		c, err := parseCommand(data)
		if err == nil {
			err = s.do(ctx, c)
		}
		if err != nil {
			s.refuse(ctx, err)
		}
	}
}

func (s *socket) do(ctx context.Context, c command) error {
	who, err := s.who(ctx)
	if err != nil {
		return err
	}
	switch c.Type {
	case "mute":
		return s.mute(who, c)
	case "mute_seat":
		return s.muteSeat(who, c)
	case "remove":
		return s.remove(ctx, who, c)
	default:
		return space.Errorf(space.Invalid, "there is no command %q; reload the page", c.Type)
	}
}

// mute mutes or unmutes oneself.
func (s *socket) mute(who desk.Who, c command) error {
	return s.web.Desk.Mute(who, s.id, s.seat, c.Muted)
}

// muteSeat mutes someone else.
func (s *socket) muteSeat(who desk.Who, c command) error {
	return s.web.Desk.Mute(who, s.id, c.Seat, true)
}

// remove takes someone else off the stage and withdraws their invite.
func (s *socket) remove(ctx context.Context, who desk.Who, c command) error {
	return s.web.Desk.Revoke(ctx, who, s.id, c.Seat)
}
