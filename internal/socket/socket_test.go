package socket

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hustings/internal/space"
	"hustings/internal/stage"

	"github.com/coder/websocket"
)

func TestMessages(t *testing.T) {
	starts := time.Date(2030, 1, 2, 20, 0, 0, 0, time.UTC)
	s := &socket{seat: "a2"}
	for _, c := range []struct {
		event stage.Event
		want  string
	}{
		{stage.StateEvent{State: stage.State{Phase: space.Live, Title: "Debate", StartsAt: &starts,
			Seats: []space.Seat{{ID: "a2", Name: "Ana", Role: space.Host, Muted: true, Connected: true}}, Speaking: []space.SeatID{"b3"}, Tally: space.Tally{Now: 1, Peak: 2, Total: 3}}},
			`{"type":"stage","phase":"live","title":"Debate","starts_at":"2030-01-02T20:00:00Z","you":"a2",` +
				`"seats":[{"id":"a2","name":"Ana","role":"host","muted":true,"connected":true}],"speaking":["b3"],"tally":{"now":1,"peak":2,"total":3}}`},
		{stage.StateEvent{State: stage.State{Phase: space.Scheduled}},
			`{"type":"stage","phase":"scheduled","title":"","starts_at":null,"you":"a2","seats":[],"speaking":[],"tally":{"now":0,"peak":0,"total":0}}`},
		{stage.LevelsEvent{Levels: map[space.SeatID]float64{"a2": -23.46, "b3": -100}}, `{"type":"levels","levels":{"a2":-23.5,"b3":-100}}`},
		{stage.RemovedEvent{Detail: "the host took you off"}, `{"type":"removed","detail":"the host took you off"}`},
		{stage.ReplacedEvent{Detail: "you joined elsewhere"}, `{"type":"replaced","detail":"you joined elsewhere"}`},
	} {
		if got, err := json.Marshal(s.message(c.event)); err != nil || string(got) != c.want {
			t.Errorf("%T:\n%s, %v; want\n%s", c.event, got, err, c.want)
		}
	}
}

// page opens a socket to a server with the options and returns the page's end.
func page(t *testing.T, o Options) *websocket.Conn {
	t.Helper()
	if o.Blame == nil {
		o.Blame = func(err error) string { return "told: " + err.Error() }
	}
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer close(done)
		conn, err := websocket.Accept(rw, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		Serve(r.Context(), conn, o)
	}))
	t.Cleanup(server.Close)
	conn, _, err := websocket.Dial(t.Context(), server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow(); <-done })
	return conn
}

func say(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestHelloIsRefused(t *testing.T) {
	identify := func(_ context.Context, token string) (Person, error) {
		return nil, errors.New("no such token: " + token)
	}
	for hello, want := range map[string]string{
		`{"type":"hello","token":"x"}`: "told: no such token: x",
		`{"type":"hello"}`:             "told: no such token: ",
		`{"type":"mute","muted":true}`: "the first message is",
		`hello`:                        "the first message is",
		`[]`:                           "the first message is",
	} {
		conn := page(t, Options{Identify: identify})
		say(t, conn, hello)
		_, data, err := conn.Read(t.Context())
		var m detailMessage
		if err != nil || json.Unmarshal(data, &m) != nil || m.Type != "error" || !strings.Contains(m.Detail, want) {
			t.Errorf("%s: %s, %v", hello, data, err)
		}
		if _, _, err = conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("%s: then %v", hello, err)
		}
	}
}

func TestTooLongAHello(t *testing.T) {
	conn := page(t, Options{Identify: func(context.Context, string) (Person, error) {
		t.Error("was identified")
		return nil, errors.New("no")
	}})
	say(t, conn, `{"type":"hello","token":"`+strings.Repeat("x", maxMessage)+`"}`)
	if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("then: %v", err)
	}
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{`{"type":"mute","muted":true}`, `{"type":"mute_seat","seat":"a2"}`, `{}`, `null`, `[1]`, `{"type":7}`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseCommand(data)
		if (err != nil) != (space.KindOf(err) == space.Invalid) {
			t.Fatalf("%q: %v is not invalid", data, err)
		}
		if err != nil && c != (command{}) {
			t.Fatalf("%q: refused, and yet %+v", data, c)
		}
	})
}
