// Package socket is the WebSocket between a stage and the page of someone on it.
//
// The page says hello with its invite's token, then the stage's events go out to it
// and its commands come in. All messages are JSON objects with a type:
//
//	page:   hello {token}, mute {muted}, mute_seat {seat}, remove {seat}
//	server: stage {phase, title, starts_at, you, seats, speaking, tally} on every change,
//	        levels {levels: {seat: dBFS}} ten times a second,
//	        removed, replaced, error {detail}
//
// A page that is slow to read misses levels and delays nobody (see stage.Watcher);
// one that takes nothing for seconds is closed, and comes back by itself.
package socket

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"time"

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

// Person is who sits before a page: what they may do is for the desk to say.
type Person interface {
	Seat() space.SeatID // "" for the owner, who has none
	Mute(seat space.SeatID, muted bool) error
	Remove(ctx context.Context, seat space.SeatID) error
}

// Options say what a socket works with. All but Logger are required.
type Options struct {
	// Identify tells who holds a token; "" is for whoever the page's cookie speaks.
	// It is asked anew for each command, since an invite can be withdrawn meanwhile.
	Identify func(ctx context.Context, token string) (Person, error)
	// Watch follows the stage for the page of a seat.
	Watch func(seat space.SeatID) (*stage.Watcher, error)
	// Blame takes what went wrong, and returns what the page may be told of it.
	Blame func(error) (detail string)
}

// socket is the socket of one page.
type socket struct {
	Options
	conn  *websocket.Conn
	token string       // from the hello; "" when the cookie speaks
	seat  space.SeatID // whose page it is
}

// Serve speaks with a page until it or the stage ends that, or ctx, and closes the
// connection.
func Serve(ctx context.Context, conn *websocket.Conn, o Options) {
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	s := &socket{Options: o, conn: conn}
	s.serve(ctx)
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
	// A read whose context ends cuts the connection. So that the page can be told
	// why it ends, reading goes on until the connection is closed.
	reading := context.WithoutCancel(ctx)
	running.Go(func() { defer cancel(); s.read(reading) })
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
	person, err := s.Identify(ctx, s.token)
	if err != nil {
		return nil, err
	}
	s.seat = person.Seat()
	return s.Watch(s.seat)
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
	// As with reading: a write whose context ends cuts the connection.
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
	defer cancel()
	return s.conn.Write(soon, websocket.MessageText, data)
}

// refuse tells the page why something was not done.
func (s *socket) refuse(ctx context.Context, err error) {
	_ = s.send(ctx, detailMessage{Type: "error", Detail: s.Blame(err)}) // the next write fails too
}

func (s *socket) keepAlive(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTime)
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
	person, err := s.Identify(ctx, s.token)
	if err != nil {
		return err
	}
	switch c.Type {
	case "mute":
		return person.Mute(s.seat, c.Muted)
	case "mute_seat":
		return person.Mute(c.Seat, true)
	case "remove":
		return person.Remove(ctx, c.Seat)
	default:
		return space.Errorf(space.Invalid, "there is no command %q; reload the page", c.Type)
	}
}
