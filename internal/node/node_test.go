package node

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"hustings/internal/client"
	"hustings/internal/ogg"
	"hustings/internal/opus"
)

// running is a node of a test.
type running struct {
	t     *testing.T
	at    Addresses
	data  string // its folder
	token string
	stop  func() error // ends the node and returns what Run did
}

// startNode runs a node until the test ends, or stop.
func startNode(t *testing.T, o Options) *running {
	t.Helper()
	r := &running{t: t}
	ready := make(chan Addresses, 1)
	if o.Data == "" {
		o.Data = t.TempDir()
	}
	r.data = o.Data
	o.Listen, o.Ready = "127.0.0.1:0", func(a Addresses) { ready <- a }
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		return <-ended
	})
	t.Cleanup(func() { r.stop() })
	select {
	case r.at = <-ready:
	case err := <-ended:
		t.Fatalf("the node ended: %v", err)
	}
	signIn, err := url.Parse(r.at.SignIn)
	if err != nil {
		t.Fatal(err)
	}
	r.token = signIn.Query().Get("token")
	return r
}

// post asks the API for something as the owner and returns a field of the answer.
func (r *running) post(path, body, field string) string {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.at.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		r.t.Fatalf("%s: %s: %s (%v)", path, resp.Status, answer, err)
	}
	var fields map[string]any
	if err := json.Unmarshal(answer, &fields); err != nil {
		r.t.Fatal(err)
	}
	value, _ := fields[field].(string)
	return value
}

// space announces a space that is live, and returns its id.
func (r *running) space() string {
	r.t.Helper()
	id := r.post("/spaces", `{"title":"A test"}`, "id")
	r.post("/spaces/"+id+"/start", `{"anyway":true}`, "id")
	return id
}

func (r *running) invite(id, name string) string {
	r.t.Helper()
	return r.post("/spaces/"+id+"/invites", `{"role":"speaker","name":"`+name+`"}`, "url")
}

func TestANodeServesAndLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	data := t.TempDir()
	for range 2 {
		r := startNode(t, Options{Data: data})
		resp, err := http.Get(r.at.URL + "/readyz")
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("readyz: %v, %v", resp, err)
		}
		resp.Body.Close()
		if err := r.stop(); err != nil {
			t.Errorf("went down with %v", err)
		}
	}
	goleak.VerifyNone(t, before)
}

func TestListenersAreLetGoAtTheEndOfABlock(t *testing.T) {
	r := startNode(t, Options{})
	id := r.space()
	resp, err := http.Get(r.at.URL + "/live/" + id + ".ogg")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("listening: %v, %v", resp, err)
	}
	defer resp.Body.Close()
	stream := ogg.NewReader(resp.Body)
	if _, err := stream.Next(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- r.stop() }()
	packets := 1
	for ; ; packets++ {
		if _, err := stream.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the stream broke off: %v", err)
		}
	}
	if packets%25 != 0 {
		t.Errorf("%d packets are no whole number of blocks", packets)
	}
	if err := <-stopped; err != nil {
		t.Errorf("went down with %v", err)
	}
}

// tone is a source of a sine without end.
type tone struct {
	hz      float64
	encoder *opus.Encoder
	at      int
}

func newTone(t *testing.T, hz float64) *tone {
	encoder, err := opus.NewEncoder(opus.EncoderOptions{Channels: 1, Bitrate: 48000})
	if err != nil {
		t.Fatal(err)
	}
	return &tone{hz: hz, encoder: encoder}
}

func (s *tone) Next() ([]byte, int, error) {
	frame, packet := make([]float32, opus.FrameSamples), make([]byte, opus.MaxBytes)
	for i := range frame {
		frame[i] = 0.2 * float32(math.Sin(2*math.Pi*s.hz*float64(s.at)/48000))
		s.at++
	}
	n, err := s.encoder.Encode(frame, packet)
	return packet[:n], opus.FrameSamples, err
}

