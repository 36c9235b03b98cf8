package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"hustings/internal/space"
	"hustings/internal/stage"

	"github.com/coder/websocket"
	"github.com/pion/webrtc/v4"
)

// newStage runs a real stage on a port of its own.
func newStage(t *testing.T) *stage.Stages {
	t.Helper()
	st, err := stage.New(stage.Options{UDP: "127.0.0.1:0", Publish: func(string, []byte) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- st.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return st
}

// offerOf makes an offer of a microphone.
func offerOf(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "a", "a")
	if err == nil {
		_, err = pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	}
	if err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err == nil {
		err = pc.SetLocalDescription(offer) // or pc has nothing to close
	}
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

// page is the browser's end of a stage's WebSocket.
type page struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *site) page(id, token string, headers ...string) (*page, error) {
	header := http.Header{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		header.Set(name, value)
	}
	conn, _, err := websocket.Dial(s.t.Context(), s.url+"/api/v1/spaces/"+id+"/stage", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { conn.CloseNow() })
	p := &page{t: s.t.(*testing.T), conn: conn}
	p.say(`{"type":"hello","token":"` + token + `"}`)
	return p, nil
}

func (p *page) say(text string) {
	p.t.Helper()
	if err := p.conn.Write(p.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

type stageMessage struct {
	Type, Phase, Title, You, Detail string
	Seats                           []space.Seat
	Levels                          map[string]float64
}

// await reads until a message fits, or fails after 10 s.
func (p *page) await(what string, fits func(stageMessage) bool) stageMessage {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	var seen []string
	for {
		_, data, err := p.conn.Read(ctx)
		if err != nil {
			p.t.Fatalf("waiting for %s: %v after\n%s", what, err, strings.Join(seen, "\n"))
		}
		var m stageMessage
		if err := json.Unmarshal(data, &m); err != nil {
			p.t.Fatalf("%s: %v", data, err)
		}
		if fits(m) {
			return m
		}
		seen = append(seen, string(data))
	}
}

func ofType(kind string) func(stageMessage) bool {
	return func(m stageMessage) bool { return m.Type == kind }
}

func TestStageSocket(t *testing.T) {
	s := siteOn(t, newStage(t))
	id := s.announce("Debate")
	in, ana := s.guest(id, "speaker")
	hostIn, _ := s.guest(id, "host")
	open := func(token string) *page {
		p, err := s.page(id, token)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	speaker, host := open(in.Token), open(hostIn.Token)
	if m := speaker.await("the stage", ofType("stage")); m.You != in.Seat || m.Title != "Debate" || m.Phase != "scheduled" || m.Seats == nil {
		t.Errorf("to the speaker: %+v", m)
	}
	s.want(s.ask("POST", "/api/v1/spaces/"+id+"/whip", offerOf(t), ana, sdp), 201, "v=0")
	s.want(s.ask("POST", "/api/v1/spaces/"+id+"/whip", "garbage", ana, sdp), 400)
	seated := func(muted bool) func(stageMessage) bool {
		return func(m stageMessage) bool { return len(m.Seats) == 1 && m.Seats[0].Muted == muted }
	}
	host.await("a seat", seated(false))
	host.say(`{"type":"mute_seat","seat":"` + in.Seat + `"}`)
	speaker.await("being muted", seated(true))
	speaker.say(`{"type":"mute","muted":false}`)
	host.await("being unmuted", seated(false))

	// What one may not do is said to oneself and changes nothing.
	speaker.say(`{"type":"remove","seat":"` + hostIn.Seat + `"}`)
	speaker.await("a refusal", func(m stageMessage) bool { return m.Type == "error" && strings.Contains(m.Detail, "host") })
	speaker.say(`{"type":"dance"}`)
	speaker.await("a refusal", func(m stageMessage) bool { return m.Type == "error" && strings.Contains(m.Detail, "dance") })
	speaker.say(`nonsense`)
	speaker.await("a refusal", func(m stageMessage) bool { return m.Type == "error" && strings.Contains(m.Detail, "not understood") })
	s.want(s.api("POST", "/spaces/"+id+"/open", "", asOwner), 200)
	speaker.await("open doors", func(m stageMessage) bool { return m.Phase == "open" })

	// Another page of the same seat joins: the older one is told.
	newer := open(in.Token)
	newer.await("the stage", ofType("stage"))
	s.want(s.ask("POST", "/api/v1/spaces/"+id+"/whip", offerOf(t), ana, sdp), 201)
	speaker.await("being replaced", ofType("replaced"))

	host.say(`{"type":"remove","seat":"` + in.Seat + `"}`)
	newer.await("being removed", ofType("removed"))
	host.await("an empty stage", func(m stageMessage) bool { return m.Type == "stage" && len(m.Seats) == 0 })
	s.want(s.ask("POST", "/api/v1/spaces/"+id+"/whip", offerOf(t), ana, sdp), 401, "withdrawn")

	s.want(s.api("POST", "/spaces/"+id+"/end", "", asOwner), 200)
	for {
		_, _, err := host.conn.Read(t.Context())
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusNormalClosure {
				t.Errorf("at the end: %v", err)
			}
			break
		}
	}
}

func TestStageSocketOfTheOwner(t *testing.T) {
	s := siteOn(t, newStage(t))
	id := s.announce("Debate")
	cookie := signIn(s)
	p, err := s.page(id, "", cookie)
	if err != nil {
		t.Fatal(err)
	}
	if m := p.await("the stage", ofType("stage")); m.You != "" {
		t.Errorf("the owner sits at %q", m.You)
	}
	p.say(`{"type":"mute","muted":true}`)
	p.await("a refusal", ofType("error"))
	if _, err := s.page(id, "", cookie, "Origin: https://evil.example"); err == nil {
		t.Error("another site's page opened the socket")
	}
	nobody, err := s.page(id, "")
	if err != nil {
		t.Fatal(err)
	}
	nobody.await("a refusal", func(m stageMessage) bool { return m.Type == "error" && strings.Contains(m.Detail, "token") })
	s.want(s.ask("GET", "/api/v1/spaces/nowhere/stage", ""), 404)
}

// TestSocketEndsWithTheServer: a page is told to go, and comes back by itself.
func TestSocketEndsWithTheServer(t *testing.T) {
	s := siteOn(t, newStage(t))
	id := s.announce("Debate")
	in, _ := s.guest(id, "speaker")
	ctx, stop := context.WithCancel(t.Context())
	listener := listenLocal(t)
	served := make(chan error)
	go func() { served <- s.web.Serve(ctx, listener) }()
	s.url = "http://" + listener.Addr().String()
	p, err := s.page(id, in.Token)
	if err != nil {
		t.Fatal(err)
	}
	p.await("the stage", ofType("stage"))
	stop()
	for {
		if _, _, err = p.conn.Read(t.Context()); err != nil {
			break
		}
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the page was told: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