// level is how loud a frequency is in the samples, in dBFS.
func level(samples []float32, hz float64) float64 {
	var re, im float64
	for i, v := range samples {
		w := float64(v) * (1 - math.Cos(2*math.Pi*float64(i)/float64(len(samples))))
		re += w * math.Cos(2*math.Pi*hz*float64(i)/48000)
		im += w * math.Sin(2*math.Pi*hz*float64(i)/48000)
	}
	return 20 * math.Log10(2*math.Hypot(re, im)/float64(len(samples))+1e-9)
}

func TestSpeakersHearEachOtherAndNotThemselves(t *testing.T) {
	if testing.Short() {
		t.Skip("listens in real time")
	}
	r := startNode(t, Options{})
	id := r.space()
	tones := []float64{500, 1300}
	seats := []string{r.invite(id, "Ada"), r.invite(id, "Ben")}
	ctx, cancel := context.WithCancel(t.Context())
	var speaking sync.WaitGroup
	for i, seat := range seats {
		source := newTone(t, tones[i])
		speaking.Go(func() {
			if _, err := client.Publish(ctx, client.PublishOptions{URL: seat, Source: source}); ctx.Err() == nil {
				t.Errorf("speaking ended: %v", err)
			}
		})
	}
	for i, seat := range seats {
		heard := hearFor(t, seat, 3*48000)
		other := tones[1-i]
		if own := level(heard, tones[i]); own > -60 {
			t.Errorf("seat %d hears itself at %.0f dBFS", i, own)
		}
		if got := level(heard, other); got < -30 {
			t.Errorf("seat %d hears the other at %.0f dBFS", i, got)
		}
	}
	cancel()
	speaking.Wait()
}

// hearFor hears the stage until there is sound, and then as many samples of it as
// were asked for.
func hearFor(t *testing.T, seat string, samples int) []float32 {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var heard []float32
	err := client.Hear(ctx, client.HearOptions{URL: seat, Sound: func(pcm []float32, _ time.Time) {
		if len(heard) > 0 || slicesMax(pcm) > 0.02 {
			heard = append(heard, pcm...)
		}
		if len(heard) >= samples {
			cancel()
		}
	}})
	if err != nil || len(heard) < samples {
		t.Fatalf("heard %d samples: %v", len(heard), err)
	}
	return heard[len(heard)-samples/2:] // the levels have settled by then
}

func slicesMax(pcm []float32) float32 {
	var most float32
	for _, v := range pcm {
		most = max(most, v)
	}
	return most
}

// Where UDP is blocked, the microphone takes the port that HTTP is on.
func TestAMicrophoneComesByTCPThroughTheSamePort(t *testing.T) {
	r := startNode(t, Options{})
	id := r.space()
	invite, err := client.ParseLink(r.invite(id, "Ada"))
	if err != nil {
		t.Fatal(err)
	}
	var settings webrtc.SettingEngine
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.GracefulClose()
	connected := make(chan struct{})
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	answer := r.whip(id, invite.Token, pc.LocalDescription().SDP)
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-connected:
	case <-time.After(20 * time.Second):
		t.Fatal("no connection by TCP")
	}
	pair, err := pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair.Remote.Protocol != webrtc.ICEProtocolTCP {
		t.Errorf("connected by %v, %v", pair, err)
	}
	if port := r.at.URL[strings.LastIndex(r.at.URL, ":")+1:]; !strings.Contains(pair.Remote.String(), ":"+port) {
		t.Errorf("connected to %v, HTTP is on port %s", pair.Remote, port)
	}
}

func (r *running) whip(id, token, offer string) (answer string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.at.URL+"/api/v1/spaces/"+id+"/whip", bytes.NewReader([]byte(offer)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/sdp")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		r.t.Fatalf("whip: %s: %s (%v)", resp.Status, body, err)
	}
	return string(body)
}
